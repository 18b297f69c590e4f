"""What an image of a layout holds, as a container would see it: its layers laid over each other."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipelines.images.layers import layer as image_layer
from pipelines.tools.registry.layout import Json, Layout
from pipelines.tools.registry.reference import Digest

_KINDS = {tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link"}


@dataclass(frozen=True)
class Entry:
    """One file, folder or link of an image."""

    kind: str
    mode: str
    owner: str
    content: str
    """A hash of a file's content, a link's target, nothing for a folder."""
    mtime: int


def manifest(layout: Layout) -> Json:
    """Return the manifest of the one image in a layout."""
    return layout.json(layout.named().digest)


def config(layout: Layout) -> Json:
    """Return the configuration of the one image in a layout."""
    return layout.json(Digest(manifest(layout)["config"]["digest"]))


def files(layout: Layout) -> dict[str, Entry]:
    """Return every path of the one image in a layout (image-spec v1.1, layer.md, for whiteouts)."""
    found: dict[str, Entry] = {}
    for described in manifest(layout)["layers"]:
        above: dict[str, Entry] = {}
        entry = image_layer.descriptor(described)
        with (
            image_layer.plain(layout.blob(entry.digest), entry.media_type) as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            for item in tar:
                path = PurePosixPath("/", item.name)
                if path.name == ".wh..wh..opq":
                    _remove(found, str(path.parent), keep=True)
                elif path.name.startswith(".wh."):
                    _remove(found, str(path.with_name(path.name.removeprefix(".wh."))), keep=False)
                elif item.islnk():
                    target = str(PurePosixPath("/", item.linkname))
                    above[str(path)] = above.get(target) or found[target]
                else:
                    if not item.isdir():
                        _remove(found, str(path), keep=False)
                    above[str(path)] = _entry(tar, item)
        found |= above
    return found


def _entry(tar: tarfile.TarFile, item: tarfile.TarInfo) -> Entry:
    content = item.linkname if item.issym() else ""
    if item.isfile():
        file = tar.extractfile(item)
        assert file is not None
        content = hashlib.sha256(file.read()).hexdigest()[:16]
    return Entry(
        kind=_KINDS.get(item.type, str(item.type)),
        mode=f"{item.mode & 0o7777:04o}",
        owner=f"{item.uid}:{item.gid}",
        content=content,
        mtime=int(item.mtime),
    )


def text(value: str) -> str:
    """Return what `Entry.content` is for a file of that text."""
    return hashlib.sha256(value.encode()).hexdigest()[:16]


def _remove(found: dict[str, Entry], path: str, *, keep: bool) -> None:
    for name in [n for n in found if n.startswith(path.rstrip("/") + "/") or (n == path and not keep)]:
        del found[name]
