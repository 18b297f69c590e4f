"""The difference between two renderings of an application, and of many applications as one page."""

from __future__ import annotations

import difflib
import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipelines.impact.masking import MASKED
from pipelines.impact.model import ApplicationImpact, Gathered, ObjectChange
from pipelines.impact.objects import RenderedObject

ADDED, REMOVED, CHANGED, RESTARTED = "added", "removed", "changed", "restarted"
LARGEST_PAGE = 60_000
"""In characters: GitHub takes comments of 65,536."""
_LARGEST_DIFF = 200
"""Lines of one object's difference."""
_HEADER_LINES = 2
_FENCE = re.compile(r"`{3,}")
WORDS = {ADDED: "added", REMOVED: "removed", CHANGED: "changed", RESTARTED: "same but for checksums"}
"""Actions as people read them."""


def compare(
    before: Mapping[str, RenderedObject], after: Mapping[str, RenderedObject]
) -> tuple[tuple[ObjectChange, ...], int]:
    """Return the changes between two renderings, by name, and how many objects differ in version labels alone."""
    changes: list[ObjectChange] = []
    labels_only = 0
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is None or new is None:
            known = new or old
            assert known is not None
            changes.append(_change(REMOVED if new is None else ADDED, known.name, old, new))
        elif old.text != new.text:
            changes.append(_change(CHANGED, new.name, old, new))
        elif old.checksums != new.checksums:
            changes.append(ObjectChange(action=RESTARTED, name=new.name, diff="", masked=0))
        elif old.labels != new.labels:
            labels_only += 1
    return tuple(sorted(changes, key=lambda change: change.name)), labels_only


def page(gathered: Gathered, impacts: Sequence[ApplicationImpact], unchanged: int) -> str:
    """Return the differences of all applications as Markdown, alike ones once, no longer than a comment may be."""
    changed = [impact for impact in impacts if impact.changes or (impact.fault and not impact.was_broken)]
    still = [impact for impact in impacts if impact.fault and impact.was_broken]
    lines = [_summary(gathered, changed, unchanged, len(still))]
    lines += [f"- {_code(str(finding))}" for finding in gathered.findings[:20]]
    size = sum(map(len, lines))
    groups = list(_alike(changed))
    for number, group in enumerate(groups):
        section = _section(group)
        if size + len(section) > LARGEST_PAGE - 2000:
            rest = [f"{item.environment}/{item.application}" for later in groups[number:] for item in later]
            names = ", ".join(rest[:20]) + (f" and {len(rest) - 20} more" if len(rest) > 20 else "")
            lines.append(f"\nLeft out here, for want of room: {names}. `shipway impact` shows all of it.")
            break
        lines.append(section)
        size += len(section)
    if still:
        lines.append("\nNot to be rendered, before and after: " + ", ".join(_full_name(item) for item in still[:20]))
    return "\n".join(lines) + "\n"


def _change(action: str, name: str, old: RenderedObject | None, new: RenderedObject | None) -> ObjectChange:
    before, after = (item.text.splitlines() if item else [] for item in (old, new))
    lines = list(difflib.unified_diff(before, after, lineterm="", n=3))[_HEADER_LINES:]
    if len(lines) > _LARGEST_DIFF:
        lines = [*lines[:_LARGEST_DIFF], f"… {len(lines) - _LARGEST_DIFF} more lines"]
    masked = max(item.masked for item in (old, new) if item)
    return ObjectChange(action=action, name=name, diff="\n".join(lines), masked=masked)


def masked_values(impacts: Iterable[ApplicationImpact]) -> int:
    """Return how many values are masked in the objects that differ, and in the messages of Helm."""
    return sum(
        sum(change.masked for change in impact.changes) + len(MASKED.findall(impact.fault)) for impact in impacts
    )


def _summary(gathered: Gathered, changed: Sequence[ApplicationImpact], unchanged: int, still: int) -> str:
    total = len(changed) + unchanged + still + gathered.untouched
    if not changed:
        return f"No application changes, of {_count(total, 'application')}."
    environments = sorted({item.environment for item in changed})
    broken = sum(bool(item.fault) for item in changed)
    words = f"**{_count(len(changed), 'application')} of {total} changed**, in {', '.join(environments)}"
    words += f"; **{broken} cannot be rendered any more**" if broken else ""
    return f"{words}; {_count(masked_values(changed), 'value')} masked."


def _alike(impacts: Iterable[ApplicationImpact]) -> Iterator[list[ApplicationImpact]]:
    """Give impacts that say the same of applications of other names together, in order of the first."""
    groups: dict[object, list[ApplicationImpact]] = {}
    for impact in impacts:
        # An application's name stands in the names of its objects, its environment and namespace in others.
        own = re.compile(rf"(?<![A-Za-z0-9]){re.escape(impact.application)}(?![A-Za-z0-9])")
        changes = [(c.action, own.sub("\0", c.name), own.sub("\0", c.diff)) for c in impact.changes]
        key = (
            impact.chart,
            impact.before,
            impact.after,
            own.sub("\0", impact.fault),
            tuple(changes),
            impact.labels_only,
        )
        groups.setdefault(key, []).append(impact)
    yield from groups.values()


def _section(group: Sequence[ApplicationImpact]) -> str:
    first = group[0]
    names = ", ".join(_full_name(item) for item in group[:5]) + (
        f" and {len(group) - 5} more" if len(group) > 5 else ""
    )
    versions = f"{first.before or 'new'} → {first.after or 'gone'}" if first.before != first.after else first.after
    chart = f"<code>{html.escape(first.chart)}</code> {html.escape(versions)}"
    lines = [f"\n<details><summary><b>{names}</b>: {chart}, {_words(first)}</summary>\n"]
    if len(group) > 1:
        lines.append(f"Shown is {_full_name(first)}; the others differ from it in their names alone.\n")
    if first.fault:
        lines += ["It cannot be rendered any more:", *_fenced(first.fault, "")]
    for change in first.changes:
        lines.append(
            f"{WORDS[change.action]} {_code(change.name)}" + (" (pods restart)" if change.action == RESTARTED else "")
        )
        if change.diff:
            lines += _fenced(change.diff, "diff")
    return "\n".join([*lines, "</details>"])


def _fenced(text: str, language: str) -> list[str]:
    fence = max([*_FENCE.findall(text), "``"], key=len) + "`"
    return [f"{fence}{language}", text, fence]


def _code(text: str) -> str:
    """Return a stranger's text as code: nothing in it is markup, and no name in it calls anybody."""
    return f"`{' '.join(text.replace('`', ' ').split())[:300]}`"


def _words(impact: ApplicationImpact) -> str:
    actions = [change.action for change in impact.changes]
    words = [
        f"{actions.count(action)} {action}" for action in (ADDED, REMOVED, CHANGED, RESTARTED) if action in actions
    ]
    words += [f"{impact.labels_only} with other version labels alone"] if impact.labels_only else []
    return ", ".join(["not to be rendered"] if impact.fault else words)


def _full_name(impact: ApplicationImpact) -> str:
    return f"{impact.environment}/{impact.application}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
