"""A layer's tar without what the builder's own storage left in it.

Without privileges, overlay keeps its notes in attributes of the user's (`user.overlay.origin`, `.impure`), and buildah 1.28
writes them into layers, where they mean nothing and differ from a build as root. They are taken out of the extended
headers (pax, POSIX.1-2001); an entry that needs no extended header then gets none, as if the notes had never been.
Nothing else is touched: the tar is not written anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pipelines.errors import ShipwayError

_BLOCK = 512
_CHUNK = 1 << 20
_PREFIX = b"SCHILY.xattr.user.overlay."
_NOTES = frozenset({b"impure", b"nlink", b"origin", b"protattr", b"uuid"})


class Source(Protocol):
    """What is read, in order."""

    def read(self, size: int, /) -> bytes:
        """Return up to that many bytes, none at the end."""


def cleaned(tar: Source) -> Iterator[tuple[bytes, bytes]]:
    """Give the tar in pieces, each as it was read and as it is kept: the same object where nothing is taken out.

    Raises ShipwayError for one that is cut short or holds half an overlay.
    """
    while True:
        header = b"".join(_body(tar, _BLOCK))
        if not header.strip(b"\0"):
            yield header, header
            break
        size = _size(header)
        if header[156:157] != b"x":
            yield header, header
            for piece in _body(tar, _padded(size)):
                yield piece, piece
            continue
        body = b"".join(_body(tar, _padded(size)))
        records = body[:size]
        kept = b"".join(record for record in _records(records) if not _is_note(record))
        whole = header + body
        if kept == records:
            yield whole, whole
        else:
            yield whole, _resized(header, len(kept)) + _pad(kept) if kept else b""
    while piece := tar.read(_CHUNK):
        yield piece, piece


def _body(tar: Source, count: int) -> Iterator[bytes]:
    while count:
        chunk = tar.read(min(count, _CHUNK))
        if not chunk:
            raise ShipwayError("a layer is cut short", todo="build again")
        count -= len(chunk)
        yield chunk


def _padded(size: int) -> int:
    return (size + _BLOCK - 1) // _BLOCK * _BLOCK


def _pad(data: bytes) -> bytes:
    return data.ljust(_padded(len(data)), b"\0")


def _size(header: bytes) -> int:
    field = header[124:136]
    if field[0] & 0x80:  # base 256, for files of 8 GiB and more
        return int.from_bytes(field[1:], "big")
    return int(field.strip(b" \0") or b"0", 8)


def _resized(header: bytes, size: int) -> bytes:
    changed = bytearray(header)
    changed[124:136] = b"%011o\0" % size
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


def _records(data: bytes) -> Iterator[bytes]:
    """Give each `length key=value` record."""
    while data:
        length = int(data.partition(b" ")[0])
        yield data[:length]
        data = data[length:]


def _is_note(record: bytes) -> bool:
    key = record.partition(b" ")[2].partition(b"=")[0]
    if not key.startswith(_PREFIX):
        return False
    if key.removeprefix(_PREFIX) not in _NOTES:
        raise ShipwayError(
            "a layer refers to another one in a way that no registry understands",
            seen=key.decode(errors="replace"),
            todo="build with BuildKit (setting builder)",
        )
    return True
