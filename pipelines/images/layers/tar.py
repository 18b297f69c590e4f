"""Cleans a layer's tar of the attributes that belong to the builder's own storage.

Without privileges, overlay stores metadata in user attributes (`user.overlay.origin`, `.impure`), and buildah 1.28
writes them into layers, where they mean nothing and differ from a build as root. They are removed from the extended
headers (pax, POSIX.1-2001), and so is an extended header that is empty then. All other bytes stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pipelines.errors import ShipwayError

_BLOCK = 512
_CHUNK = 1 << 20
_PREFIX = b"SCHILY.xattr.user.overlay."
_OWN, _GLOBAL = b"x", b"g"
"""Kinds of extended headers: one applies to the next file, the other to every file that follows."""
_LONG_NAMES = frozenset({b"K", b"L"})
"""GNU's headers for the next file, which come between an extended header and that file."""
_WITHOUT_CONTENT = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})
_NOTES = frozenset({b"impure", b"nlink", b"origin", b"protattr", b"uuid"})


class TarSource(Protocol):
    """A tar that is read in order."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


def cleaned(tar: TarSource) -> Iterator[tuple[bytes, bytes]]:
    """Give the tar in pieces, each before and after cleaning: the same object if nothing is removed.

    Raises ShipwayError if it is cut short or malformed, or refers to another layer of an overlay.
    """
    sizes: dict[bytes, int] = {}
    while True:
        header = b"".join(_body(tar, _BLOCK))
        if not header.strip(b"\0"):
            yield header, header
            break
        kind = header[156:157]
        if kind not in {_OWN, _GLOBAL}:
            yield header, header
            for piece in _body(tar, _padded(_content_size(header, sizes))):
                yield piece, piece
            continue
        size = _size(header)
        body = b"".join(_body(tar, _padded(size)))
        records = list(_records(body[:size]))
        for key, value in map(_parts, records):
            if key == b"size":
                sizes[kind] = _number(value, 10)
        kept = [record for record in records if kind == _GLOBAL or not _is_note(record)]
        whole = header + body
        if kept == records:
            yield whole, whole
        else:
            data = b"".join(kept)
            yield whole, _resized(header, len(data)) + _pad(data) if data else b""
    while piece := tar.read(_CHUNK):
        yield piece, piece


def _body(tar: TarSource, count: int) -> Iterator[bytes]:
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
    return _number(field.strip(b" \0") or b"0", 8)


def _content_size(header: bytes, sizes: dict[bytes, int]) -> int:
    """Return the size of the content after a header; a size in an extended header wins over the header's own field.

    A size for this file alone is removed from `sizes`.
    """
    kind = header[156:157]
    if kind in _LONG_NAMES:
        return _size(header)
    size = sizes.pop(_OWN, sizes.get(_GLOBAL, -1))
    if kind in _WITHOUT_CONTENT:
        return 0
    return _size(header) if size < 0 else size


def _number(text: bytes, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise _malformed(f"{text[:40]!r} in place of a number")
    return number


def _malformed(seen: str) -> ShipwayError:
    return ShipwayError("a layer's tar is malformed", seen=seen, todo="build again")


def _resized(header: bytes, size: int) -> bytes:
    changed = bytearray(header)
    changed[124:136] = b"%011o\0" % size
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


def _records(data: bytes) -> Iterator[bytes]:
    """Give each `length key=value` record."""
    while data:
        length = _number(data.partition(b" ")[0], 10)
        if not 0 < length <= len(data):
            raise _malformed(f"a record of {length} bytes in an extended header that has {len(data)} left")
        yield data[:length]
        data = data[length:]


def _parts(record: bytes) -> tuple[bytes, bytes]:
    """Return the key and the value of a record."""
    key, _, value = record.partition(b" ")[2].removesuffix(b"\n").partition(b"=")
    return key, value


def _is_note(record: bytes) -> bool:
    key, _ = _parts(record)
    if not key.startswith(_PREFIX):
        return False
    if key.removeprefix(_PREFIX) not in _NOTES:
        raise ShipwayError(
            "a layer refers to another one in a way that no registry understands",
            seen=key.decode(errors="replace"),
            todo="build with BuildKit (setting builder)",
        )
    return True
