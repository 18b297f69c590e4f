"""The key of an image: a hash over everything that decides its bytes and is known before it is built.

What is not in it, by intent: the commit and its time, which are facts about the build that came first; where the image is
published; and the values of secrets, which must not decide what an image holds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property

from pipelines.plan import shipway_yaml
from pipelines.plan.graph import Graph, Node, Target

_FORMAT = 1
"""Of images as Shipway finishes them; a new number builds everything again."""


@dataclass(frozen=True, kw_only=True)
class Salt:
    """What asks for a build though nothing changed."""

    now: int = 0
    """Seconds since 1970; only ages are counted with it."""
    max_age: str = ""
    """For images that shipway.yaml gives none."""
    rebuild: Mapping[str, str] | None = None
    """A text for each image to be built again, by name."""


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """Everything that decides an image, in texts."""

    context: str
    dockerfile: str
    build_args: tuple[str, ...]
    target: str
    platform: str
    images: Mapping[str, str]
    """The digest of each image from outside, for the platform, by the name that the Dockerfile writes."""
    parents: Mapping[str, str]
    """The key of each image of the same repository that it stands on, by name."""
    builder: str
    """Kind and version."""
    compression: str
    version: str
    """The image's own, which its labels say; empty for most."""
    salt: Mapping[str, str]

    @cached_property
    def key(self) -> str:
        """The hash, 64 hex digits."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        text = json.dumps([_FORMAT, parts], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def keys(graph: Graph, target: Target, bases: Mapping[str, str], salt: Salt) -> dict[str, Ingredients]:
    """Return what decides each image that is not blocked and whose bases are all known.

    `bases` maps what Dockerfiles write for images from outside to digests; an image with one that is not there, or with a
    parent that has no key, has none either.
    """
    found: dict[str, Ingredients] = {}
    made: dict[str, str] = {}
    for name, node in graph.nodes.items():
        known = all(external.name in bases for external in node.externals)
        if node.blocked or node.context is None or not known or any(edge.name not in made for edge in node.parents):
            continue
        found[name] = Ingredients(
            context=node.context.digest,
            dockerfile=node.dockerfile,
            build_args=node.build_args,
            target=node.settings.target,
            platform=target.platform,
            images={external.name: bases[external.name] for external in node.externals},
            parents={edge.name: made[edge.name] for edge in node.parents},
            builder=f"{target.builder} {target.builder_version}",
            compression=target.compression,
            version=node.settings.version,
            salt=salts(node, salt),
        )
        made[name] = found[name].key
    return found


def salts(node: Node, salt: Salt) -> dict[str, str]:
    """Return what of an image's salt there is: the texts that ask for a build, and the period that its age allows."""
    found = {"rebuild": node.settings.rebuild, "now": (salt.rebuild or {}).get(node.name, "")}
    if age := node.settings.max_age or salt.max_age:
        seconds = shipway_yaml.seconds(age)
        # Each image has its own turn of the period, so that a thousand of them do not come due in one night.
        turn = int.from_bytes(hashlib.sha256(node.name.encode()).digest()[:4]) % seconds
        found["max-age"] = f"{age} {(salt.now + turn) // seconds}"
    return {name: text for name, text in found.items() if text}
