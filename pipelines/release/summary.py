"""What a run came to, in a table for its log and in JSON that fits into a node's outputs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipelines.declared.finding import ERROR, Finding
from pipelines.errors import ShipwayError
from pipelines.release.outcome import BLOCKED, DIFFERENT, FAILED, FINDING, SKIPPED, UNTRIED, Part, ReleaseResult
from pipelines.step import signature

MOST_BYTES = 32_000
"""Of a whole run's outcome: a Workflow's status, with the outputs of all its nodes, holds 1 MB."""
PART_BYTES = 16_000
"""Of what one pod hands to the verdict: a process takes 128 KiB in one argument."""
_MOST_LINES = 20
_LONGEST = 240
_LONGEST_WHY = 400
_ORDER = {FAILED: 0, DIFFERENT: 1, BLOCKED: 2, SKIPPED: 3}


def lines(error: ShipwayError) -> tuple[str, ...]:
    """Return an error's text in lines, the first few and the last ones where there are too many."""
    return cut(str(error).splitlines())


def cut(told: Sequence[str]) -> tuple[str, ...]:
    """Return lines, cut in number and in length; the end of what a program wrote says most."""
    shown = [line.rstrip()[:_LONGEST] for line in told if line.strip()]
    if len(shown) > _MOST_LINES:
        left_out = len(shown) - _MOST_LINES + 1
        shown = [shown[0], f"  … {left_out} lines left out", *shown[left_out + 1 :]]
    return tuple(shown)


def report(parts: Sequence[Part], good: str) -> str:
    """Return what a pod made of some parts, as JSON that fits into one argument: names of those with the good result, and the rest."""
    names = [part.name for part in parts if part.result == good]
    others = fitted([part for part in parts if part.result != good], PART_BYTES)
    return json.dumps([names, json.loads(signature.text_of(others))], separators=(",", ":"), ensure_ascii=False)


def read_report(text: str, kind: str, good: str) -> dict[str, Part]:
    """Return what `report` wrote, by name; nothing where a pod put nothing out."""
    names, others = json.loads(text) if text else ((), ())
    found = {name: Part(kind=kind, name=name, path="", result=good, why="") for name in names}
    return found | {part.name: part for part in signature.typed(tuple[Part, ...], others)}


def words(part: Part) -> str:
    """Return one line about a part that is not good."""
    if part.kind == FINDING:
        return f"{part.path}: {part.why}"
    if part.result in {FAILED, UNTRIED}:
        return f"{part.name}: {part.why}"
    return f"{part.name}: {part.result}{' because ' if part.result == SKIPPED else ', '}{part.why}"


def findings(found: Iterable[Finding]) -> list[Part]:
    """Return the findings that keep something from being done, as parts."""
    return [
        Part(
            kind=FINDING,
            name=finding.rule,
            path=finding.place,
            result=BLOCKED,
            why="; ".join(filter(None, (finding.text, finding.todo))),
        )
        for finding in found
        if finding.level == ERROR
    ]


def outcome(parts: Iterable[Part], *, repo: str, commit: str, ref: str, verdict: str) -> ReleaseResult:
    """Return the outcome of a run with as many of its parts as there is room for, those that failed first."""
    every = tuple(parts)
    shown = fitted(every, MOST_BYTES)
    return ReleaseResult(
        repo=repo,
        commit=commit,
        ref=ref,
        is_good=all(part.is_good for part in every),
        verdict=verdict,
        parts=shown,
        left_out=len(every) - len(shown),
    )


def table(parts: Sequence[Part]) -> str:
    """Return one line a part, in columns."""
    told = [(part.kind, part.path if part.kind == FINDING else part.name, part.result, part.why) for part in parts]
    rows = [("", "what", "result", ""), *told]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    written = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)) for row in rows)
    return "".join(f"{line}  {row[3]}".rstrip() + "\n" for line, row in zip(written, rows, strict=True))


def tell(parts: Sequence[Part]) -> None:
    """Write the table, and what failed, where a run's log is read."""
    sys.stderr.write(table(parts))
    for part in parts:
        if part.lines and not part.is_good:
            sys.stderr.write(f"\n{part.name}:\n" + "".join(f"  {line}\n" for line in part.lines))


def fitted(parts: Iterable[Part], most: int) -> tuple[Part, ...]:
    """Return parts whose JSON is short enough, bad ones first: as many of those as go in, then their lines, then good ones."""
    every = sorted(parts, key=lambda part: (part.is_good, _ORDER.get(part.result, len(_ORDER))))
    bare = [replace(part, why=part.why[:_LONGEST_WHY], lines=()) for part in every]
    bad = sum(not part.is_good for part in every)
    found: list[Part] = []
    for part in bare[:bad]:
        most -= _size(part)
        if most < 0:
            return tuple(found)
        found.append(part)
    for number, part in enumerate(found):
        whole = replace(part, lines=cut(every[number].lines))
        if (more := _size(whole) - _size(part)) <= most:
            found[number], most = whole, most - more
    for part in bare[bad:]:
        most -= _size(part)
        if most < 0:
            break
        found.append(part)
    return tuple(found)


def _size(part: Part) -> int:
    # Text inside an output's own JSON is escaped once more, quotes and backslashes above all.
    return len(json.dumps(signature.text_of(part)).encode()) + 1
