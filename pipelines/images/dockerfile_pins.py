"""The Dockerfile that a builder gets: the same lines, with nothing left for the builder to resolve.

Every image from outside has an alias that stands for its digest, so no builder resolves a tag, a short name or an ARG
of a FROM by rules of its own. Stages that the target does not reach are emptied, because buildah would build them, and
the syntax line is removed, because BuildKit would fetch the frontend that it names. The result is read again, so that
a spelling which was overlooked is an error and not a request.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.errors import Refused
from pipelines.images import dockerfile, dockerfile_checks, dockerfile_syntax
from pipelines.images.dockerfile import SelectedStages, Stage, StageUse
from pipelines.images.dockerfile_syntax import Instruction

_NUMBERED = "shipway-stage-"
_NONE: Mapping[int, str] = {}


def pin(
    selected: SelectedStages,
    *,
    aliases: Mapping[str, str],
    inserted: Mapping[int, str],
    mounted: Mapping[int, str] = _NONE,
) -> str:
    """Return the text of a Dockerfile with each image under its alias, for what is built of it.

    `aliases` has an alias for the name of every image that is needed, arguments expanded; `inserted` has lines to add,
    each before the line of that number; `mounted` has the names that mounts read stages by, by the stage's number, if
    not by their own. Line breaks stay where they are, so apart from the added lines every line keeps its number.

    Raises Refused for a FROM of another platform, and if a name is left that is neither an alias nor a stage.
    """
    lines = selected.file.text.split("\n")
    dockerfile_checks.check_platform(selected)
    stages = selected.file.stages
    for index, stage in enumerate(stages):
        is_built = index in selected.reached
        _clear(lines, stage.base.line, stage.base.end if is_built else last_line(stage))
        if index <= selected.reached[-1]:
            lines[stage.base.line - 1] = _from("scratch", stage_name(selected, index))
    for use in selected.uses:
        new = aliases[selected.external(use).id] if use.to is None else stage_name(selected, use.to)
        if use.label == "FROM":
            platform = selected.platform_of(stages[use.stage])
            own = platform if platform != selected.platform else ""
            lines[use.instruction.line - 1] = _from(new, stage_name(selected, use.stage), own)
        elif use.label == "RUN --mount" and use.to is not None:
            _rename(lines, use, mounted.get(use.to, new))
        else:
            _rename(lines, use, new)
    for number in sorted(inserted, reverse=True):
        lines.insert(number - 1, inserted[number])
    text = "\n".join(lines)
    _check(text, selected, aliases=aliases, inserted=inserted)
    return text


def stage_name(selected: SelectedStages, number: int) -> str:
    """Return the name that a stage has for builders: its own, or a new one if something refers to its number.

    A number would mean another stage once one is added, and an image to BuildKit where a mount has it; of two stages
    of one name, BuildKit takes the last one.
    """
    is_used = any(use.to == number for use in selected.uses)
    name = selected.file.stages[number].name
    is_own = name and sum(stage.name == name for stage in selected.file.stages) == 1
    return name if is_own else f"{_NUMBERED}{number}" if is_used else ""


def last_line(stage: Stage) -> int:
    """Return the number of the line that a stage ends on."""
    last: Instruction = stage.instructions[-1] if stage.instructions else stage.base
    return last.end


def _check(text: str, selected: SelectedStages, *, aliases: Mapping[str, str], inserted: Mapping[int, str]) -> None:
    """Raise Refused with the line if a builder would find a name that is neither an alias nor a stage."""
    allowed = {*aliases.values()}
    pinned = dockerfile.read(text, selected.file.where)
    for use in (use for index in range(len(pinned.stages)) for use in pinned.uses(index, {})):
        if use.to is None and use.name not in allowed:
            line = use.instruction.line
            added = sum(more.count("\n") + 1 for number, more in inserted.items() if number <= line)
            raise Refused(
                f"{pinned.where}:{max(line - added, 1)}: the name {use.name} cannot be replaced by its digest",
                seen=use.instruction.shown,
                todo="write each flag on its own, and from= in it once",
            )


def _from(image: str, name: str, platform: str = "") -> str:
    return f"FROM {f'--platform={platform} ' if platform else ''}{image}" + (f" AS {name}" if name else "")


def _clear(lines: list[str], first: int, last: int) -> None:
    lines[first - 1 : last] = [""] * (last - first + 1)


def _rename(lines: list[str], use: StageUse, new: str) -> None:
    """Replace the old name where it comes first; flags come before everything else in an instruction."""
    old = dockerfile_syntax.naming(use.written)
    for number in range(use.instruction.line - 1, use.instruction.end):
        lines[number], count = old.subn(lambda match: f"from={match['quote']}{new}", lines[number], count=1)
        if count:
            return
