"""What registries say about the images of a plan, as values: what is there, what is not, and what nobody said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RENEWED_FOR = "io.shipway.renewed-for"
RENEWAL = "io.shipway.renewal"
"""Annotations of what a lasting key names once an image was built again: the moment, and the digest of the image."""


@dataclass(frozen=True, kw_only=True)
class TagState:
    """What one name in a registry names: a digest; nothing, where all is empty; or something that is not known."""

    digest: str = ""
    unknown: str = ""
    """Why there was no answer."""
    wrong: str = ""
    """Why what is there cannot be used."""
    todo: str = ""
    """What a person can do about that."""
    notes: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Its annotations."""

    @property
    def absent(self) -> bool:
        """Whether the registry said that there is nothing."""
        return not (self.digest or self.unknown or self.wrong)

    @property
    def moment(self) -> int:
        """The moment that the image was renewed for, where a lasting key leads to a renewal; else 0."""
        text = self.notes.get(RENEWED_FOR, "")
        return int(text) if text.isdecimal() and self.notes.get(RENEWAL, "").startswith("sha256:") else 0


NOT_ASKED = TagState(unknown="it was not asked")


@dataclass(frozen=True, kw_only=True)
class PreviousImage:
    """An image that was published before under the same name, by what it says of itself."""

    tag: str
    revision: str
    base_name: str
    base_digest: str


@dataclass(frozen=True, kw_only=True)
class SourceChanges:
    """What is otherwise in a repository than it was at the commit that an image was last built from."""

    files: tuple[str, ...]
    """Of the image."""
    settings: bool
    """Whether shipway.yaml says something else, of this image or of others."""


@dataclass(frozen=True, kw_only=True)
class RegistryState:
    """Every answer that a plan needs."""

    keys: Mapping[str, TagState] = field(default_factory=dict)
    """What each image's key names, by the image's name."""
    tags: Mapping[tuple[str, str], TagState] = field(default_factory=dict)
    """What the tags of an image name that are to name it, by the image's name and the tag."""
    previous: Mapping[str, PreviousImage] = field(default_factory=dict)
    """For images to build."""
    candidates: tuple[str, ...] = ()
    """The tags that were looked at for these."""
    behind: Mapping[str, str] = field(default_factory=dict)
    """What the lasting key still names of images that are wanted fresher, or an empty string; by the image's name."""
