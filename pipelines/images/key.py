"""The key of an image: a hash over everything that decides its bytes and is known before it is built.

What is not in it, by intent: the commit and its time, which are facts about the build that came first; where the image is
published; and the values of secrets, which must not decide what an image holds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from functools import cached_property

from pipelines.declared import shipway_yaml
from pipelines.images.node import BuildTarget, Graph, ImageNode

_FORMAT = 1
"""Of images as Shipway finishes them; a new number builds everything again."""
_MOMENT = "moment"
_NONE: Mapping[str, int] = {}


@dataclass(frozen=True, kw_only=True)
class RebuildPolicy:
    """What asks for a build though nothing changed."""

    now: int = 0
    """Seconds since 1970; only ages are counted with it."""
    max_age: str = ""
    """For images that shipway.yaml gives none."""
    rebuild: Collection[str] = ()
    """Names of images to be built again."""


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """How fresh an image is wanted."""

    at: int
    """Not built for an earlier moment than this one, in seconds since 1970."""
    why: str


@dataclass(frozen=True, kw_only=True)
class KeyInputs:
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
    """Texts that ask for a build though nothing changed: `rebuild` of shipway.yaml, and the moment that a renewal was built for."""

    @cached_property
    def key(self) -> str:
        """The hash, 64 hex digits."""
        return self._hash(self.salt)

    @cached_property
    def lasting_key(self) -> str:
        """The key without the moment: the same before and after a renewal."""
        return self._hash({name: text for name, text in self.salt.items() if name != _MOMENT})

    @property
    def moment(self) -> int:
        """The moment that it is, or was, renewed for; 0 for an image that never was."""
        return int(self.salt.get(_MOMENT, "0"))

    def _hash(self, salt: Mapping[str, str]) -> str:
        parts = {field.name: getattr(self, field.name) for field in fields(self)} | {"salt": salt}
        text = json.dumps([_FORMAT, parts], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def key_inputs(
    graph: Graph, target: BuildTarget, bases: Mapping[str, str], moments: Mapping[str, int] = _NONE
) -> dict[str, KeyInputs]:
    """Return what decides each image that is not blocked and whose bases are all known.

    `bases` maps what Dockerfiles write for images from outside to digests; an image with one that is not there, or with a
    parent that has no key, has none either. `moments` are those that images are, or were, renewed for, by name.
    """
    found: dict[str, KeyInputs] = {}
    made: dict[str, str] = {}
    for name, node in graph.nodes.items():
        known = all(external.name in bases for external in node.externals)
        if node.blocked or node.context is None or not known or any(edge.name not in made for edge in node.parents):
            continue
        found[name] = KeyInputs(
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
            salt=_salt(node, moments.get(name, 0)),
        )
        made[name] = found[name].key
    return found


def freshness(graph: Graph, salt: RebuildPolicy) -> dict[str, Freshness]:
    """Return how fresh images are wanted, for those that are wanted fresher than they may be: by hand, or by their age."""
    found: dict[str, Freshness] = {}
    for name, node in graph.nodes.items():
        if name in salt.rebuild:
            found[name] = Freshness(at=salt.now, why="it was asked for")
        elif age := node.settings.max_age or salt.max_age:
            seconds = shipway_yaml.seconds(age)
            # Each image has its own turn of the period, so that a thousand of them do not come due in one night.
            turn = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % seconds
            found[name] = Freshness(at=(salt.now + turn) // seconds * seconds - turn, why=f"it is older than {age}")
    return {name: item for name, item in found.items() if item.at > 0}


def _salt(node: ImageNode, moment: int) -> dict[str, str]:
    found = {"rebuild": node.settings.rebuild, _MOMENT: str(moment or "")}
    return {name: text for name, text in found.items() if text}
