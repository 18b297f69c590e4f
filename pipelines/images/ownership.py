"""Who owns a name in a registry: the repository that published what the name's tags name now.

A manifest says its repository in the annotation `source`, which counts beside a `revision` alone: `helm push` writes
the first address of a chart's own `sources` there, without a revision, and a chart that Shipway published from a folder
has a mark beside it. Labels do not count, since an image inherits
those of its base. A manifest without a public address of its repository owns nothing, and a repository without one, a
folder of this machine, owns no name that somebody else's manifest has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pipelines import settings as setting_texts
from pipelines.errors import Refused, Transient
from pipelines.images.registry_state import TagState
from pipelines.images.tag_names import LATEST, is_lasting, version_of
from pipelines.step.log import say
from pipelines.tools.git.address import public_address
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Reference

ANY = "any"
"""As the setting `shared-names`: every name may be published by every repository."""
USUAL = (LATEST, "main", "master")
"""The tags that most likely name the current image, behind the tags that a run is to move."""
_MOST_ASKED = 20
"""Other tags of a name that are asked, where none of these says a repository."""


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """A repository that publishes, and whose names it may publish under."""

    repo: str
    """Its address, as it was asked for."""
    formerly: tuple[str, ...] = ()
    """Its earlier addresses: what was published from there is its own."""
    shared: str = ""
    """The setting `shared-names`: names that several repositories publish under on purpose, or `any`."""

    def shares(self, name: str) -> bool:
        """Whether a name is shared on purpose."""
        return bool(setting_texts.names(self.shared) & {ANY, name})

    def other(self, name: str, sources: Iterable[str]) -> str:
        """Return the first of some sources that is another repository, to whom the name belongs; else an empty string.

        `name` is that of an image or a chart, without registry and project; a source may be empty.
        """
        if self.shares(name):
            return ""
        own = {_identity(self.repo), *map(_identity, self.formerly)}
        return next((source for source in sources if _identity(source) not in {"", *own}), "")

    def words(self, name: str, owner: str) -> str:
        """Return why a name that belongs to another repository is not published under; both are named."""
        return f"{name} was published from {owner}, not from {public_address(self.repo) or self.repo}"

    def require(self, reference: Reference, source: str) -> None:
        """Raise Refused if what a tag names was published from another repository."""
        name = last_part(reference)
        if owner := self.other(name, [source]):
            raise Refused(
                f"the name {reference.name} belongs to another repository",
                seen=f"{self.words(f'the tag {reference.tag}', owner)}",
                todo=TODO,
            )


TODO = (
    "publish under another name; if this repository was renamed, list its old address under `formerly` in shipway.yaml;"
    " if both are to publish under it, put it into the setting `shared-names`"
)


def _identity(address: str) -> str:
    """Return host and path of a repository, the same for https and ssh; an empty string for a folder.

    What a label says is an address whose end was cut once: cut to the same end, it is the address that it was made of.
    """
    text = public_address(address).partition("://")[2]
    while text != (shorter := text.rstrip("/").removesuffix(".git")):
        text = shorter
    return text


def last_part(reference: Reference) -> str:
    """Return the name of an image or a chart, without registry and project."""
    return reference.repository.rpartition("/")[2]


def of_manifest(manifest: Manifest) -> str:
    """Return the public address of the repository that a manifest was published from; empty if it does not say."""
    return TagState(annotations=manifest.annotations).source


def require(client: Registry, image: Reference, tags: Sequence[str], publisher: Publisher) -> None:
    """Raise Refused if a name belongs to another repository, by the first tag that names an image of any.

    `tags` are those that the run is to move, in order. A tag that cannot be read says nothing: moving it repairs it.
    Raises Transient if the registry does not list its tags.
    """
    if publisher.shares(last_part(image)):
        return
    usual = dict.fromkeys((*tags, *USUAL))
    reference, source = _first(client, image, usual) or other_tag(client, image, usual) or (image, "")
    publisher.require(reference, source)


def other_tag(client: Registry, image: Reference, known: Collection[str]) -> tuple[Reference, str] | None:
    """Return the first tag beside the known ones that says a repository, and that repository; None if none does.

    Versions come first, the highest before all, then branches, then the tags of builds. Raises Transient.
    """
    rest = sorted({*client.tags(image)} - {*known}, key=lambda tag: (is_lasting(tag), tag))
    versions = sorted(((version, tag) for tag in rest if (version := version_of(tag))), reverse=True)
    listed = dict.fromkeys((*(tag for _, tag in versions), *rest))
    return _first(client, image, [*listed][:_MOST_ASKED])


def _first(client: Registry, image: Reference, tags: Iterable[str]) -> tuple[Reference, str] | None:
    for tag in tags:
        reference = image.with_tag(tag)
        try:
            manifest = client.resolve(reference)
        except Transient as error:
            say(f"what {reference} names is unknown: {error.seen}")
            continue
        if manifest is not None and (source := of_manifest(manifest)):
            return reference, source
    return None
