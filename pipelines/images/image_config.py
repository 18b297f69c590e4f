"""The configuration and the annotations of an image: the same for every builder.

A builder decides the layers and the parts of the configuration that the Dockerfile sets. The rest (times, history,
labels, annotations, the order of fields) is decided here, from the commit and the Dockerfile alone, so that neither the
state of a cache nor a builder's own metadata reaches the digest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from pipelines.errors import ShipwayError
from pipelines.images.layer_cache import MARK
from pipelines.images.model import Base, Checkout
from pipelines.tools.git.address import public_address
from pipelines.tools.registry.layout import LAYER_TIME, MANIFEST, Descriptor, Json, Layout
from pipelines.tools.registry.reference import Digest

_OCI = "org.opencontainers.image."
_FIELDS = (
    "User ExposedPorts Env Entrypoint Cmd Volumes WorkingDir Labels StopSignal Healthcheck OnBuild Shell StopTimeout"
).split()
"""The fields that a Dockerfile can set; image-spec v1.1, config.md, and Docker's additions to it."""
_BUILT = ("author", "config", "rootfs", "history")
"""The parts of a configuration that the build decides."""
_DERIVED = frozenset(
    _OCI + key for key in "created revision source title version ref.name base.name base.digest".split()
)
_INHERITED = ("Healthcheck", "Shell")
"""Docker's additions that a builder may lose when it reads a base."""
_DROPPED = ("io.buildah.version", MARK)
_ARGUMENTS = re.compile(r"(?:RUN )?(?:\|\d+ .*? )?/bin/sh -c (?!#\(nop\))", re.DOTALL)
_CONTENT = re.compile(r"(ADD|COPY) (?:(?:file|dir|multi):[0-9a-f]+,?)* ?in (.*?) ?", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """The facts about an image that go into its configuration."""

    time: int
    """The commit's, in seconds since 1970."""
    revision: str
    source: str
    """The repository's public address, or an empty string."""
    name: str
    version: str
    platform: str
    labels: Mapping[str, str] = field(default_factory=dict)
    """Given by the user; they win over the Dockerfile's."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """The name in the Dockerfile of each alias that the builder got."""


def facts_of(checkout: Checkout, *, name: str, version: str) -> ImageFacts:
    """Return the facts of a checkout's image, without labels and aliases; an empty name or version is the default."""
    return ImageFacts(
        time=checkout.time,
        revision=checkout.commit,
        source=public_address(checkout.repo),
        name=name or default_name(checkout),
        version=version or checkout.commit[:12],
        platform=checkout.platform,
    )


def default_name(checkout: Checkout) -> str:
    """Return the name of an image that is given none: as `clone` found it, else its folder's or the repository's."""
    if checkout.name:
        return checkout.name
    path = checkout.path if checkout.path != "." else urlsplit(checkout.repo).path.rstrip("/").removesuffix(".git")
    return PurePosixPath(path).name.lower()


@dataclass(frozen=True, kw_only=True)
class BaseImage:
    """An image that another is based on, with its configuration."""

    name: str
    digest: Digest
    config: Json

    @property
    def diff_ids(self) -> list[str]:
        """Its layers, lowest first."""
        return list((self.config.get("rootfs") or {}).get("diff_ids") or ())

    @property
    def triggers(self) -> tuple[str, ...]:
        """The texts of its ONBUILD instructions."""
        return tuple(map(str, (self.config.get("config") or {}).get("OnBuild") or ()))

    @classmethod
    def read(cls, image: Base, layout: Layout) -> BaseImage:
        """Return an image as labels name it: a sibling as in the Dockerfile, since registries differ by deployment."""
        config = layout.json(Digest(layout.json(image.digest)["config"]["digest"]))
        return cls(name=image.name if image.sibling else image.reference, digest=image.digest, config=config)


def image_config(built: Json, base: BaseImage | None, facts: ImageFacts) -> Json:
    """Return the image's configuration, from the builder's and from that of its base."""
    own, inherited = built.get("config") or {}, (base.config if base else {}).get("config") or {}
    fields = {name: own[name] for name in _FIELDS if own.get(name)}
    fields |= {name: inherited[name] for name in _INHERITED if inherited.get(name) and name not in fields}
    if fields.get("WorkingDir") == "/":  # the default, which BuildKit writes
        del fields["WorkingDir"]
    fields["Labels"] = _labels(own.get("Labels") or {}, inherited.get("Labels") or {}, base, facts)
    return {
        **({"author": built["author"]} if built.get("author") else {}),
        **_fixed(facts),
        "config": fields,
        "rootfs": {"type": "layers", "diff_ids": built["rootfs"]["diff_ids"]},
        "history": _history(built, base, facts),
    }


def _fixed(facts: ImageFacts) -> Json:
    system, _, machine = facts.platform.partition("/")
    machine, _, variant = machine.partition("/")
    return {
        "architecture": machine,
        **({"variant": variant} if variant else {}),
        "os": system,
        "created": _utc(facts.time),
    }


def is_as_written(config: Json, data: bytes, facts: ImageFacts) -> bool:
    """Whether a configuration has the form of those that are made here, and no field that they do not have."""
    fixed, rootfs = _fixed(facts), config.get("rootfs") or {}
    return (
        data == canonical(config)
        and {key: value for key, value in config.items() if key not in _BUILT} == fixed
        and {*(config.get("config") or {})} <= {*_FIELDS}
        and {"type": "layers", "diff_ids": rootfs.get("diff_ids")} == rootfs
    )


def manifest(config: Descriptor, layers: Sequence[Descriptor], base: BaseImage | None, facts: ImageFacts) -> Json:
    """Return the image's manifest."""
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.json(),
        "layers": [layer.json() for layer in layers],
        "annotations": image_annotations(base, facts),
    }


def image_annotations(base: BaseImage | None, facts: ImageFacts) -> dict[str, str]:
    """Return the annotations of an image's manifest."""
    return {**_derived(facts), **forced_labels(base, facts)}


def canonical(value: Json) -> bytes:
    """Return JSON in the stored form: keys sorted, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def without_derived_labels(config: Json) -> Json:
    """Return the part of a base's configuration that an image inherits: without the labels that are replaced here."""
    fields = dict(config.get("config") or {})
    fields["Labels"] = {key: value for key, value in (fields.get("Labels") or {}).items() if key not in _DERIVED}
    return fields


def base_of(diff_ids: Sequence[str], images: Sequence[BaseImage]) -> BaseImage | None:
    """Return the image whose layers these begin with: the one with the most layers, the first of equals."""
    fitting = [image for image in images if image.diff_ids and list(diff_ids[: len(image.diff_ids)]) == image.diff_ids]
    return max(fitting, key=lambda image: len(image.diff_ids), default=None)


def _labels(
    own: Mapping[str, str], inherited: Mapping[str, str], base: BaseImage | None, facts: ImageFacts
) -> dict[str, str]:
    stale = {key for key in _DERIVED if key in own and own[key] == inherited.get(key)}
    kept = {key: value for key, value in own.items() if key not in stale and key not in _DROPPED}
    return {**_derived(facts), **kept, **facts.labels, **forced_labels(base, facts)}


def _derived(facts: ImageFacts) -> dict[str, str]:
    return {
        _OCI + "title": facts.name,
        _OCI + "version": facts.version,
        _OCI + "ref.name": f"{facts.name}:{facts.version}",
    }


def forced_labels(base: BaseImage | None, facts: ImageFacts) -> dict[str, str]:
    """Return the labels that no Dockerfile and no user can change."""
    values = {
        "created": _utc(facts.time),
        "revision": facts.revision,
        "source": facts.source,
        "base.name": base.name if base else "",
        "base.digest": base.digest if base else "",
    }
    return {_OCI + key: value for key, value in values.items() if value}


def _history(built: Json, base: BaseImage | None, facts: ImageFacts) -> list[Json]:
    below: list[Json] = list((base.config if base else {}).get("history") or [])
    above = (built.get("history") or [])[len(below) :]
    entries = below + [_entry(entry, facts) for entry in above if MARK not in entry.get("created_by", "")]
    layers = len(built["rootfs"]["diff_ids"])
    if sum(not entry.get("empty_layer") for entry in entries) != layers:
        if base is None:
            raise ShipwayError(
                "the builder's history does not fit its layers", seen=f"{len(entries)} entries, {layers} layers"
            )
        entries = [{"created": _utc(LAYER_TIME), "created_by": "layer"} for _ in range(layers)]
    return entries


def _entry(entry: Json, facts: ImageFacts) -> Json:
    text = str(entry.get("created_by", "")).removesuffix(" # buildkit")
    if text.startswith("/bin/sh -c #(nop) "):
        text = text.removeprefix("/bin/sh -c #(nop) ")
    elif match := _ARGUMENTS.match(text):
        text = "RUN " + text[match.end() :].lstrip()
    if match := _CONTENT.fullmatch(text):
        text = f"{match[1]} … {match[2]}"
    for alias, name in facts.aliases.items():
        text = text.replace(alias, name)
    empty = {"empty_layer": True} if entry.get("empty_layer") else {}
    return {"created": _utc(LAYER_TIME), "created_by": text.strip(), **empty}


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
