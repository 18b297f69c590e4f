"""Labels that show buildah's layer cache what it overlooks.

Buildah finds a cached layer by the layers below it and the words of the instructions. It overlooks (1.28, seen): values
of arguments (`ENV X=$ARG` hits the entry of another value), a base whose configuration changed while its layers did
not, and the content of bind mounts. A LABEL with a hash over all of this, put before the instruction, becomes one of
those words. The label and its line of history are removed from the final image.

A stage whose last layer came from the cache has a root folder without that layer (containers/buildah#4375), unless it
is copied from. So mounts read a stage of its own, which is based on it and has no instruction: nothing of it is cached.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from pipelines.images.dockerfile import SelectedStages
from pipelines.images.dockerfile_syntax import Instruction

MARK = "io.shipway.layer-cache"
"""The label; nothing published has it."""
_MOUNTED = "shipway-mounted-"
_NONE: Mapping[str, Sequence[Instruction]] = {}


def marks(
    selected: SelectedStages,
    *,
    images: Mapping[str, str],
    context: str,
    triggers: Mapping[str, Sequence[Instruction]] = _NONE,
) -> dict[int, str]:
    """Return the lines to add, each by the number of the line that it goes before.

    `images` has, for each image from outside, text that changes with its configuration; `triggers` has the
    instructions that it runs in a stage; `context` is a digest of the context's content, which may be empty unless
    `mounts_files`.
    """
    lines: dict[int, str] = {}
    bases = {use.stage: selected.external(use).id for use in selected.uses if use.label == "FROM" and use.to is None}
    build_args = sorted(selected.build_args)
    everything = [selected.file.text, build_args, sorted(images.items()), context]
    for index in selected.reached:
        stage = selected.file.stages[index]
        base = bases.get(index, "")
        arguments = [i.text for i in (*selected.file.globals, *stage.instructions) if i.name == "ARG"]
        own = [build_args, arguments, images.get(base, "")]
        lines[stage.base.end + 1] = _label(everything if any(map(binds, triggers.get(base, ()))) else own)
        for instruction in stage.instructions:
            if binds(instruction):
                lines[instruction.line] = _label(everything)
    return lines


def mounted(selected: SelectedStages) -> dict[int, str]:
    """Return the name of the stage that mounts read, for the number of each stage that a mount names."""
    uses = [use for use in selected.uses if use.label == "RUN --mount" and use.to is not None]
    return {use.to: f"{_MOUNTED}{use.to}" for use in uses if use.to is not None}


def mounts_files(instructions: Iterable[Instruction]) -> bool:
    """Whether any RUN reads the context, a stage or an image through a mount."""
    return any(map(binds, instructions))


def binds(instruction: Instruction) -> bool:
    """Whether a RUN mounts files that its own words do not determine; `bind` is the type where none is written."""
    return any(mount.get("type", "bind") == "bind" or "from" in mount for mount in instruction.mounts)


def _label(value: object) -> str:
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    return f"LABEL {MARK}={digest}"
