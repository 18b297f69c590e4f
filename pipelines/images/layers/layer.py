"""One layer: its media type, its plain tar, and its compressed form, which is the same bytes on every machine.

The pinned package `zstandard` runs in its multi-threaded mode, whose output does not depend on the number of workers.
Gzip is Python's zlib, whose output may differ if a distribution replaces zlib; it is for registries and runtimes that
know nothing newer.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, cast

import zstandard

from pipelines.errors import Misconfigured, ShipwayError
from pipelines.images.layers import tar as layer_tar
from pipelines.tools.registry.layout import LAYER, Descriptor, Json, Layout
from pipelines.tools.registry.reference import Digest

COMPRESSIONS = ("zstd", "gzip")
_MOST_WORKERS = 4
"""More would cost memory, and the rest of the work could not keep up with them."""
_TYPES = {
    LAYER: LAYER,
    LAYER + "+gzip": LAYER + "+gzip",
    LAYER + "+zstd": LAYER + "+zstd",
    "application/vnd.docker.image.rootfs.diff.tar": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER + "+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": LAYER + "+zstd",
}


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def descriptor(entry: Json) -> Descriptor:
    """Return a manifest's layer with OCI's own media type; raises ShipwayError if the type is not supported."""
    read = Descriptor.read(entry)
    if read.media_type not in _TYPES:
        raise ShipwayError(
            "a layer has a media type that is not built on",
            seen=f"{read.media_type} of {read.digest}",
            todo="take a base whose layers are plain, gzip or zstd tar archives",
        )
    return Descriptor(media_type=_TYPES[read.media_type], digest=read.digest, size=read.size)


def check(compression: str) -> str:
    """Return the compression; raises Misconfigured if it is unknown."""
    if compression not in COMPRESSIONS:
        raise Misconfigured(
            "the setting compression is not known", seen=repr(compression), todo=f"use {' or '.join(COMPRESSIONS)}"
        )
    return compression


@contextmanager
def plain(path: Path, media_type: str) -> Iterator[IO[bytes]]:
    """Give the layer's tar, decompressed as it is read."""
    with path.open("rb") as file:
        if media_type.endswith("+gzip"):
            with gzip.open(file) as unpacked:
                yield cast("IO[bytes]", unpacked)
        elif media_type.endswith("+zstd"):
            with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream:
                yield stream
        else:
            yield file


def compress(tar: IO[bytes], layout: Layout, compression: str, diff_id: Digest) -> tuple[Descriptor, Digest]:
    """Store a layer, cleaned, in a layout; return its descriptor and the digest of the cleaned plain tar.

    Raises ShipwayError if the tar does not match `diff_id`.
    """
    worker = _compressor(compression)
    unpacked, packed, size = hashlib.sha256(), hashlib.sha256(), 0
    # One hash serves the tar before and after cleaning until they differ: most layers need no cleaning.
    source = unpacked
    with layout.writer() as file:

        def put(data: bytes) -> int:
            packed.update(data)
            return file.write(data)

        for read, kept in layer_tar.cleaned(tar):
            if source is unpacked and kept is not read:
                source = unpacked.copy()
            if source is not unpacked:
                source.update(read)
            unpacked.update(kept)
            size += put(worker.compress(kept))
        size += put(worker.flush())
        if source.hexdigest() != diff_id.hex:
            raise ShipwayError(
                "the builder wrote a layer that is not the one it describes",
                seen=f"sha256:{source.hexdigest()} for {diff_id}",
                todo="empty the builder's cache and build again",
            )
    digest = Digest("sha256:" + packed.hexdigest())
    layout.adopt(Path(file.name), digest)
    described = Descriptor(media_type=f"{LAYER}+{compression}", digest=digest, size=size)
    return described, Digest("sha256:" + unpacked.hexdigest())


def _compressor(compression: str) -> _Compressor:
    if compression == "gzip":
        return zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        3, threads=min(os.cpu_count() or 1, _MOST_WORKERS), write_checksum=True, write_content_size=False
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compressobj()
