"""Every error a user can meet, each with its exit code.

    ShipwayError            1   the run failed: the input or the build is at fault
    ├── Misuse              2   the command line or a parameter is wrong
    ├── Refused             3   asked for something that is never done (overwrite a version, leave the checkout)
    ├── Transient          75   the other side did not answer; the same command may succeed later
    └── Misconfigured      78   a setting, a credential or a missing program

The codes 64, 65, 137 and 143 are never ours: Argo's executor and the kernel use them.
75 and 78 are EX_TEMPFAIL and EX_CONFIG of sysexits(3); templates retry 75 alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_PARTS = re.compile(r"(?s)(?P<failed>.*?)(?:\n  seen: (?P<seen>.*?))?(?:\n  do:   (?P<do>.*))?")


class ShipwayError(Exception):
    """A failure in three parts: what failed, what was seen, what to do."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, seen: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.seen = seen
        self.todo = todo
        self.result: object = None
        """What the step leaves although it failed: the dataclass that it returns when it does not."""

    def __str__(self) -> str:
        """Return the parts on a line each; a part that says nothing is left out."""
        parts = [self.what]
        if self.seen:
            parts.append(f"  seen: {_indented(self.seen)}")
        if self.todo:
            parts.append(f"  do:   {_indented(self.todo)}")
        return "\n".join(parts)


def error_parts(text: str, exit_code: int) -> dict[str, str | int]:
    """Return a text that an error was written as, as its parts by name; of any other text, all is `failed`."""
    match = _PARTS.fullmatch(text)
    found = (
        {name: (part or "").replace("\n        ", "\n") for name, part in match.groupdict().items()} if match else {}
    )
    return {"failed": text, "seen": "", "do": "", **found, "exit_code": exit_code}


def visible(text: str) -> str:
    """Return a text whose control characters are written as escapes, such as \\x1b, but for tabs and line breaks.

    They are those of ASCII and of Latin-1, marks that turn the direction of writing, other line separators, and halves
    of characters: with them a text from outside can hide or forge lines of a log or on a terminal.
    """
    return _CONTROLS.sub(lambda match: ascii(match[0])[1:-1], text.replace("\r\n", "\n"))


def reason(error: Exception) -> str:
    """Return what an exception of the system's or of a library says, on one line."""
    return " ".join((getattr(error, "strerror", "") or str(error)).split())


def meant(words: Iterable[str], known: Iterable[str], todo: str) -> str:
    """Return what to do about words that are not known: names that are like them come first."""
    import difflib  # noqa: PLC0415 - only an error needs it

    known = list(known)
    near = dict.fromkeys(name for word in words for name in difflib.get_close_matches(word, known, n=1, cutoff=0.7))
    return f"did you mean {', '.join(near)}? If not, {todo}" if near else todo


def _indented(text: str) -> str:
    return text.strip().replace("\n", "\n        ")


class Misuse(ShipwayError):
    """The command line or a parameter cannot be meant."""

    exit_code = 2


class Refused(ShipwayError):
    """Understood, and never done."""

    exit_code = 3


class Transient(ShipwayError):
    """The other side did not answer or was busy; the only error that is retried."""

    exit_code = 75


class Misconfigured(ShipwayError):
    """A setting, a credential or a program is missing or wrong."""

    exit_code = 78
