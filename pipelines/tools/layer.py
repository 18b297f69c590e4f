"""One layer: its media type, its plain tar, and its compressed form, which is the same bytes on every machine.

Zstandard comes from the pinned package `zstandard`, in its multi-threaded mode with one worker: the output of that mode
does not depend on the number of workers. Gzip comes from Python's zlib, whose output may differ where a distribution
replaces zlib; it is for registries and runtimes that know nothing newer.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, cast

import zstandard

from pipelines.errors import Misconfigured, ShipwayError
from pipelines.model.reference import Digest
from pipelines.tools import layer_tar
from pipelines.tools.layout import LAYER, Descriptor, Json, Layout

COMPRESSIONS = ("zstd", "gzip")
_CHUNK = 1 << 20
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
    """Return a manifest's layer in OCI's own types; raises ShipwayError for one that images must not be made of."""
    read = Descriptor.read(entry)
    if read.media_type not in _TYPES:
        raise ShipwayError(
            "a layer has a media type that is not built on",
            seen=f"{read.media_type} of {read.digest}",
            todo="take a base whose layers are plain, gzip or zstd tar archives",
        )
    return Descriptor(media_type=_TYPES[read.media_type], digest=read.digest, size=read.size)


def check(compression: str) -> str:
    """Return the compression when there is such; raises Misconfigured."""
    if compression not in COMPRESSIONS:
        raise Misconfigured(
            "the setting compression is not known", seen=repr(compression), todo=f"use {' or '.join(COMPRESSIONS)}"
        )
    return compression


@contextmanager
def plain(path: Path, media_type: str) -> Iterator[IO[bytes]]:
    """Give the layer's tar, unpacked as it is read."""
    with path.open("rb") as file:
        if media_type.endswith("+gzip"):
            with gzip.open(file) as unpacked:
                yield cast(IO[bytes], unpacked)
        elif media_type.endswith("+zstd"):
            with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream:
                yield stream
        else:
            yield file


def compress(tar: IO[bytes], layout: Layout, compression: str, diff_id: Digest) -> tuple[Descriptor, Digest]:
    """Store a layer, cleaned, in a layout and return its descriptor and the digest of its plain tar as it is stored.

    Raises ShipwayError when the tar is not that of `diff_id`.
    """
    worker = _compressor(compression)
    source = _Hashed(tar)
    unpacked, packed, size = hashlib.sha256(), hashlib.sha256(), 0
    with layout.writer() as file:

        def put(data: bytes) -> int:
            packed.update(data)
            return file.write(data)

        for chunk in layer_tar.cleaned(source):
            unpacked.update(chunk)
            size += put(worker.compress(chunk))
        size += put(worker.flush())
        if source.digest != diff_id:
            raise ShipwayError(
                "the builder wrote a layer that is not the one it describes",
                seen=f"{source.digest} for {diff_id}",
                todo="empty the builder's cache and build again",
            )
    digest = Digest("sha256:" + packed.hexdigest())
    layout.adopt(Path(file.name), digest)
    described = Descriptor(media_type=f"{LAYER}+{compression}", digest=digest, size=size)
    return described, Digest("sha256:" + unpacked.hexdigest())


class _Hashed:
    """A file that is read once, with the digest of what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    @property
    def digest(self) -> Digest:
        return Digest("sha256:" + self._hash.hexdigest())


def _compressor(compression: str) -> _Compressor:
    if compression == "gzip":
        return zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        3, threads=1, write_checksum=True, write_content_size=False
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compressobj()
