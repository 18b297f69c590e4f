"""Why an image or the charts failed: in which container, and in the words of the step that it ran, from its log.

A verdict has no rights to read logs. Who has the run's nodes and their logs, a report or an engine, adds the words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipelines.errors import visible
from pipelines.release.result import FAILED, IMAGE, PartResult

IN_LOG = "it failed, as the log of its pod says"
"""What a verdict says of it."""
CHARTS = ""
"""The key of the pod that releases all charts; those of images are their names."""
_LONGEST = 300
_STEPS = {"main": "push"}
_ERROR = re.compile(r"^shipway: (?P<what>.*)(?:\n  seen: (?P<seen>.*(?:\n {8}.*)*))?", re.MULTILINE)
_REFUSED = re.compile(r"\banswered (?:4\d\d|507)\b")


def told(container: str, log: str) -> str:
    """Return in one line which step failed and what it said last, or an empty text if it ended without an error."""
    errors = list(_ERROR.finditer(visible(log)))
    if not errors:
        return ""
    step, what, seen = _STEPS.get(container, container), errors[-1]["what"], errors[-1]["seen"] or ""
    if step == "push" and _REFUSED.search(seen):
        text = f"its push was refused: {seen}"
    else:
        text = f"its {step} failed: {': '.join(filter(None, (what, seen)))}"
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def is_told(part: PartResult) -> bool:
    """Whether it has words of ours of why it failed, and not those of a check, which a stranger may have chosen."""
    return part.result == FAILED and part.why.startswith(("its ", "it is published"))


def explained(parts: Sequence[PartResult], words: Mapping[str, str]) -> tuple[PartResult, ...]:
    """Return the parts of a release, with the words of `told` for those that failed."""

    def one(part: PartResult) -> PartResult:
        more = words.get(part.name if part.kind == IMAGE else CHARTS, "") if part.result == FAILED else ""
        return replace(part, why=more if part.why == IN_LOG else f"{part.why}; {more}") if more else part

    return tuple(map(one, parts))
