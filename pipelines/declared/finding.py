"""What a person should know about a file of a repository."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.bounds import LARGEST
from pipelines.errors import ShipwayError

ERROR = "error"
WARNING = "warning"
REFUSED = "refused"
"""Levels of findings: an error blocks what it concerns, a refusal does so for good, a warning is only reported."""


@dataclass(frozen=True, kw_only=True, order=True)
class Finding:
    """Something about a repository that a person should know, with its file and line."""

    path: str
    """A file, relative to the repository's root."""
    line: int
    """From 1; 0 where it concerns the file as a whole."""
    level: str
    rule: str
    """Which check found it: cycle, name, base, arg, add, shipway.yaml, …"""
    text: str
    todo: str = ""

    @property
    def location(self) -> str:
        """The path, with the line if there is one."""
        return f"{self.path}:{self.line}" if self.line else self.path

    def error(self, data: bytes) -> ShipwayError:
        """Return the error for a command that cannot go on: where and what, the file's line, what to do."""
        is_read = self.line and len(data) <= LARGEST
        line = data.decode(errors="replace").splitlines()[self.line - 1 : self.line] if is_read else []
        return ShipwayError(
            f"{self.location}: {self.text}",
            seen="".join(line).strip()[:200] or ("nothing there" if is_read else ""),
            todo=self.todo or "correct it; docs/planning.md says what is allowed there",
        )

    def __str__(self) -> str:
        """Write it on one line, as compilers do."""
        return f"{self.location}: {self.level}: {self.text} [{self.rule}]" + (f"; {self.todo}" if self.todo else "")
