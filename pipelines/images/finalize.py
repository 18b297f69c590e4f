"""Finalizes a builder's output into an image layout: compressed layers, its configuration and its manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import ShipwayError
from pipelines.images import image_config
from pipelines.images.builders.builder import Output
from pipelines.images.image_config import BaseImage, ImageFacts
from pipelines.images.layers import layer as image_layer
from pipelines.images.layers.store import LayerStore
from pipelines.tools.registry.layout import CONFIG, MANIFEST, Layout
from pipelines.tools.registry.reference import Digest


def finalize(output: Output, images: Sequence[BaseImage], facts: ImageFacts, store: LayerStore, folder: Path) -> Digest:
    """Write the image into a new layout at `folder` and return its digest, which is also its name there.

    `images` are those that the Dockerfile names; one of them may be the base.
    """
    layout = Layout.create(folder)
    diff_ids = [Digest(text) for text in output.config["rootfs"]["diff_ids"]]
    base = image_config.base_of(diff_ids, images)
    if len(diff_ids) != len(output.layers):
        raise ShipwayError(
            "the builder's layers do not fit its configuration", seen=f"{len(output.layers)} for {len(diff_ids)}"
        )
    stored = [
        store.put(diff_id, layout) or store.compress(diff_id, output.layout, image_layer.descriptor(entry), layout)
        for diff_id, entry in zip(diff_ids, output.layers, strict=True)
    ]
    store.remember(diff_ids)
    layers = [each.descriptor for each in stored]
    output.config["rootfs"]["diff_ids"] = [str(each.diff_id) for each in stored]
    config = layout.add(image_config.canonical(image_config.image_config(output.config, base, facts)), CONFIG)
    added = layout.add(image_config.canonical(image_config.manifest(config, layers, base, facts)), MANIFEST)
    layout.name(added, str(added.digest))
    return added.digest
