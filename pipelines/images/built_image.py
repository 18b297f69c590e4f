"""The image that the step `build` left, as far as its digests and the checkout prove it.

A stranger's Dockerfile ran in the container that wrote it. So no link in it is followed, every blob is hashed before
anything is sent, and what its manifest says about its origin must be what the checkout says. Its manifest and its
configuration must be the texts that `build` writes: of a key that stands there twice, or in another case, each program
takes another one, and other fields (`subject`, `urls`) say something about other images, or where to fetch this one.
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
from pipelines.tools.registry.layout import CONFIG, LAYER, Descriptor, Json, Layout
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Digest

_LAYERS = (LAYER, f"{LAYER}+gzip", f"{LAYER}+zstd")
_MOST_BYTES = 50 << 30
"""Of an image's own layers, compressed: what the folder of `build` holds on a cluster."""


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
        registry_manifest.check_config(config, len(manifest.layers), f"cannot push {folder}")
        own = [blob for blob in manifest.blobs if not bases.has(blob.digest)]
        if sum(abs(blob.size) for blob in own) > _MOST_BYTES:  # A sparse file takes no room, and hours to hash.
            raise _refused(folder, f"layers of more than {_MOST_BYTES} bytes")
        damaged = [blob.digest for blob in own if not layout.is_intact(blob)]
    except Refused:
        raise
    except (OSError, ShipwayError, TypeError) as error:
        seen = f"{error.what}: {error.seen}" if isinstance(error, ShipwayError) else "fields of other types"
        raise _refused(folder, reason(error) if isinstance(error, OSError) else seen) from error
    if damaged:
        raise _refused(folder, f"different content under the name {damaged[0]}")
    diff_ids = [*map(str, (config.get("rootfs") or {}).get("diff_ids") or ())]
    base = image_config.base_of(diff_ids, [BaseImage.read(base, bases) for base in checkout.bases])
    _check_origin(manifest, config, base, facts)
    known = manifest.config.media_type == CONFIG and all(layer.media_type in _LAYERS for layer in manifest.layers)
    written = image_config.canonical(image_config.manifest(manifest.config, manifest.layers, base, facts))
    data = layout.read(manifest.config.digest)
    if not known or manifest.data != written or not image_config.is_as_written(config, data, facts):
        raise _refused(folder, "a manifest or a configuration of another form than builds have")
    return BuiltImage(layout=layout, descriptor=descriptor, size=sum(layer.size for layer in manifest.layers))


def _check_origin(manifest: Manifest, config: Json, base: BaseImage | None, facts: ImageFacts) -> None:
    """Raise Refused unless commit, time, source, name, version and base are those of the checkout."""
    expected, forced = image_config.image_annotations(base, facts), image_config.forced_labels(base, facts)
    labels = (config.get("config") or {}).get("Labels") or {}
    for which, has, wanted in (
        ("annotations", manifest.json.get("annotations"), expected),
        ("labels", {key: labels.get(key) for key in forced}, forced),
    ):
        if has != wanted:
            found = has if isinstance(has, dict) else {}
            differ = [f"{key} is not {wanted[key]!r}" for key in sorted(wanted) if found.get(key) != wanted[key]]
            raise Refused(
                f"the image's {which} are not those of {facts.name} at {facts.revision}",
                seen=", ".join(differ) or "there are more",
                todo="build it with the same checkout, name and version; if it was, look at what its Dockerfile runs",
            )


def _refused(folder: Path, seen: str) -> Refused:
    return Refused(f"{folder} does not hold the image that was built", seen=seen, todo="run the step build again")
