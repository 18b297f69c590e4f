"""Manifests and indexes of a registry, and the choice of a platform's image in an index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pipelines.bounds import read_json
from pipelines.errors import Refused, ShipwayError
from pipelines.tools.registry.connection import Unanswered
from pipelines.tools.registry.layout import DOCKER_INDEX, DOCKER_MANIFEST, INDEX, MANIFEST, Descriptor, Json
from pipelines.tools.registry.reference import Digest

ACCEPT = ", ".join((MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX))
_KNOWN = frozenset({MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX})
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"
_MOST_UNNAMED = 20
"""Entries of an index without a platform whose configurations are read."""
# The variant that an architecture alone stands for: platforms.Normalize of github.com/containerd/platforms.
_USUAL_VARIANT = {"arm": "v7", "arm64": "v8", "amd64": "v1"}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A complete manifest or index; `data` are the bytes of its digest."""

    descriptor: Descriptor
    data: bytes = field(repr=False)

    @cached_property
    def json(self) -> Json:
        """The content as JSON."""
        value: Json = read_json(self.data, f"the manifest {self.descriptor.digest}")
        return value

    @property
    def annotations(self) -> dict[str, str]:
        """Its annotations that are texts, as all should be."""
        found = self.json.get("annotations")
        return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests of platforms."""
        return self.descriptor.media_type in {INDEX, DOCKER_INDEX}

    @property
    def config(self) -> Descriptor:
        """The configuration of an image; raises ShipwayError."""
        return Descriptor.read(self.json.get("config") or {})

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """The layers of an image, lowest first; raises ShipwayError."""
        return tuple(Descriptor.read(item) for item in self.json.get("layers") or ())

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The configuration and the layers, each once."""
        return tuple({d.digest: d for d in (self.config, *self.layers)}.values())


def read(data: bytes, *, content_type: str, what: str) -> Manifest:
    """Return what a registry sent as a manifest; raises Unanswered if it is incomplete, ShipwayError if it is another
    kind.

    If the header and the mediaType inside differ, two clients could read the content in two ways (CVE-2021-41190), so
    it is refused.
    """
    if not data:
        raise Unanswered(what, seen="an empty manifest", todo="delete it in the registry, or push it again")
    try:
        value: Any = read_json(data, what)
    except ValueError as error:
        raise Unanswered(what, seen=f"{len(data)} bytes that are not JSON") from error
    if not isinstance(value, dict):
        raise Unanswered(what, seen="JSON that is not a manifest")
    header = content_type.partition(";")[0].strip().lower()
    inner = str(value.get("mediaType") or "")
    if header.startswith(_SCHEMA_1) or value.get("schemaVersion") == 1:
        raise ShipwayError(
            what, seen="a manifest of schema 1, which has no configuration", todo="push that image again"
        )
    if (header in _KNOWN and inner and inner != header) or ("layers" in value and "manifests" in value):
        raise ShipwayError(
            what,
            seen=f"it is called {header} and calls itself {inner or 'both an index and an image'}",
            todo="have that image pushed again",
        )
    lists = [[value.get("config")], value.get("layers"), value.get("manifests")]
    is_sound = all(map(_are_objects, lists))
    if not is_sound or not _are_objects([item.get("platform") for item in value.get("manifests") or () if item]):
        raise ShipwayError(what, seen="fields of other types than a manifest's", todo="have that image pushed again")
    kind = inner if inner in _KNOWN else header
    if kind not in _KNOWN:
        raise Unanswered(what, seen=f"{header or 'no content type'}, which is not an image manifest")
    return Manifest(descriptor=Descriptor(media_type=kind, digest=Digest.of(data), size=len(data)), data=data)


def check_config(config: Json, layers: int | None, what: str) -> None:
    """Raise ShipwayError unless the fields of an image's configuration have their types, and it has so many layers."""
    fields, rootfs = config.get("config") or {}, config.get("rootfs") or {}
    is_sound = isinstance(fields, dict) and isinstance(rootfs, dict) and _are_objects(config.get("history"))
    if is_sound:
        labels, diff_ids = fields.get("Labels") or {}, rootfs.get("diff_ids")
        lists = [diff_ids, *(fields.get(name) for name in ("OnBuild", "Shell", "Env"))]
        lists.append([entry.get("created_by") or "" for entry in config.get("history") or () if entry])
        is_sound = isinstance(labels, dict) and all(map(_are_texts, [*lists, [*labels.values()]]))
        is_sound = is_sound and layers in {None, len(diff_ids or ())}
    if not is_sound:
        raise ShipwayError(
            what, seen="its configuration has fields of other types, or other layers", todo="name another image"
        )


def _are_objects(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(item is None or isinstance(item, dict) for item in value))


def _are_texts(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def choose(index: Manifest, platform: str, what: str, config: Callable[[Descriptor], Json]) -> Descriptor:
    """Return the entry of an index for a platform (`linux/arm64`); raises Refused with the platforms that it has.

    An entry that names no platform has that of its configuration, which `config` returns.
    """
    os, _, rest = platform.partition("/")
    architecture, _, variant = rest.partition("/")
    entries = [item for item in index.json.get("manifests") or () if isinstance(item, dict)]
    variants = [variant] if variant else ["", _USUAL_VARIANT.get(architecture, "")]
    wanted = [(os, architecture, candidate) for candidate in variants]
    named = [(item["platform"], item) for item in entries if item.get("platform")]
    unnamed = [Descriptor.read(item) for item in entries if not item.get("platform")][:_MOST_UNNAMED]
    for candidate in wanted:
        for has, item in named:
            if _triple(has) == candidate:
                return Descriptor.read(item)
    known = [has for has, _ in named]
    for entry in unnamed:
        known.append(config(entry))
        if _triple(known[-1]) in wanted:
            return entry
    platforms = sorted({_platform(has) for has in known} - {"unknown/unknown"})
    raise Refused(
        f"{what} has no image for {platform}",
        seen=f"it has {', '.join(platforms) or 'none at all'}",
        todo="build for one of these, or name another image",
    )


def _triple(has: Json) -> tuple[Any, Any, Any]:
    return has.get("os"), has.get("architecture"), has.get("variant") or ""


def _platform(has: Json) -> str:
    return "/".join(str(has[key]) for key in ("os", "architecture", "variant") if has.get(key)) or "unknown/unknown"
