"""Layers: the same bytes from every machine, and none that is not the one described."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from pipelines.errors import Misconfigured, ShipwayError
from pipelines.images.layers import layer as image_layer
from pipelines.images.layers.store import LayerStore, Stored
from pipelines.tools.registry.layout import CONFIG, LAYER, MANIFEST, Descriptor, Layout
from pipelines.tools.registry.reference import Digest

TEXT = b"".join(b"line %d of a file that compresses well\n" % (n * n) for n in range(200_000))


def tar_of(data: bytes, **records: str) -> bytes:
    """Return a tar of one file, with an extended header where there are records."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("file")
        entry.size, entry.pax_headers = len(data), dict(records)
        tar.addfile(entry, io.BytesIO(data))
    # Two empty blocks end it; Python would fill up to 10 KiB.
    size = len(buffer.getvalue().rstrip(b"\0")) + 511
    return buffer.getvalue()[: size - size % 512] + bytes(1024)


DATA = tar_of(TEXT)
ZSTD = "sha256:2af0aaa2f1f623cc8734fd040c97a9ddc1c8413b77be99f91bda19aae95dcfa5"


def packed(folder: Path, compression: str, data: bytes = DATA) -> tuple[Layout, Descriptor]:
    """Return a layout and what compressing into it gave."""
    layout = Layout.create(folder)
    found, diff_id = image_layer.compress(io.BytesIO(data), layout, compression, Digest.of(data))
    assert diff_id == Digest.of(data)
    return layout, found


@pytest.mark.parametrize("compression", image_layer.COMPRESSIONS)
def test_round_trip(compression: str, tmp_path: Path) -> None:
    """What was compressed is read back, under the media type that says how."""
    layout, found = packed(tmp_path, compression)
    assert found.media_type == f"{LAYER}+{compression}"
    assert found.size == layout.blob(found.digest).stat().st_size < len(DATA)
    assert Digest.of(layout.blob(found.digest).read_bytes()) == found.digest
    with image_layer.plain(layout.blob(found.digest), found.media_type) as stream:
        assert stream.read() == DATA


@pytest.mark.parametrize("processors", [1, 2, 64])
def test_zstd_is_the_same_everywhere(processors: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pinned library gives this digest on any machine; another
    one would change every image's, and must be a decision.
    """
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    assert packed(tmp_path, "zstd")[1].digest == ZSTD


def test_another_tar_than_described(tmp_path: Path) -> None:
    """A layer that is not what the configuration says is refused, and nothing of it stays."""
    layout = Layout.create(tmp_path)
    with pytest.raises(ShipwayError, match="not the one it describes"):
        image_layer.compress(io.BytesIO(tar_of(b"other")), layout, "zstd", Digest.of(DATA))
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 200] == []


@pytest.mark.parametrize("others", [{}, {"SCHILY.xattr.user.mine": "1", "comment": "ü" * 300}])
def test_notes_of_overlay_are_taken_out(others: dict[str, str], tmp_path: Path) -> None:
    """A layer written without privileges is the same as one written as root, other attributes kept."""
    notes = {"SCHILY.xattr.user.overlay.origin": "", "SCHILY.xattr.user.overlay.impure": "y"}
    noted = tar_of(TEXT, **others, **notes)
    layout = Layout.create(tmp_path)
    found, diff_id = image_layer.compress(io.BytesIO(noted), layout, "zstd", Digest.of(noted))
    assert diff_id == Digest.of(tar_of(TEXT, **others)) != Digest.of(noted)
    with image_layer.plain(layout.blob(found.digest), found.media_type) as stream:
        assert stream.read() == tar_of(TEXT, **others)


def test_half_an_overlay_is_refused(tmp_path: Path) -> None:
    """A folder that hides what lies below it only by an attribute would show it again elsewhere."""
    data = tar_of(TEXT, **{"SCHILY.xattr.user.overlay.opaque": "y"})
    with pytest.raises(ShipwayError, match="refers to another one"):
        image_layer.compress(io.BytesIO(data), Layout.create(tmp_path), "zstd", Digest.of(data))


def header(kind: str, body: bytes = b"", *, size: str = "") -> bytes:
    """Return a header and what follows it; its field of the size holds another text than that if asked."""
    made = bytearray(tarfile.TarInfo("file").tobuf(tarfile.USTAR_FORMAT))
    made[124:136] = (size or f"{len(body):o}").encode().ljust(12, b"\0")
    made[148:156] = b" " * 8
    made[156:157] = kind.encode()
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made) + body + bytes(-len(body) % 512)


LARGE = b"12 size=700\n"


@pytest.mark.parametrize(
    "headers",
    [
        header("x", LARGE),
        header("g", LARGE),
        header("g", b"11 size=70\n") + header("x", LARGE),
        header("x", LARGE) + header("L", b"name\0"),
        header("g", LARGE) + header("5") + header("1"),
    ],
    ids=["own", "global", "own goes first", "long name", "no content"],
)
def test_a_size_in_an_extended_header_counts(headers: bytes, tmp_path: Path) -> None:
    """A file of 8 GiB and more has its size there, and none in its own header, where the field is too short."""
    tar = headers + header("0", b"x" * 700, size="0") + bytes(1024)
    layout = Layout.create(tmp_path)
    found, diff_id = image_layer.compress(io.BytesIO(tar), layout, "zstd", Digest.of(tar))
    assert diff_id == Digest.of(tar)
    with image_layer.plain(layout.blob(found.digest), found.media_type) as stream:
        assert stream.read() == tar


@pytest.mark.parametrize(
    "tar",
    [
        header("0", size="x"),
        header("0", size="-1000"),
        header("x", b"12 size=7x0\n"),
        header("x", b"xx size=700\n"),
        header("x", b"00 size=700\n"),
        header("x", b"99 size=700\n"),
    ],
)
def test_a_malformed_tar_is_refused(tar: bytes, tmp_path: Path) -> None:
    """What is in place of a number is told, and nothing goes on for ever."""
    with pytest.raises(ShipwayError, match="malformed"):
        image_layer.compress(io.BytesIO(tar + bytes(1024)), Layout.create(tmp_path), "zstd", Digest.of(tar))


@pytest.mark.parametrize("cut", [100, 700, 5000])
def test_a_cut_tar_is_refused(cut: int, tmp_path: Path) -> None:
    """A layer that ends in the middle is an error, wherever it ends."""
    with pytest.raises(ShipwayError, match="cut short"):
        image_layer.compress(io.BytesIO(DATA[:cut]), Layout.create(tmp_path), "zstd", Digest.of(DATA[:cut]))


def test_types() -> None:
    """Docker's media types become OCI's; what is no distributable layer is refused."""
    docker = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    entry = {"mediaType": docker, "digest": "sha256:" + "1" * 64, "size": 3}
    assert image_layer.descriptor(entry).media_type == LAYER + "+gzip"
    foreign = {**entry, "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}
    with pytest.raises(ShipwayError, match="not built on"):
        image_layer.descriptor(foreign)


def test_unknown_compression() -> None:
    """A compression that is not known is the settings' fault."""
    with pytest.raises(Misconfigured, match="compression"):
        image_layer.check("bzip2")


def test_store(tmp_path: Path) -> None:
    """A base's layer keeps the blob it has; another one is compressed once; a damaged entry is none."""
    bases = Layout.create(tmp_path / "bases")
    tar = bases.add(b"base tar", LAYER)
    config = bases.add(b'{"rootfs":{"diff_ids":["%s"]}}' % Digest.of(b"base tar").encode(), CONFIG)
    manifest = bases.add(b'{"config":%s,"layers":[%s]}' % (_json(config), _json(tar)), MANIFEST)
    raw = Layout.create(tmp_path / "raw")
    written = raw.add(DATA, LAYER)
    image = Layout.create(tmp_path / "image")

    store = LayerStore(tmp_path / "kept", "zstd", bases, [manifest.digest], image="web")
    assert store.put(Digest.of(b"base tar"), image) == Stored(tar, Digest.of(b"base tar"))
    assert store.put(written.digest, image) is None
    stored = store.compress(written.digest, raw, written, image)
    made = stored.descriptor

    other = Layout.create(tmp_path / "other")
    again = LayerStore(tmp_path / "kept", "zstd", bases, [], image="web")
    assert again.put(written.digest, other) == stored
    assert other.read(made.digest) == image.read(made.digest)
    assert again.at_hand() == frozenset(), "nobody said that the image has it"
    store.remember([written.digest, Digest.of(b"lost")])
    assert again.at_hand() == {written.digest}
    assert LayerStore(tmp_path / "kept", "zstd", bases, [], image="app").at_hand() == frozenset()
    assert LayerStore(tmp_path / "kept", "gzip", bases, [], image="web").at_hand() == frozenset()

    kept = tmp_path / "kept" / "layers" / "blobs" / "sha256" / made.digest.hex
    kept.unlink()
    kept.write_bytes(b"cut")
    assert again.put(written.digest, other) is None
    assert again.at_hand() == frozenset()


def _json(descriptor: Descriptor) -> bytes:
    return str(descriptor.json()).replace("'", '"').encode()
