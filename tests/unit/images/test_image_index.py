"""The index of several platforms: the same images give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pipelines.images import image_index
from pipelines.images.model import Base
from pipelines.tools.registry.layout import INDEX, Layout
from tests import oci_images

CREATED = "org.opencontainers.image.created"


def parts(folder: Path, *architectures: str, changed: str = "") -> list[Base]:
    """Return images in a layout, made one after the other; one of them may be another one."""
    found = []
    for number, architecture in enumerate(architectures):
        notes = {CREATED: f"2026-01-0{number + 1}T00:00:00Z", "org.opencontainers.image.base.name": "debian"}
        content = f"{architecture}{'!' * (architecture == changed)}"
        _, made = oci_images.image(folder, content, architecture=architecture, annotations=notes)
        name = f"web linux/{architecture}"
        found.append(Base(name=name, reference="r/web", resolved=made.digest, digest=made.digest, sibling=True))
    return found


def written(tmp_path: Path, found: Sequence[Base]) -> bytes:
    """Return the bytes of the index of some images of the layout `bases`."""
    layout, descriptor = image_index.write(found, Layout(tmp_path / "bases"), tmp_path / "index")
    assert descriptor.media_type == INDEX
    return layout.read(descriptor.digest)


def test_it_depends_on_what_it_lists_alone(tmp_path: Path) -> None:
    """It says of itself what the newest image says, without that one's base."""
    found = parts(tmp_path / "bases", "amd64", "arm64")
    data = written(tmp_path, found)
    assert written(tmp_path, found) == data
    index = json.loads(data)
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64"},
    ]
    assert index["annotations"] == {CREATED: "2026-01-02T00:00:00Z"}
    assert written(tmp_path, parts(tmp_path / "bases", "amd64", "arm64", changed="arm64")) != data


def test_its_size_is_that_of_all_platforms(tmp_path: Path) -> None:
    """So that a table of images shows what the registry holds."""
    found = parts(tmp_path / "bases", "amd64", "arm64")
    assert image_index.size(found, Layout(tmp_path / "bases")) == sum(
        len(f"{a} {n}") for a in ("amd64", "arm64") for n in (0, 1)
    )
