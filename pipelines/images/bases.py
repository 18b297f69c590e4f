"""The images that a Dockerfile is based on: fetched by digest before anything is built."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipelines.declared import shipway_yaml
from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError
from pipelines.images import names as image_names
from pipelines.images import tag_names
from pipelines.images.dockerfile import ExternalImage
from pipelines.images.image_config import BaseImage
from pipelines.images.model import Base
from pipelines.images.names import Image
from pipelines.tools.registry.client import NoImage, Registry
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.reference import Digest, Reference, key_tag

_AT_ONCE = 4
_NONE: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class BaseRequest:
    """One image to fetch, and the line that names it, for messages."""

    external: ExternalImage
    where: str
    reference: Reference
    parent: Image | None
    """The image of the same repository that is meant."""
    digest: str = ""
    """Of the image to fetch, whatever the reference names by now; empty: what it names."""

    @property
    def taken(self) -> Reference:
        """The reference to fetch."""
        return self.reference.with_digest(self.digest) if self.digest else self.reference


def read_pins(texts: Sequence[str]) -> dict[str, str]:
    """Return the digest or key of each name, from texts of the form name=sha256:… or name=key-…; raises Misuse."""
    pins = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        key = value.removeprefix("key-")
        if not name or (value == key and not value.startswith("sha256:")):
            raise Misuse("not a pin", seen=repr(text[:200]), todo="write name=sha256:… or name=key-…")
        pins[name] = key if value != key else Digest(value)
        if value != key:
            key_tag(key)
    return pins


def requests(
    externals: Iterable[ExternalImage],
    known: Sequence[Image],
    user: Image,
    *,
    commit: str,
    registry: str,
    project: str,
    pins: Mapping[str, str] = _NONE,
    clashing: Collection[str] = (),
) -> tuple[BaseRequest, ...]:
    """Return what to fetch for each name: a sibling as this commit's image, any other image as it is written.

    `pins` maps names to the sibling's key or the digest of a plan. Raises Misuse with the line if a name is not an
    image's, Refused if it is one of those of several images, `clashing`, and Misconfigured if a sibling is meant and no
    registry is set.
    """
    found = []
    for external in externals:
        where = f"{user.dockerfile}:{external.line}"
        pin = pins.get(external.id, "")
        bare = image_names.bare_name(external.name, registry=registry, project=project)
        if bare in clashing and bare != user.name and not pin:
            raise Refused(
                f"{where}: {external.name} may be one of several images of this repository",
                seen=f"they have the same name, {bare}",
                todo=f"name one of them in {shipway_yaml.NAME}",
            )
        parent = _parent(external, pin, known, user, registry=registry, project=project)
        if parent and not registry:
            raise Misconfigured(
                f"{where}: {external.name} is an image of this repository, and no registry is set to fetch it from",
                todo="set registry",
            )
        try:
            if parent:
                tag = key_tag(pin) if pin else tag_names.commit_tag(commit)
                reference = Reference.under(registry, project, parent.name, tag=tag)
            else:
                reference = Reference.parse(external.name)
        except ShipwayError as error:
            raise _at(where, error) from error
        if not reference.tag and not reference.digest:
            reference = reference.with_tag("latest")
        found.append(
            BaseRequest(
                external=external, where=where, reference=reference, parent=parent, digest="" if parent else pin
            )
        )
    return tuple(found)


def _parent(
    external: ExternalImage, pin: str, known: Sequence[Image], user: Image, *, registry: str, project: str
) -> Image | None:
    """Return the sibling that a name means: by the plan, which also knows shipway.yaml, else by the folders' names."""
    if not pin:
        return image_names.sibling(external.name, known, registry=registry, project=project, user=user.name)
    if pin.startswith("sha256:"):
        return None
    name = image_names.bare_name(external.name, registry=registry, project=project)
    return next((image for image in known if image.name == name), Image(name=name, path=name, dockerfile=""))


def fetch(
    items: Sequence[BaseRequest],
    registry: Registry,
    folder: Path,
    *,
    platform: str,
    commit: str,
    kept: Layout | None = None,
) -> tuple[Base, ...]:
    """Fetch the images in parallel into a new layout, and return them in the order of `items`.

    An image with two names is fetched once, and blobs in `kept` are not fetched; see Registry.pull. Raises the errors
    of the registry with the line that names the image, and ShipwayError if a sibling is not published for the commit.
    """
    (folder / "index.json").unlink(missing_ok=True)
    layout = Layout.create(folder)
    for partial in (folder / "blobs").glob("partial-*"):
        partial.unlink()
    first = {(str(item.taken), item.external.platform or platform): item for item in reversed(items)}
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        futures = {
            key: pool.submit(registry.pull, item.taken, layout, platform=key[1], kept=kept)
            for key, item in first.items()
        }
    found = []
    for item in items:
        try:
            pulled = futures[str(item.taken), item.external.platform or platform].result()
        except NoImage as error:
            raise (_unpublished(item, item.parent, commit) if item.parent else _at(item.where, error)) from error
        except ShipwayError as error:
            raise _at(item.where, error) from error
        found.append(
            Base(
                name=item.external.id,
                reference=str(item.reference),
                resolved=pulled.resolved,
                digest=pulled.descriptor.digest,
                sibling=item.parent is not None,
            )
        )
    return tuple(found)


def triggers(layout: Layout, fetched: Iterable[Base]) -> dict[str, tuple[str, ...]]:
    """Return the ONBUILD texts in the configuration of each image, by its name in the Dockerfile."""
    return {base.name: BaseImage.read(base, layout).triggers for base in fetched}


def _unpublished(item: BaseRequest, parent: Image, commit: str) -> ShipwayError:
    return ShipwayError(
        f"{item.where}: the parent {parent.name} is not published for commit {commit}",
        seen=f"{item.reference} does not exist",
        todo=f"build {parent.path} first, or see why its build failed; `shipway build` builds all in order",
    )


def _at(where: str, error: ShipwayError) -> ShipwayError:
    return type(error)(f"{where}: {error.what}", seen=error.seen, todo=error.todo)
