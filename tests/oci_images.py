"""Small images in a layout, made here: what they hold matters to no test, only that they differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pipelines.images.image_config import canonical
from pipelines.tools.registry.layout import CONFIG, INDEX, LAYER, MANIFEST, Descriptor, Layout


def image(
    folder: Path,
    content: str = "content",
    *,
    layers: int = 2,
    architecture: str = "amd64",
    annotations: Mapping[str, str] | None = None,
    padding: int = 0,
) -> tuple[Layout, Descriptor]:
    """Return a layout and the one image in it, told apart by `content`; `padding` bytes make each layer longer."""
    layout = Layout.create(folder)
    blobs = [layout.add(f"{content} {n}".encode() + bytes(padding), LAYER) for n in range(layers)]
    value = {
        "created": (annotations or {}).get("org.opencontainers.image.created", "1970-01-01T00:00:00Z"),
        "os": "linux",
        "architecture": architecture,
        "config": {"Labels": dict(annotations or {})},
        "rootfs": {"type": "layers", "diff_ids": [str(blob.digest) for blob in blobs]},
    }
    config = layout.add(canonical(value), CONFIG)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.json(),
        "layers": [blob.json() for blob in blobs],
        "annotations": dict(annotations or {}),
    }
    descriptor = layout.add(canonical(manifest), MANIFEST)
    layout.name(descriptor, "")
    return layout, descriptor


def index_of(images: Mapping[str, Descriptor]) -> bytes:
    """Return an index of images by platform: os/architecture or os/architecture/variant."""
    manifests = []
    for platform, descriptor in images.items():
        words = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
        manifests.append({**descriptor.json(), "platform": words})
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()
