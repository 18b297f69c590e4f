"""The image that the step `build` left, as far as its digests and the checkout prove it.

A stranger's Dockerfile ran in the container that wrote it. So no link in it is followed, every blob is hashed before
anything is sent, and what its manifest says about its origin must be what the checkout says.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from pipelines.errors import Refused, ShipwayError, reason
from pipelines.images import image_config
from pipelines.images.image_config import BaseImage, ImageFacts
from pipelines.images.model import Checkout
from pipelines.tools.registry import manifest as registry_manifest
from pipelines.tools.registry.layout import Descriptor, Json, Layout
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Digest


class BuiltLayout(Layout):
    """The layout of a build, with the layers of bases from where they were fetched."""

    def __init__(self, path: Path, bases: Layout) -> None:
        super().__init__(path)
        self._bases = bases

    def has(self, digest: Digest) -> bool:
        """Whether a base or the layout has the content."""
        return self._bases.has(digest) or super().has(digest)

    def open(self, digest: Digest) -> BufferedReader:
        """Return a blob of a base or else of the layout; raises as Layout does."""
        return self._bases.open(digest) if self._bases.has(digest) else super().open(digest)


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """An image whose content is proven by its digest, and its origin by the checkout."""

    layout: Layout
    descriptor: Descriptor
    size: int
    """Bytes of the layers, compressed."""


def proven(folder: Path, bases: Layout, checkout: Checkout, facts: ImageFacts) -> BuiltImage:
    """Return the one image of a layout.

    Raises Refused if the folder holds anything but one image, if a blob is missing or does not match its digest, or if
    the image claims another origin than the checkout's.
    """
    layout = BuiltLayout(folder, bases)
    try:
        descriptor = layout.named()
        manifest = registry_manifest.read(
            layout.read(descriptor.digest), content_type=descriptor.media_type, what=f"cannot push {folder}"
        )
        if manifest.is_index:
            raise _refused(folder, "an index of images")
        config = layout.json(manifest.config.digest)
        damaged = [blob.digest for blob in manifest.blobs if not bases.has(blob.digest) and not layout.is_intact(blob)]
    except Refused:
        raise
    except (OSError, ShipwayError, TypeError) as error:
        seen = f"{error.what}: {error.seen}" if isinstance(error, ShipwayError) else "fields of other types"
        raise _refused(folder, reason(error) if isinstance(error, OSError) else seen) from error
    if damaged:
        raise _refused(folder, f"different content under the name {damaged[0]}")
    _check_origin(manifest, config, bases, checkout, facts)
    return BuiltImage(layout=layout, descriptor=descriptor, size=sum(layer.size for layer in manifest.layers))


def _check_origin(manifest: Manifest, config: Json, bases: Layout, checkout: Checkout, facts: ImageFacts) -> None:
    """Raise Refused unless commit, time, source, name, version and base are those of the checkout."""
    rootfs = config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    images = [BaseImage.read(base, bases) for base in checkout.bases]
    base = image_config.base_of(diff_ids if isinstance(diff_ids, list) else [], images)
    expected, found = image_config.image_annotations(base, facts), manifest.json.get("annotations")
    fields = config.get("config")
    labels = fields.get("Labels") if isinstance(fields, dict) else None
    forced = image_config.forced_labels(base, facts)
    own = {key: labels.get(key) for key in forced} if isinstance(labels, dict) else {}
    for which, has, wanted in (
        ("annotations", found if isinstance(found, dict) else {}, expected),
        ("labels", own, forced),
    ):
        if has != wanted:
            differ = sorted(key for key in {*has, *wanted} if has.get(key) != wanted.get(key))
            raise Refused(
                f"the image's {which} are not those of {facts.name} at {facts.revision}",
                seen=", ".join(f"{key} is {str(has.get(key))[:100]!r}, not {wanted.get(key)!r}" for key in differ[:10]),
                todo="build it with the same checkout, name and version; if it was, look at what its Dockerfile runs",
            )


def _refused(folder: Path, seen: str) -> Refused:
    return Refused(f"{folder} does not hold the image that was built", seen=seen, todo="run the step build again")
