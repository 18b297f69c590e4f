"""What became of each part of a commit, for a run's log and as JSON that fits into a node's outputs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipelines.bounds import read_json
from pipelines.declared.finding import ERROR, Finding
from pipelines.declared.state import BLOCKED, DIFFERENT, HELD, PUBLISHED
from pipelines.errors import ShipwayError
from pipelines.release.model import Plan
from pipelines.step import results, texts
from pipelines.step.log import say

IMAGE = "image"
CHART = "chart"
FINDING = "finding"
"""Kinds of parts. A finding is a fault in what the commit declares that belongs to no image or chart."""

BUILT = "built"
"""Built since this run began: by it, or by one of the same repository that it waited for."""
RELEASED = "released"
"""A chart that this run released."""
CHECKED = "checked"
"""A chart without errors."""
LEFT_OUT = "left out"
"""Not tried, and not through a fault."""
FAILED = "failed"
SKIPPED = "not built"
"""Not tried because something that it depends on failed."""
UNTRIED = "not tried"
"""No pod got to it."""
GOOD = frozenset({BUILT, PUBLISHED, RELEASED, CHECKED, LEFT_OUT})
"""Results that fail no run. Other results are the states of images and charts, such as `blocked` and `unknown`."""

MOST_BYTES = 32_000
"""Of a whole run's result: a Workflow's status, with the outputs of all its nodes, holds 1 MB."""
PART_BYTES = 16_000
"""Of what one pod passes to the verdict: a process takes 128 KiB in one argument."""
_MOST_LINES = 20
_LONGEST = 240
_LONGEST_WHY = 400
_LONGEST_RESULT = 20
_ORDER = {FAILED: 0, DIFFERENT: 1, BLOCKED: 2, SKIPPED: 3, HELD: 4}


@dataclass(frozen=True, kw_only=True)
class PartResult:
    """An image, a chart or a finding, and what became of it."""

    kind: str
    name: str
    path: str
    """Its folder; of a finding, its file and line."""
    result: str
    why: str
    """One line; empty where there is nothing to say."""
    lines: tuple[str, ...] = ()
    """The output of the program that failed, cut."""

    @property
    def is_good(self) -> bool:
        """Whether it fails no run."""
        return self.result in GOOD


@dataclass(frozen=True, kw_only=True)
class ReleaseResult:
    """A whole release or check: what its verdict puts out as JSON, of bounded size."""

    repo: str
    commit: str
    ref: str
    is_good: bool
    verdict: str
    """One line."""
    parts: tuple[PartResult, ...]
    """What failed first."""
    left_out: int
    """How many more parts there are, for which there was no room. They are good ones as long as there are any."""


def error_lines(error: ShipwayError) -> tuple[str, ...]:
    """Return an error's text in lines, cut as `cut` does."""
    return cut(str(error).splitlines())


def cut(lines: Sequence[str]) -> tuple[str, ...]:
    """Return lines, cut in length and in number; the last ones stay, because a program's end says most."""
    shown = [line.rstrip()[:_LONGEST] for line in lines if line.strip()]
    if len(shown) > _MOST_LINES:
        left_out = len(shown) - _MOST_LINES + 1
        shown = [shown[0], f"  … {left_out} lines left out", *shown[left_out + 1 :]]
    return tuple(shown)


def write_report(parts: Sequence[PartResult], good: str) -> str:
    """Return results as JSON that fits into one argument: names of parts with the good result, and the others."""
    names = [part.name for part in parts if part.result == good]
    others = fitted([part for part in parts if part.result != good], PART_BYTES)
    return json.dumps([names, json.loads(results.text_of(others))], separators=(",", ":"), ensure_ascii=False)


def read_report(text: str, kind: str, good: str) -> dict[str, PartResult]:
    """Return what `write_report` wrote, by name; nothing for an empty text, or for one of another form.

    It comes from a pod that runs a stranger's files, so its texts are cut here, too.
    """
    try:
        value, rest = read_json(text, "the report of a check") if text else ([], [])
        names = results.typed(tuple[str, ...], value)
        others = results.typed(tuple[PartResult, ...], rest)
    except (ValueError, TypeError, KeyError):
        say("the report of a check cannot be read, and counts for nothing")
        return {}
    parts = {name: PartResult(kind=kind, name=name, path="", result=good, why="") for name in names}
    return parts | {
        part.name: replace(
            part,
            kind=kind,
            result=part.result[:_LONGEST_RESULT],
            why=" ".join(part.why.split())[:_LONGEST_WHY],
            lines=cut(part.lines),
        )
        for part in others
    }


def words(part: PartResult) -> str:
    """Return one line about a part that is not good."""
    if part.kind == FINDING:
        return f"{part.path}: {part.why}"
    if part.result in {FAILED, UNTRIED}:
        return f"{part.name}: {part.why}"
    between = {SKIPPED: ": ", HELD: " because "}.get(part.result, ", ")
    return f"{part.name}: {part.result}{between}{part.why}"


def of_findings(findings: Iterable[Finding]) -> list[PartResult]:
    """Return the findings that keep something from being done."""
    return [
        PartResult(
            kind=FINDING,
            name=finding.rule,
            path=finding.location,
            result=BLOCKED,
            why="; ".join(filter(None, (finding.text, finding.todo))),
        )
        for finding in findings
        if finding.level == ERROR
    ]


def of_release(parts: Sequence[PartResult], plan: Plan, verdict: str) -> ReleaseResult:
    """Return the result of a plan's run with as many of its parts as there is room for, those that failed first."""
    shown = fitted(parts, MOST_BYTES)
    return ReleaseResult(
        repo=plan.repo,
        commit=plan.commit,
        ref=plan.ref,
        is_good=all(part.is_good for part in parts),
        verdict=verdict,
        parts=shown,
        left_out=len(parts) - len(shown),
    )


def table(parts: Sequence[PartResult]) -> str:
    """Return one line for each part, in columns."""
    cells = [(part.kind, part.path if part.kind == FINDING else part.name, part.result, part.why) for part in parts]
    rows = [("", "what", "result", ""), *cells]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)) for row in rows)
    return "".join(f"{line}  {row[3]}".rstrip() + "\n" for line, row in zip(lines, rows, strict=True))


def text(parts: Sequence[PartResult]) -> str:
    """Return the table, and the output of what failed."""
    failed = (part for part in parts if part.lines and not part.is_good)
    return table(parts) + "".join(
        f"\n{part.name}:\n" + "".join(f"  {line}\n" for line in part.lines) for part in failed
    )


def fitted(parts: Iterable[PartResult], most: int) -> tuple[PartResult, ...]:
    """Return parts whose JSON takes at most `most` bytes: bad ones first, then their lines, then good ones."""
    every = sorted(parts, key=lambda part: (part.is_good, _ORDER.get(part.result, len(_ORDER))))
    bare = [replace(part, why=part.why[:_LONGEST_WHY], lines=()) for part in every]
    bad = sum(not part.is_good for part in every)
    shown: list[PartResult] = []
    for part in bare[:bad]:
        most -= _size(part)
        if most < 0:
            return tuple(shown)
        shown.append(part)
    for number, part in enumerate(shown):
        whole = replace(part, lines=cut(every[number].lines))
        if (more := _size(whole) - _size(part)) <= most:
            shown[number], most = whole, most - more
    for part in bare[bad:]:
        most -= _size(part)
        if most < 0:
            break
        shown.append(part)
    return tuple(shown)


def _size(part: PartResult) -> int:
    # Encoded for an output, and escaped once more in that output's own JSON, quotes and backslashes above all.
    return len(json.dumps(texts.encode(results.text_of(part)))) + 1
