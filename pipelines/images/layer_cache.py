"""Labels that show buildah's layer cache what it overlooks.

Buildah finds a cached layer by the layers below it and the words of the instructions. It overlooks (1.28, seen): values
of arguments (`ENV X=$ARG` hits the entry of another value), a base whose configuration changed while its layers did
not, and the content of bind mounts. A LABEL with a hash over all of this, put before the instruction, becomes one of
those words. The label and its line of history are removed from the final image.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from pipelines.images.dockerfile import Dockerfile, Instruction, SelectedStages

MARK = "io.shipway.layer-cache"
"""The label; nothing published has it."""


def marks(source: str, selected: SelectedStages, *, images: Mapping[str, str], context: str) -> dict[int, str]:
    """Return the lines to add, each by the number of the line that it goes before.

    `images` has, for each image from outside, text that changes with its configuration; `context` is a digest of
    the context's content, which may be empty unless `mounts_files`.
    """
    lines: dict[int, str] = {}
    bases = {use.stage: use.name for use in selected.uses if use.label == "FROM" and use.to is None}
    build_args = sorted(selected.build_args)
    everything = [source, build_args, sorted(images.items()), context]
    for index in selected.reached:
        stage = selected.file.stages[index]
        arguments = [i.text for i in (*selected.file.globals, *stage.instructions) if i.name == "ARG"]
        lines[stage.base.end + 1] = _label([build_args, arguments, images.get(bases.get(index, ""), "")])
        for instruction in stage.instructions:
            if _binds(instruction):
                lines[instruction.line] = _label(everything)
    return lines


def mounts_files(dockerfile: Dockerfile) -> bool:
    """Whether any RUN reads the context, a stage or an image through a mount."""
    return any(map(_binds, dockerfile.instructions))


def _binds(instruction: Instruction) -> bool:
    """Whether a RUN mounts files that its own words do not determine; `bind` is the type where none is written."""
    return any(mount.get("type", "bind") == "bind" or "from" in mount for mount in instruction.mounts)


def _label(value: object) -> str:
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    return f"LABEL {MARK}={digest}"
