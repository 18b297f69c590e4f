"""What buildah's layer cache overlooks, made visible to it.

Buildah finds a cached layer by the layers below it and the words of the instructions. It misses (1.28, seen):
values of arguments (`ENV X=$ARG` hits the entry of another value), a base whose configuration changed while its layers
did not, and the content of bind mounts. A LABEL with a hash over what is missed, put before the instruction, becomes
one of those words. The label and its line of history are taken out of the finished image.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from pipelines.images.dockerfile import Dockerfile, Instruction

MARK = "io.shipway.layer-cache"
"""The label; nothing published has it."""


def marks(
    source: str,
    dockerfile: Dockerfile,
    *,
    target: str,
    build_args: Sequence[str],
    platform: str,
    images: Mapping[str, str],
    context: str,
) -> dict[int, str]:
    """Return the lines to add, each with the number of the line it goes before.

    `images` has, for each image from outside, text that changes with its configuration; `context` is a digest of
    the context's content, which may be empty when `mounts_files` says no.
    """
    found: dict[int, str] = {}
    bases = {
        use.stage: use.name
        for use in dockerfile.uses(build_args, target=target, platform=platform)
        if use.label == "FROM" and use.to is None
    }
    everything = [source, sorted(build_args), sorted(images.items()), context]
    for index in sorted(dockerfile.reached(build_args, target=target, platform=platform)):
        stage = dockerfile.stages[index]
        arguments = [i.text for i in (*dockerfile.globals, *stage.instructions) if i.name == "ARG"]
        found[stage.base.end + 1] = _label([sorted(build_args), arguments, images.get(bases.get(index, ""), "")])
        for instruction in stage.instructions:
            if _binds(instruction):
                found[instruction.line] = _label(everything)
    return found


def mounts_files(dockerfile: Dockerfile) -> bool:
    """Whether any RUN reads the context, a stage or an image through a mount."""
    return any(_binds(instruction) for stage in dockerfile.stages for instruction in stage.instructions)


def _binds(instruction: Instruction) -> bool:
    """Whether a RUN mounts files that its own words do not determine; `bind` is the type where none is written."""
    return any(mount.get("type", "bind") == "bind" or "from" in mount for mount in instruction.mounts)


def _label(value: object) -> str:
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    return f"LABEL {MARK}={digest}"
