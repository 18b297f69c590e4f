"""The Dockerfile as a builder is given it: the same lines, with nothing left for the builder to look up.

Every image from outside is named by an alias that the caller has made for its digest, so no builder resolves a tag, a
short name or an ARG of a FROM by rules of its own. Stages that the target does not reach are emptied, because buildah
would build them, and the syntax line goes, because BuildKit would fetch the frontend it names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pipelines.images import dockerfile_checks
from pipelines.images.dockerfile import Dockerfile, Instruction, Stage, StageUse

_DIRECTIVE = re.compile(r"\ufeff?\s*#\s*(?P<name>[A-Za-z][A-Za-z0-9]*)\s*=")


def pinned(
    source: str,
    dockerfile: Dockerfile,
    *,
    aliases: Mapping[str, str],
    target: str,
    build_args: Sequence[str],
    platform: str,
    inserted: Mapping[int, str],
) -> str:
    """Return the text of `source` with each image under its alias; `dockerfile` is the same file, read.

    `aliases` has the name that a line writes, arguments expanded, for every image the target needs; `inserted` has lines
    to add, each before the line of that number. Line breaks stay where they are, so but for the added ones every
    line keeps its number. Raises Refused for a FROM of another platform.
    """
    lines = [line.rstrip("\r") for line in source.split("\n")]
    _settle_directives(lines)
    uses = dockerfile.uses(build_args, target=target, platform=platform)
    reached = dockerfile.reached(build_args, target=target, platform=platform)
    scope = dockerfile.scope(build_args, platform)
    dockerfile_checks.check_platform(dockerfile, reached, scope=scope, platform=platform)
    for index, stage in enumerate(dockerfile.stages):
        if index > max(reached):
            _clear(lines, stage.base.line, _last(stage))
        elif index not in reached:
            _clear(lines, stage.base.line, _last(stage))
            lines[stage.base.line - 1] = _from("scratch", stage)
        else:
            _clear(lines, stage.base.line, stage.base.end)
            lines[stage.base.line - 1] = _from("scratch", stage)
    for use in uses:
        new = aliases[use.name] if use.to is None else dockerfile.stages[use.to].name or str(use.to)
        if use.label == "FROM":
            lines[use.instruction.line - 1] = _from(new, dockerfile.stages[use.stage])
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
    """Replace the first place that still has the old name; flags stand before whatever else an instruction holds."""
    old = re.compile(rf"(?P<before>\bfrom=[\"']?){re.escape(use.written)}(?=[\"',\s]|$)")
    for number in range(use.instruction.line - 1, use.instruction.end):
        lines[number], count = old.subn(lambda match: match["before"] + new, lines[number], count=1)
        if count:
            return


def _settle_directives(lines: list[str]) -> None:
    """Keep `escape`, first, since a comment before it would end the directives; the others become comments."""
    count = 0
    while count < len(lines) and _DIRECTIVE.match(lines[count]):
        count += 1
    kept = [line for line in lines[:count] if "escape" in line.partition("=")[0].lower()]
    lines[:count] = kept + ["#"] * (count - len(kept))
