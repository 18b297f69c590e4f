"""The state of registries that a plan of images starts from, as values: published, absent, or unknown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

VERSION = "org.opencontainers.image.version"
REVISION = "org.opencontainers.image.revision"
SOURCE = "org.opencontainers.image.source"
FOLDER = "io.shipway.folder"
"""Annotation of a chart that was published from a folder of a machine: its source is what the chart itself says."""
_MOMENT = re.compile(r"[0-9]{1,12}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
RENEWED_FOR = "io.shipway.renewed-for"
RENEWAL = "io.shipway.renewal"
"""Annotations under a lasting key of an image that was renewed: the moment, and the digest of the renewed image."""


@dataclass(frozen=True, kw_only=True)
class TagState:
    """What one reference names: a digest, nothing (all fields are empty), or something unknown or unusable."""

    digest: str = ""
    unknown: str = ""
    """Why the state is unknown."""
    wrong: str = ""
    """Why the image cannot be used."""
    todo: str = ""
    """What a person can do about it."""
    annotations: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def absent(self) -> bool:
        """Whether the registry reported that there is no such image."""
        return not (self.digest or self.unknown or self.wrong)

    @property
    def source(self) -> str:
        """The public address of the repository that it was published from; empty if its annotations do not say."""
        is_proven = self.annotations.get(REVISION) and FOLDER not in self.annotations
        return str(self.annotations.get(SOURCE, "")) if is_proven else ""

    @property
    def moment(self) -> int:
        """The moment of the renewal that a lasting key leads to, in seconds since 1970; else 0."""
        is_renewed = _MOMENT.fullmatch(text := self.annotations.get(RENEWED_FOR, ""))
        return int(text) if is_renewed and _DIGEST.fullmatch(self.annotations.get(RENEWAL, "")) else 0


NOT_ASKED = TagState(unknown="it was not asked")


@dataclass(frozen=True, kw_only=True)
class BuildTimes:
    """When images of one name were last built, as its tags say, whoever built them."""

    seconds: Mapping[str, int] = field(default_factory=dict)
    """Since 1970, by lasting key."""
    unknown: str = ""
    """Why the tags are unknown."""


@dataclass(frozen=True, kw_only=True)
class PreviousImage:
    """An image that was published before under the same name, by its own annotations."""

    tag: str
    revision: str
    base_name: str
    base_digest: str
    source: str = ""
    """The repository that it was published from; empty if it does not say."""


@dataclass(frozen=True, kw_only=True)
class SourceChanges:
    """What changed in a repository since the commit that an image was last built from."""

    files: tuple[str, ...]
    """Of the image."""
    settings: bool
    """Whether shipway.yaml changed, for this image or for others."""


@dataclass(frozen=True, kw_only=True)
class RegistryState:
    """Everything that a plan needs to know of the registry."""

    keys: Mapping[str, TagState] = field(default_factory=dict)
    """The state of each image's key, by the image's name."""
    tags: Mapping[tuple[str, str], TagState] = field(default_factory=dict)
    """The state of each tag that an image should have, by the image's name and the tag."""
    previous: Mapping[str, PreviousImage] = field(default_factory=dict)
    """The image to compare with, for images to build."""
    candidates: tuple[str, ...] = ()
    """The tags that were asked for these."""
    behind: Mapping[str, str] = field(default_factory=dict)
    """For images that must be fresher: the digest that the lasting key still leads to, or an empty string; by name."""

    owners: Mapping[str, str] = field(default_factory=dict)
    """The repositories that other tags say, for names of which these say nothing."""

    def sources(self, name: str) -> tuple[str, ...]:
        """Return the repositories that the known images of a name were published from; some may be empty."""
        previous = self.previous.get(name)
        sources = (state.source for state in self._states(name))
        return (*sources, previous.source if previous else "", self.owners.get(name, ""))

    def says_whose(self, name: str) -> bool:
        """Whether a known image of a name says a repository, or a revision alone, as one from a folder does.

        Such an image was published when no tag said that the name was another repository's.
        """
        return any(self.sources(name)) or any(REVISION in state.annotations for state in self._states(name))

    def _states(self, name: str) -> list[TagState]:
        return [self.keys.get(name, NOT_ASKED), *self._tags_by_name.get(name, ())]

    @cached_property
    def _tags_by_name(self) -> Mapping[str, list[TagState]]:
        found: dict[str, list[TagState]] = {}
        for (name, _), state in self.tags.items():
            found.setdefault(name, []).append(state)
        return found
