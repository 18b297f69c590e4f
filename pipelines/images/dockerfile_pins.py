"""The Dockerfile that a builder gets: the same lines, with nothing left for the builder to resolve.

Every image from outside has an alias that stands for its digest, so no builder resolves a tag, a short name or an ARG
of a FROM by rules of its own. Stages that the target does not reach are emptied, because buildah would build them, and
the syntax line is removed, because BuildKit would fetch the frontend that it names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipelines.images import dockerfile_checks
from pipelines.images.dockerfile import Instruction, SelectedStages, Stage, StageUse

_DIRECTIVE = re.compile(r"\ufeff?\s*#\s*(?P<name>[A-Za-z][A-Za-z0-9]*)\s*=")


def pin(source: str, selected: SelectedStages, *, aliases: Mapping[str, str], inserted: Mapping[int, str]) -> str:
    """Return the text of a Dockerfile with each image under its alias; `selected` is what is built of the same file.

    `aliases` has an alias for the name of every image that is needed, arguments expanded; `inserted` has lines to add,
    each before the line of that number. Line breaks stay where they are, so apart from the added lines every line keeps
    its number. Raises Refused for a FROM of another platform.
    """
    lines = [line.rstrip("\r") for line in source.split("\n")]
    _settle_directives(lines)
    dockerfile_checks.check_platform(selected)
    stages = selected.file.stages
    for index, stage in enumerate(stages):
        is_built = index in selected.reached
        _clear(lines, stage.base.line, stage.base.end if is_built else _last(stage))
        if index <= selected.reached[-1]:
            lines[stage.base.line - 1] = _from("scratch", stage)
    for use in selected.uses:
        new = aliases[use.name] if use.to is None else stages[use.to].name or str(use.to)
        if use.label == "FROM":
            lines[use.instruction.line - 1] = _from(new, stages[use.stage])
        else:
            _rename(lines, use, new)
    for number in sorted(inserted, reverse=True):
        lines.insert(number - 1, inserted[number])
    return "\n".join(lines)


def _from(image: str, stage: Stage) -> str:
    return f"FROM {image}" + (f" AS {stage.name}" if stage.name else "")


def _last(stage: Stage) -> int:
    last: Instruction = stage.instructions[-1] if stage.instructions else stage.base
    return last.end


def _clear(lines: list[str], first: int, last: int) -> None:
    lines[first - 1 : last] = [""] * (last - first + 1)


def _rename(lines: list[str], use: StageUse, new: str) -> None:
    """Replace the old name where it comes first; flags come before everything else in an instruction."""
    old = re.compile(rf"(?P<before>\bfrom=[\"']?){re.escape(use.written)}(?=[\"',\s]|$)")
    for number in range(use.instruction.line - 1, use.instruction.end):
        lines[number], count = old.subn(lambda match: match["before"] + new, lines[number], count=1)
        if count:
            return


def _settle_directives(lines: list[str]) -> None:
    """Move `escape` to the top, since a comment before it ends the directives; make the others comments."""
    count = 0
    while count < len(lines) and _DIRECTIVE.match(lines[count]):
        count += 1
    kept = [line for line in lines[:count] if "escape" in line.partition("=")[0].lower()]
    lines[:count] = kept + ["#"] * (count - len(kept))
