"""The index of an image that has several platforms: nothing but what it lists, so that the same images give the same
bytes, whoever makes it and whatever the commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.errors import Misuse, ShipwayError
from pipelines.images import names
from pipelines.images.image_config import canonical
from pipelines.images.model import Base
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.layout import INDEX, MANIFEST, Descriptor, Json, Layout
from pipelines.tools.registry.reference import Reference, key_tag

_CREATED = "org.opencontainers.image.created"
_OF_BASES = "org.opencontainers.image.base."


def fetch(
    client: Registry, folder: Path, name: str, platforms: Sequence[str], pins: Mapping[str, str], *, under: Reference
) -> tuple[Base, ...]:
    """Fetch the manifest of each platform's image into a new layout, and return them, sorted by platform.

    `pins` has the key of each under its name; `under` is the repository. Raises Misuse if one has none, ShipwayError if
    one is not published, Transient.
    """
    (folder / "index.json").unlink(missing_ok=True)
    layout, found = Layout.create(folder), []
    for platform in sorted(platforms):
        part = names.of_platform(name, platform)
        if part not in pins:
            raise Misuse(
                f"{name} has no pin for {platform}", seen=f"pins: {', '.join(pins)}", todo="run the plan again"
            )
        reference = under.with_tag(key_tag(pins[part]))
        manifest = client.resolve(reference)
        if manifest is None or manifest.is_index:
            raise ShipwayError(
                f"{part} is not published",
                seen=f"{reference} {'is an index' if manifest else 'does not exist'}",
                todo="build it first, or see why its build failed",
            )
        described = layout.add(manifest.data, manifest.descriptor.media_type)
        digest = described.digest
        found.append(Base(name=part, reference=str(reference), resolved=digest, digest=digest, sibling=True))
    return tuple(found)


def write(parts: Sequence[Base], bases: Layout, folder: Path) -> tuple[Layout, Descriptor]:
    """Write the index of some platforms' images, of which `bases` has the manifests, as a layout; return both.

    Its annotations are those of the image that was made last, without what they say of its base.
    """
    entries: list[Json] = []
    annotations: dict[str, str] = {}
    for part in parts:
        manifest = bases.json(part.digest)
        kind = str(manifest.get("mediaType") or MANIFEST)
        described = Descriptor(media_type=kind, digest=part.digest, size=len(bases.read(part.digest)))
        entries.append({**described.json(), "platform": _described(names.platform_of(part.name))})
        own = {str(key): str(text) for key, text in (manifest.get("annotations") or {}).items()}
        if own.get(_CREATED, "") >= annotations.get(_CREATED, ""):
            annotations = {key: text for key, text in own.items() if not key.startswith(_OF_BASES)}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries, "annotations": annotations}
    layout = Layout.create(folder)
    descriptor = layout.add(canonical(index), INDEX)
    layout.name(descriptor, str(descriptor.digest))
    return layout, descriptor


def size(parts: Sequence[Base], bases: Layout) -> int:
    """Return the bytes of the layers of all platforms, compressed."""
    return sum(int(layer["size"]) for part in parts for layer in bases.json(part.digest).get("layers") or ())


def _described(platform: str) -> Json:
    system, _, machine = platform.partition("/")
    architecture, _, variant = machine.partition("/")
    return {"os": system, "architecture": architecture, **({"variant": variant} if variant else {})}
