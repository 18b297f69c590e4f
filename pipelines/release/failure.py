"""Why a pod failed: in which step, and in the words of that step, from its log, or of what ended it.

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
UNSAID = "its pod ended without a word of it"
"""What the verdict of a check says."""
CHARTS, TAGS = "", "*"
"""The keys of the pods that release all charts and set all tags; those of images are their names."""
_LONGEST = 300
_LONGEST_WHAT = 80
"""Of a build, whose instruction may be long; what it said comes after it."""
_KILLED = 137
_WORDS = {"again": "plan", "deploy-await": "wait for Argo CD", "await-healthy": "wait for Argo CD"}
"""Steps and containers that are called otherwise by people."""
_ERROR = re.compile(r"^shipway: (?P<what>.*)(?:\n  seen: (?P<seen>.*(?:\n {8}.*)*))?", re.MULTILINE)
_ONLY_CODE = re.compile(r"\(exit code \d+\)[: ]*$")
_REFUSED = re.compile(r"\banswered (?:4\d\d|507)\b")


def told(step: str, log: str, *, code: int | None = None, ended: str = "", memory: str = "") -> str:
    """Return which step failed, and what it said last or what ended it; an empty text if nobody says why.

    It may have several lines, of which `in_a_line` makes one. `ended` is the message of Argo or the kubelet about the
    container, or about its pod if there is no exit code; `memory` is the value of the chart that bounds its memory.
    """
    errors = list(_ERROR.finditer(visible(log)))
    name = _WORDS.get(step, step)
    if "OOMKilled" in ended:
        text = f"its {name} took more memory than it may (OOMKilled); raise {memory}"
    elif code == _KILLED:
        text = f"its {name} was killed (exit code {_KILLED}), as where memory is short{memory and '; see '}{memory}"
    elif errors and (code is not None or not ended):
        text = _said(name, errors[-1]["what"], errors[-1]["seen"] or "")
    elif not ended or _ONLY_CODE.search(ended):
        return ""
    else:  # evicted, too late, without its image or what it mounts
        text = f"its pod failed: {visible(ended)}"
    return text


def in_a_line(text: str, folder: str = "") -> str:
    """Return what `told` returns in one line, cut; of several faults, those in a folder alone if there are any."""
    own = [match[1] for match in re.finditer(rf"(?:^ *|: )({re.escape(folder)}/.*)$", text, re.MULTILINE) if folder]
    line = " ".join((f"{text.partition(': ')[0]}: {'; '.join(own)}" if own else text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _said(step: str, what: str, seen: str) -> str:
    if what.startswith("cannot push") and _REFUSED.search(seen):
        return f"its push was refused: {seen}"
    if what.startswith(f"the {step} failed at "):
        short = what if len(what) <= _LONGEST_WHAT else f"{what[: _LONGEST_WHAT - 1]}…"
        return f"its{short.removeprefix('the')}: {' '.join(seen.splitlines()[-2:])}"
    # An error of `deploy-await` may be another step's: `the step environments failed: …`.
    first = what if what.startswith("the step ") else f"its {step} failed: {what}"
    return ": ".join(filter(None, (first, seen)))


def is_told(part: PartResult) -> bool:
    """Whether it has words of ours of why it failed, and not those of a check, which a stranger may have chosen."""
    return part.result == FAILED and part.why.startswith(("its ", "it is published"))


def explained(parts: Sequence[PartResult], words: Mapping[str, str]) -> tuple[PartResult, ...]:
    """Return the parts of a release or a check, with the words of `told` for those that failed."""

    def one(part: PartResult) -> PartResult:
        if part.result != FAILED and part.why != UNSAID:
            return part
        is_silent = part.why in {IN_LOG, UNSAID}
        more = words.get(part.name if part.kind == IMAGE else CHARTS, "")
        if part.kind == IMAGE and not is_silent:
            more = more or words.get(TAGS, "")
        more = in_a_line(more, "" if part.kind == IMAGE else part.path)
        return replace(part, result=FAILED, why=more if is_silent else f"{part.why}; {more}") if more else part

    return tuple(map(one, parts))
