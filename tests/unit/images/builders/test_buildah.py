"""Layers read from a pipe while an archive is written into it: all that are wanted, and the error that began it all."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from pipelines.errors import ShipwayError
from pipelines.images.builders import buildah
from pipelines.tools.registry.reference import Digest

LAYERS = {Digest.of(data): data for data in (b"below" * 200_000, b"above" * 100_000)}


def archive() -> bytes:
    """Return an archive as `docker save` writes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for digest, data in LAYERS.items():
            entry = tarfile.TarInfo(f"{digest.hex}.tar")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
            link = tarfile.TarInfo(f"{digest.hex}/layer.tar")
            link.type, link.linkname = tarfile.SYMTYPE, f"../{digest.hex}.tar"
            tar.addfile(link)
        tar.addfile(tarfile.TarInfo("manifest.json"))
    return buffer.getvalue()


def write(pipe: Path, data: bytes) -> None:
    """Write as a builder does, whose error says only that it could not."""
    try:
        with pipe.open("wb", buffering=0) as file:
            for start in range(0, len(data), 4096):
                file.write(data[start : start + 4096])
    except BrokenPipeError as error:
        raise ShipwayError("cannot write", seen=str(error)) from error


def read(folder: Path, wanted: set[Digest], block: Callable[[Path], None]) -> dict[Digest, bytes]:
    """Return the layers that were read while the block wrote."""
    found: dict[Digest, bytes] = {}

    def keep(digest: Digest, content: IO[bytes]) -> None:
        found[digest] = content.read()

    with buildah.reading(folder / "pipe", wanted, keep):
        block(folder / "pipe")
    return found


def test_wanted_layers(tmp_path: Path) -> None:
    """Each layer that is wanted comes whole, and no other."""
    assert read(tmp_path, set(LAYERS), lambda pipe: write(pipe, archive())) == LAYERS
    (tmp_path / "pipe").unlink()
    above = list(LAYERS)[1]
    assert read(tmp_path, {above}, lambda pipe: write(pipe, archive())) == {above: LAYERS[above]}


def test_what_stopped_the_reading(tmp_path: Path) -> None:
    """A layer that cannot be kept is the error, not the writer that found nobody reading."""

    def keep(_: Digest, __: IO[bytes]) -> None:
        raise ShipwayError("disk full")

    with (
        pytest.raises(ShipwayError, match="disk full"),
        buildah.reading(tmp_path / "pipe", set(LAYERS), keep),
    ):
        write(tmp_path / "pipe", archive())


@pytest.mark.parametrize("before", [0, 700, 600_000])
def test_what_stopped_the_writing(before: int, tmp_path: Path) -> None:
    """A builder that fails is the error, however much it wrote before."""

    def fail(pipe: Path) -> None:
        write(pipe, archive()[:before])
        raise ShipwayError("killed")

    with pytest.raises(ShipwayError, match="killed"):
        read(tmp_path, set(LAYERS), fail)


@pytest.mark.parametrize("data", [b"", b"no archive" * 1000, archive()[:600_000]])
def test_half_an_archive(data: bytes, tmp_path: Path) -> None:
    """A builder that ends well and wrote no whole archive is not believed."""
    with pytest.raises(ShipwayError, match="archive"):
        read(tmp_path, set(LAYERS), lambda pipe: write(pipe, data))
