"""The key of an image: a hash over everything that decides its bytes and is known before it is built.

Left out on purpose: the commit and its time, which are facts about the first build; where the image is published; and
the values of secrets, which must not decide what an image contains.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from functools import cached_property

from pipelines.declared import shipway_yaml
from pipelines.images.names import platform_of, published_as
from pipelines.images.node import BuildTarget, Edge, Graph, ImageNode

_FORMAT = 1
"""Of the images that Shipway makes; a new number builds everything again."""
_MOMENT = "moment"
_NONE: Mapping[str, int] = {}


@dataclass(frozen=True, kw_only=True)
class RebuildPolicy:
    """When to build images again although nothing changed."""

    now: int = 0
    """Seconds since 1970; used for ages alone."""
    max_age: str = ""
    """For images without an age in shipway.yaml."""
    rebuild: Collection[str] = ()
    """Names of images to build again."""


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """How fresh an image must be."""

    at: int
    """The earliest moment that it may have been built for, in seconds since 1970; with an age, the present moment."""
    why: str
    age: int = 0
    """The seconds after which it is too old; 0: only `at` counts."""

    def moment(self, last: int, built: int) -> int:
        """Return the moment that an image is to be built for: that of its last renewal, unless it is not fresh enough.

        `built` is when it was last built, 0 if nobody knows. Until it is built, the moment stays the same for a whole
        age, so that all runs ask for the same build.
        """
        if not self.age:
            return max(last, self.at)
        since = max(last, built)
        ages = (self.at - since) // self.age
        return since + ages * self.age if ages > 0 else last


@dataclass(frozen=True, kw_only=True)
class KeyInputs:
    """Everything that decides an image, as text; the fields' names are part of the hash."""

    context: str
    dockerfile: str
    build_args: tuple[str, ...]
    target: str
    platform: str
    images: Mapping[str, str]
    """The digest of each image from outside, for the platform, by its name in the Dockerfile,
    with its platform if that is another one."""
    parents: Mapping[str, str]
    """The key of each image of the same repository that it depends on, by name."""
    builder: str
    """Kind and version."""
    compression: str
    version: str
    """The image's own, as in its labels; empty for most."""
    salt: Mapping[str, str]
    """Texts that force a build although nothing changed: `rebuild` of shipway.yaml, the moment of a renewal, secrets
    that are mounted and not declared."""

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
        """The moment of its renewal in seconds since 1970; 0 if it has none."""
        return int(self.salt.get(_MOMENT, "0"))

    def _hash(self, salt: Mapping[str, str]) -> str:
        parts = {field.name: getattr(self, field.name) for field in fields(self)} | {"salt": salt}
        text = json.dumps([_FORMAT, parts], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def key_inputs(
    graph: Graph, target: BuildTarget, bases: Mapping[tuple[str, str], str], moments: Mapping[str, int] = _NONE
) -> dict[str, KeyInputs]:
    """Return the inputs of each image's key, unless the image is blocked or the key of something below it is unknown.

    `bases` maps names of images from outside, as Dockerfiles have them, and platforms to digests. `moments` are the
    moments of renewals, by the image's name.
    """
    inputs: dict[str, KeyInputs] = {}
    parents: dict[str, str] = {}
    for name, node in graph.nodes.items():
        wanted = {one.id: (one.name, one.platform or node.platform) for one in node.externals}
        is_whole = node.is_index or node.context is not None
        if (
            node.blocked
            or not is_whole
            or not {*wanted.values()} <= bases.keys()
            or any(edge.name not in parents for edge in node.parents)
        ):
            continue
        # An index is nothing but what it lists.
        builder = "" if node.is_index else f"{target.builder} {target.builder_version}"
        inputs[name] = KeyInputs(
            context=node.context.digest if node.context else "",
            dockerfile=node.dockerfile,
            build_args=node.build_args,
            target="" if node.is_index else node.settings.target,
            platform=node.platform,
            images={written: bases[base] for written, base in wanted.items()},
            parents={parent_name(node, edge): parents[edge.name] for edge in node.parents},
            builder=builder,
            compression="" if node.is_index else target.compression,
            version=node.settings.version,
            salt={} if node.is_index else _salt(node, moments.get(name, 0)),
        )
        parents[name] = inputs[name].key
    return inputs


def parent_name(node: ImageNode, edge: Edge) -> str:
    """Return the name of a parent in the key of an image.

    That of its own platform goes without the platform's name, so that an image keeps its key when others are added.
    """
    is_own = not node.is_index and platform_of(edge.name) == node.platform
    return published_as(edge.name) if is_own else edge.name


def freshness(graph: Graph, policy: RebuildPolicy, *, has_ages: bool = True) -> dict[str, Freshness]:
    """Return how fresh images must be, for those that a policy or an age of their own says something about.

    Without ages, only what is asked for counts.
    """
    required: dict[str, Freshness] = {}
    for name, node in ((name, node) for name, node in graph.nodes.items() if not node.is_index):
        age = (node.settings.max_age or policy.max_age) if has_ages else ""
        if name in policy.rebuild:
            required[name] = Freshness(at=policy.now, why="it was asked for")
        elif age:
            required[name] = Freshness(at=policy.now, age=shipway_yaml.seconds(age), why=f"it is older than {age}")
    return {name: item for name, item in required.items() if item.at > 0}


def _salt(node: ImageNode, moment: int) -> dict[str, str]:
    texts = {"rebuild": node.settings.rebuild, _MOMENT: str(moment or ""), "without": ",".join(node.without)}
    return {name: text for name, text in texts.items() if text}
