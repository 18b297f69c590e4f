"""A chart's archive: the same bytes for the same files, and read without trusting them.

Helm 4.2 cannot write such an archive: it stamps file times into it and puts subcharts in a random order (it ranges over
a map), and its gzip changes with the version of Go. So the tar headers are written here, every field of them, and the
compressor is the pinned package `deflate`, which carries its own libdeflate. What may be in an archive, and how large
it may be, follows Helm's own reader (helm.sh/helm/v4: pkg/chart/loader/archive).
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import deflate

from pipelines.errors import Refused
from pipelines.tools.registry.layout import LAYER_TIME

MOST_BYTES = 100 << 20
MOST_FILE_BYTES = 5 << 20
_DEEPEST = 100
_LONGEST_NAME = 255
"""Of a path in an archive: folders in it, and bytes of each name, as disks have them."""
_MOST_FILES = 10_000
_LEVEL = 9
_BLOCK = 512
_DRIVE = re.compile(r"[A-Za-z]:/")
_FIRST = ("Chart.yaml", "Chart.lock", "values.yaml", "values.schema.json")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """The files of an archive."""

    name: str
    """The folder they are in."""
    files: Mapping[str, bytes] = field(repr=False)
    """Content by path, relative to that folder."""
    ours: bool
    """Whether every time in it is the constant that `pack` writes."""


def pack(name: str, files: Mapping[str, bytes]) -> bytes:
    """Return the archive of a chart; raises Refused beyond Helm's limits."""
    total = sum(map(len, files.values()))
    large = max(files, key=lambda path: len(files[path]))
    if total > MOST_BYTES or len(files[large]) > MOST_FILE_BYTES or len(files) > _MOST_FILES:
        raise Refused(
            f"the chart {name} is larger than Helm reads",
            seen=f"{total} bytes in {len(files)} files, {large} has {len(files[large])}",
            todo=f"keep it below {MOST_BYTES} bytes, each file below {MOST_FILE_BYTES}; see .helmignore",
        )
    # Chart.yaml goes first: readers that only want to know what this is need not unpack the rest.
    order = sorted(files, key=lambda path: (_FIRST.index(path) if path in _FIRST else len(_FIRST), path.encode()))
    tar = b"".join(_entry(f"{name}/{path}", files[path]) for path in order) + bytes(2 * _BLOCK)
    return bytes(deflate.gzip_compress(tar, _LEVEL))


def _entry(path: str, data: bytes) -> bytes:
    """Return header and content of a file in the format ustar (POSIX.1-1988), with a pax header for a long path."""
    name, prefix = path.encode(), b""
    extended = b""
    if len(name) > 100:
        head, _, tail = name[:156].rpartition(b"/")
        tail = name[len(head) + 1 :]
        if head and len(tail) <= 100:
            name, prefix = tail, head
        else:
            record = _pax(b"path", name)
            extended = _header(b"PaxHeaders/path", b"", len(record), b"x") + _padded(record)
            name = name[:100]
    return extended + _header(name, prefix, len(data), b"0") + _padded(data)


def _header(name: bytes, prefix: bytes, size: int, kind: bytes) -> bytes:
    fields = (
        name.ljust(100, b"\0"),
        b"0000644\0",
        b"0000000\0",  # user
        b"0000000\0",  # group
        b"%011o\0" % size,
        b"%011o\0" % LAYER_TIME,
        b" " * 8,  # the checksum counts itself as blanks
        kind,
        bytes(100),
        b"ustar\x0000",
        bytes(32 + 32),  # names of user and group
        b"0000000\0" * 2,  # device numbers
        prefix.ljust(155, b"\0"),
        bytes(12),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _pax(key: bytes, value: bytes) -> bytes:
    """Return a record that says its own length, as pax(1) wants it."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)


def unpack(data: bytes, what: str) -> Archive:
    """Return the files of a chart's archive, kept in memory; raises Refused for anything that Helm would not read.

    Links, devices and paths out of the chart's folder are refused, not left out: no honest tool writes them.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(_inflate(data, what)), mode="r:") as tar:
            return _read(tar, what)
    except (tarfile.TarError, UnicodeError, ValueError, OverflowError) as error:
        raise _bad(what, f"not a tar archive: {error}") from error


def _inflate(data: bytes, what: str) -> bytes:
    """Return what a gzip stream holds, no more of it than a chart may have."""
    most = MOST_BYTES + _MOST_FILES * 2 * _BLOCK
    out = bytearray()
    while data:
        stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            out += stream.decompress(data, most - len(out) + 1)
        except zlib.error as error:
            raise _bad(what, f"not gzip: {error}") from error
        if len(out) > most:
            raise _bad(what, f"more than {MOST_BYTES} bytes when unpacked")
        if not stream.eof:
            raise _bad(what, "it ends in the middle")
        data = stream.unused_data
    return bytes(out)


def _read(tar: tarfile.TarFile, what: str) -> Archive:
    files: dict[str, bytes] = {}
    total, ours, roots = 0, True, set[str]()
    for count, member in enumerate(tar):
        if count > _MOST_FILES:
            raise _bad(what, f"more than {_MOST_FILES} files")
        if member.isdir():
            continue
        if not member.isreg():
            raise _bad(what, f"{member.name!r} is a link or a device")
        root, path = _path(member.name, what)
        total += member.size
        if member.size > MOST_FILE_BYTES or total > MOST_BYTES:
            raise _bad(what, f"{member.name!r} has {member.size} bytes, the files before it {total - member.size}")
        content = tar.extractfile(member)
        body = content.read(member.size) if content else b""
        if len(body) != member.size or path in files:
            raise _bad(what, f"{member.name!r} is duplicated or truncated")
        files[path] = body
        ours = ours and member.mtime == LAYER_TIME
        roots.add(root)
    if clash := files.keys() & {str(folder) for path in files for folder in PurePosixPath(path).parents}:
        raise _bad(what, f"{min(clash)!r} is a file and a folder")
    if "Chart.yaml" not in files or len(roots) != 1:
        raise _bad(what, f"no Chart.yaml in the one folder of a chart ({', '.join(sorted(roots)) or 'nothing'})")
    return Archive(name=roots.pop(), files=files, ours=ours)


def _path(name: str, what: str) -> tuple[str, str]:
    root, slash, path = name.partition("/")
    parts = path.split("/")
    if (
        not slash
        or root in {"", ".", ".."}
        or any(part in {"", ".", ".."} for part in parts)
        or "\\" in name
        or "\0" in name
        or _DRIVE.match(path)
    ):
        raise _bad(what, f"{name!r} leads out of the chart's folder")
    if len(parts) > _DEEPEST or max(len(os.fsencode(part)) for part in (root, *parts)) > _LONGEST_NAME:
        raise _bad(what, f"{name[:100]!r} is a path that no disk has")
    name.encode()  # raises UnicodeError
    return root, path


def _bad(what: str, seen: str) -> Refused:
    return Refused(f"{what} is not a chart archive", seen=seen[:300], todo="have it packaged again, by Helm or Shipway")
