"""What registries say about the images of a plan, as values: what is there, what is not, and what nobody said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one name in a registry names: a digest; nothing, where all is empty; or something that is not known."""

    digest: str = ""
    unknown: str = ""
    """Why there was no answer."""
    wrong: str = ""
    """Why what is there cannot be used."""
    notes: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Its annotations."""

    @property
    def absent(self) -> bool:
        """Whether the registry said that there is nothing."""
        return not (self.digest or self.unknown or self.wrong)


NOT_ASKED = Answer(unknown="it was not asked")


@dataclass(frozen=True, kw_only=True)
class Previous:
    """An image that was published before under the same name, by what it says of itself."""

    tag: str
    revision: str
    base_name: str
    base_digest: str


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Every answer that a plan needs."""

    keys: Mapping[str, Answer] = field(default_factory=dict)
    """What each image's key names, by the image's name."""
    tags: Mapping[tuple[str, str], Answer] = field(default_factory=dict)
    """What the tags of an image name that are to name it, by the image's name and the tag."""
    previous: Mapping[str, Previous] = field(default_factory=dict)
    """For images to build."""
