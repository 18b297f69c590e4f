"""From what a builder left to a finished image layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import ShipwayError
from pipelines.steps import finish
from pipelines.steps.finish import Facts, Under
from pipelines.tools import layer
from pipelines.tools.builder import Output
from pipelines.tools.layer_store import LayerStore
from pipelines.tools.registry.layout import CONFIG, MANIFEST, Layout
from pipelines.tools.registry.reference import Digest


def assemble(output: Output, images: Sequence[Under], facts: Facts, store: LayerStore, folder: Path) -> Digest:
    """Write the image into a new layout at `folder` and return its digest, which is also its name there.

    `images` are those that the Dockerfile names; one of them may be what the image stands on.
    """
    layout = Layout.create(folder)
    diff_ids = [Digest(text) for text in output.config["rootfs"]["diff_ids"]]
    base = finish.base_of(diff_ids, images)
    if len(diff_ids) != len(output.layers):
        raise ShipwayError(
            "the builder's layers do not fit its configuration", seen=f"{len(output.layers)} for {len(diff_ids)}"
        )
    stored = [
        store.put(diff_id, layout) or store.compress(diff_id, output.layout, layer.descriptor(entry), layout)
        for diff_id, entry in zip(diff_ids, output.layers, strict=True)
    ]
    store.remember(diff_ids)
    layers = [each.descriptor for each in stored]
    output.config["rootfs"]["diff_ids"] = [str(each.diff_id) for each in stored]
    config = layout.add(finish.canonical(finish.configuration(output.config, base, facts)), CONFIG)
    manifest = layout.add(finish.canonical(finish.manifest(config, layers, base, facts)), MANIFEST)
    layout.name(manifest, str(manifest.digest))
    return manifest.digest
