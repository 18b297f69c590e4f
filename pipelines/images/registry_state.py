"""The state of registries that a plan of images starts from, as values: published, absent, or unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

VERSION = "org.opencontainers.image.version"
REVISION = "org.opencontainers.image.revision"
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
    def moment(self) -> int:
        """The moment of the renewal that a lasting key leads to, in seconds since 1970; else 0."""
        text = self.annotations.get(RENEWED_FOR, "")
        return int(text) if text.isdecimal() and self.annotations.get(RENEWAL, "").startswith("sha256:") else 0


NOT_ASKED = TagState(unknown="it was not asked")


@dataclass(frozen=True, kw_only=True)
class PreviousImage:
    """An image that was published before under the same name, by its own annotations."""

    tag: str
    revision: str
    base_name: str
    base_digest: str


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
