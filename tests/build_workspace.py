"""A workspace as the step `clone` leaves it, made without Git: a checkout and the images it depends on."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipelines.engines.embedded import base_image
from pipelines.images import build_context, platforms
from pipelines.images.model import Base, Built, Checkout
from pipelines.tools.registry.layout import CONFIG, LAYER, LAYER_TIME, MANIFEST, Descriptor, Json, Layout
from pipelines.tools.registry.reference import Digest, Reference
from tests.left_out import is_left_out
from tests.steps import step

build = step("build", Built)

BUILDERS = ("buildah",) if is_left_out("buildkit") else ("buildah", "buildkit")
"""The builders that results are compared between."""
each_builder = pytest.mark.parametrize("builder", ["buildah", pytest.param("buildkit", marks=pytest.mark.buildkit)])
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Workspace:
    """A folder with source/, bases/ and, after a build, image/."""

    root: Path
    bases: list[Base] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the folders."""
        self.source.mkdir(parents=True, exist_ok=True)
        self.layout = Layout.create(self.root / "bases")

    @property
    def source(self) -> Path:
        """The checkout."""
        return self.root / "source"

    @property
    def image(self) -> Layout:
        """The result."""
        return Layout(self.root / "image")

    def write(self, files: Mapping[str, str]) -> Workspace:
        """Write files into the checkout."""
        for name, text in files.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self

    def copy(self, folder: Path) -> Workspace:
        """Copy a folder into the checkout, links as links."""
        shutil.copytree(folder, self.source, symlinks=True, dirs_exist_ok=True)
        return self

    def base(self, name: str = "base", descriptor: Descriptor | None = None, *, sibling: bool = False) -> Descriptor:
        """Put an image where `clone` would have put what a Dockerfile calls `name`; busybox unless given."""
        found = descriptor or busybox(self.layout)
        self.layout.name(found, str(found.digest))
        whole = Reference.parse(name)
        self.bases.append(
            Base(name=name, reference=str(whole), resolved=found.digest, digest=found.digest, sibling=sibling)
        )
        return found

    def checkout(self, **changes: object) -> Checkout:
        """Return what `clone` would have returned."""
        values: dict[str, object] = {
            "repo": "https://forge.example/team/app.git",
            "revision": "main",
            "ref": "refs/heads/main",
            "commit": COMMIT,
            "time": 1_700_000_000,
            "tree": COMMIT,
            "path": ".",
            "dockerfile": "Dockerfile",
            "target": "",
            "build_args": (),
            "platform": platforms.this_platform(),
            "bases": tuple(self.bases),
        }
        return Checkout(**{**values, **changes})  # type: ignore[arg-type]

    def build(self, builder: str, cache: Path, *, checkout: Checkout | None = None, **options: object) -> Built:
        """Lay out the context as `clone` does, and run the step."""
        checkout = checkout or self.checkout()
        shared = options.pop("shared", ())
        assert isinstance(shared, tuple)
        context = build_context.folder(self.source, str(options.get("context") or checkout.path))
        standing = builder == "buildkit" and "buildkit_host" in options
        build_context.prepare(self.source, context, shared, standing=standing)
        folders = {"source": self.source, "bases": self.root / "bases", "into": self.root / "image"}
        arguments: dict[str, object] = {"secrets": self.root / "secrets", **folders, **options}
        return build(checkout=checkout, builder=builder, cache=cache, **arguments)


def busybox(layout: Layout) -> Descriptor:
    """Store the distribution's busybox as an image."""
    return base_image.write(layout, base_image.find_busybox())


def derived(layout: Layout, below: Descriptor, files: Mapping[str, str], **config: object) -> Descriptor:
    """Store an image with one layer of files more than another, if there are any, and some other fields."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            item = tarfile.TarInfo(name)
            item.size, item.mtime = len(text), LAYER_TIME
            tar.addfile(item, io.BytesIO(text.encode()))
    manifest = layout.json(below.digest)
    image: Json = layout.json(Digest(manifest["config"]["digest"]))
    image["config"] = {**image["config"], **config}
    if files:
        image["rootfs"]["diff_ids"].append(str(Digest.of(buffer.getvalue())))
        image["history"].append({"created": "1980-01-01T00:00:00Z", "created_by": "files"})
        manifest["layers"].append(layout.add(gzip.compress(buffer.getvalue(), mtime=0), LAYER + "+gzip").json())
    manifest["config"] = layout.add(json.dumps(image).encode(), CONFIG).json()
    return layout.add(json.dumps(manifest).encode(), MANIFEST)


def without_runtime(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put runtimes that start nothing before those of this machine."""
    folder.mkdir()
    for name in ("crun", "runc"):
        (folder / name).write_text(f'#!/bin/sh\necho "{name}: this runtime starts nothing" >&2\nexit 1\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
