"""A store of compressed layers, found by the digest of their plain tar.

A layer of a base keeps the blob of its registry, so that the two images share it. A layer that this machine compressed
before is taken from the cache: compression is deterministic, so this saves time and changes nothing. Of all layers in
the cache, a builder gets only those of the last build of the same image: each costs a file, and others rarely come
again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipelines.bounds import read_json
from pipelines.errors import ShipwayError
from pipelines.images.layers import layer
from pipelines.tools.registry.layout import Descriptor, Layout
from pipelines.tools.registry.reference import Digest


@dataclass(frozen=True)
class Stored:
    """A layer as images have it: its blob, and the digest of its cleaned plain tar."""

    descriptor: Descriptor
    diff_id: Digest


class LayerStore:
    """The layers of some bases, and those in a folder of the cache."""

    def __init__(
        self, cache: Path, compression: str, bases: Layout, manifests: Sequence[Digest], *, image: str
    ) -> None:
        """Open the store of a cache; `image` is a text that is the same for every build of the image."""
        self._kept = self.layout(cache)
        self._compression = compression
        self._notes = self._kept.path / compression
        self._image = self._notes / "images" / hashlib.sha256(image.encode()).hexdigest()
        self._image.parent.mkdir(parents=True, exist_ok=True)
        self._of_bases: dict[Digest, tuple[Layout, Descriptor]] = {}
        self._bases = bases
        for manifest in manifests:
            self._index(manifest)

    @staticmethod
    def layout(cache: Path) -> Layout:
        """Return the layout of a cache's folder, which keeps layers and other blobs of images."""
        return Layout.create(cache.resolve() / "layers")

    def at_hand(self) -> frozenset[Digest]:
        """Return the plain digests of the bases' layers and of the image's last ones, as far as `put` finds them, and
        the stored digests of the bases' layers."""
        try:
            last = [Digest(line) for line in self._image.read_text(encoding="ascii").split()]
        except (OSError, ValueError, ShipwayError):
            last = []
        kept = {diff_id for diff_id in last if self._find(diff_id)}
        return frozenset(kept | set(self._of_bases) | {found.digest for _, found in self._of_bases.values()})

    def remember(self, diff_ids: Sequence[Digest]) -> None:
        """Remember the layers of this build, by the digests of the builder's plain tars."""
        self._write(self._image, "".join(f"{diff_id}\n" for diff_id in diff_ids))

    def put(self, diff_id: Digest, layout: Layout) -> Stored | None:
        """Add a layer to a layout and return it, or None if it is not in the store."""
        found = self._find(diff_id)
        if found is None:
            return None
        source, stored = found
        # What a base has stays there: it may be on another volume, and publishing takes it from the base.
        add = layout.refer if source is self._bases else layout.link
        add(source.blob(stored.descriptor.digest), stored.descriptor.digest)
        return stored

    def compress(self, diff_id: Digest, source: Layout, written: Descriptor, layout: Layout) -> Stored:
        """Clean and compress a layer that a builder wrote, and add it to the store and to a layout.

        Raises ShipwayError.
        """
        with layer.plain(source.blob(written.digest), written.media_type) as tar:
            stored = self.keep(diff_id, tar)
        layout.link(self._kept.blob(stored.descriptor.digest), stored.descriptor.digest)
        return stored

    def keep(self, diff_id: Digest, tar: IO[bytes]) -> Stored:
        """Clean and compress a layer's plain tar, and add it to the store.

        Raises ShipwayError if the digest differs.
        """
        stored = Stored(*layer.compress(tar, self._kept, self._compression, diff_id))
        self._write(self._notes / diff_id.hex, json.dumps({**stored.descriptor.json(), "diffId": str(stored.diff_id)}))
        return stored

    def _find(self, diff_id: Digest) -> tuple[Layout, Stored] | None:
        if diff_id in self._of_bases:
            layout, of_base = self._of_bases[diff_id]
            return layout, Stored(of_base, diff_id)
        try:
            note = read_json((self._notes / diff_id.hex).read_bytes(), "a note of a layer")
            descriptor, cleaned = Descriptor.read(note), Digest(note["diffId"])
            size = self._kept.blob(descriptor.digest).stat().st_size
        except (OSError, ValueError, KeyError, TypeError, ShipwayError):
            return None
        return (self._kept, Stored(descriptor, cleaned)) if size == descriptor.size else None

    def _write(self, path: Path, text: str) -> None:
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_text(text, encoding="ascii")
        partial.replace(path)

    def _index(self, manifest: Digest) -> None:
        described = self._bases.json(manifest)
        config = self._bases.json(Digest(described["config"]["digest"]))
        diff_ids = [Digest(text) for text in config["rootfs"]["diff_ids"]]
        for diff_id, entry in zip(diff_ids, described["layers"], strict=True):
            self._of_bases.setdefault(diff_id, (self._bases, layer.descriptor(entry)))
