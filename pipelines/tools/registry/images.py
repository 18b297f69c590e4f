"""Manifests and complete images in one repository of a registry: resolved, fetched, sent and verified."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.bounds import read_json
from pipelines.errors import Misconfigured, Refused, ShipwayError
from pipelines.tools.registry import errors, transfer
from pipelines.tools.registry import manifest as registry_manifest
from pipelines.tools.registry.connection import Unanswered
from pipelines.tools.registry.layout import Descriptor, Json, Layout
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Digest, Reference
from pipelines.tools.registry.repository import Repository

_DEEPEST_INDEX = 3
_MEDIA_TYPE = re.compile(r"media[ -]?type|zstd", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """An image that was fetched into a layout."""

    resolved: Digest
    """What the reference named: an index, or the manifest itself."""
    descriptor: Descriptor
    """The manifest of the platform."""


def manifest(repository: Repository, ref: Reference) -> Manifest | None:
    """Return the manifest or index that a reference names, complete and verified, or None if there is none.

    Raises Unanswered, Misconfigured.
    """
    name = ref.digest or ref.tag or "latest"
    what = f"cannot read {repository.registry}/{repository.name}{'@' if ref.digest else ':'}{name}"

    def ask() -> Manifest | None:
        answer = repository.ask(
            "GET",
            repository.url(f"manifests/{name}"),
            what=what,
            expect=frozenset({200, 404}),
            headers={"Accept": registry_manifest.ACCEPT},
        )
        if answer.status == 404:
            return None
        digest = Digest.of(answer.data)
        said = answer.headers.get("Docker-Content-Digest", "")
        expected = ref.digest or (said if said.startswith("sha256:") else digest)
        if answer.data and expected != digest:
            raise Unanswered(what, seen=f"{len(answer.data)} bytes with {digest}, not {expected}")
        return registry_manifest.read(answer.data, content_type=answer.headers.get("Content-Type", ""), what=what)

    return repository.persist(ask)


def pull(
    repository: Repository, ref: Reference, layout: Layout, platform: str, kept: Layout | None = None
) -> Pulled | None:
    """Fetch one platform's image into a layout without a name there; return None if there is no such image.

    Intact blobs in `kept`, another layout of this machine, are taken from there, and the others are added to it. Raises
    Unanswered, ShipwayError, and Refused if there is no image for the platform.
    """
    named = manifest(repository, ref)
    if named is None:
        return None
    image = named
    for _ in range(_DEEPEST_INDEX):
        if not image.is_index:
            break
        chosen = choose(repository, image, ref, platform)
        found = manifest(repository, ref.with_digest(chosen.digest))
        if found is None:
            raise Unanswered(
                f"cannot fetch {ref}",
                seen=f"{repository.registry} lists {chosen.digest} for {platform} and does not have it",
                todo="have that image pushed again",
            )
        image = found
    if image.is_index:
        raise ShipwayError(f"cannot fetch {ref}", seen="an index in an index in an index", todo="name an image")

    def bring(blob: Descriptor) -> None:
        if kept is None:
            transfer.download(repository, blob, layout)
        elif not layout.take(kept, blob):
            transfer.download(repository, blob, layout)
            kept.link(layout.blob(blob.digest), blob.digest, anew=True)  # the file of that name may be damaged

    bring(image.config)
    _check_platform(layout, image, platform, ref)
    transfer.in_parallel(bring, image.blobs)
    layout.add(image.data, image.descriptor.media_type)
    return Pulled(resolved=named.descriptor.digest, descriptor=image.descriptor)


def choose(repository: Repository, index: Manifest, ref: Reference, platform: str) -> Descriptor:
    """Return the entry of an index for a platform; raises Refused if it has none, Unanswered."""

    def config(entry: Descriptor) -> Json:
        image = manifest(repository, ref.with_digest(entry.digest))
        return {} if image is None or image.is_index else read_config(repository, image, ref)

    return registry_manifest.choose(index, platform, str(ref), config)


def read_config(repository: Repository, image: Manifest, ref: Reference) -> Json:
    """Return the configuration of an image; raises Unanswered, and ShipwayError if it is none."""
    what = f"the configuration of {ref}"
    value = read_json(transfer.read_blob(repository, image.config), what)
    if not isinstance(value, dict):
        return {}
    registry_manifest.check_config(value, None, f"cannot read {what}")
    return value


def send(
    repository: Repository, layout: Layout, image: Manifest, mounts: Mapping[Digest, str], *, trusting: bool
) -> None:
    """Send the blobs (with `trusting`, only those that the registry reports as missing), then the manifest by digest.

    The registry is not asked for the configuration, which is as new as the manifest, nor for blobs that it can mount.
    """

    def send_blob(blob: Descriptor) -> None:
        source = mounts.get(blob.digest, "")
        if trusting and not source and blob != image.config and transfer.has_blob(repository, blob):
            return
        transfer.upload(repository, blob, layout, mount_from=source)

    transfer.in_parallel(send_blob, image.blobs)
    put(repository, image, image.descriptor.digest)


def put(repository: Repository, image: Manifest, name: str) -> bool:
    """Store a manifest under a tag or its digest; return False if the registry lacks one of its blobs."""
    is_zstd = any(layer.media_type.endswith("zstd") for layer in image.layers)
    what = f"cannot push {repository.registry}/{repository.name}{'@' if name.startswith('sha256:') else ':'}{name}"

    def ask() -> bool:
        with repository.open(
            "PUT",
            repository.url(f"manifests/{name}"),
            what=what,
            headers={"Content-Type": image.descriptor.media_type},
            body=image.data,
        ) as response:
            data = repository.network.body(response, what=what)
            if response.status in transfer.ANSWERED:
                return True
            if response.status in {400, 404} and "MANIFEST_BLOB_UNKNOWN" in errors.codes(data):
                return False
            refused = repository.refusal(what, response.status, data)
            if is_zstd and (type(refused) is ShipwayError or _MEDIA_TYPE.search(refused.seen)):
                todo = "set `compression: gzip` if this registry knows no zstd; else see its own log"
                raise Misconfigured(what, seen=refused.seen, todo=todo)
            raise refused

    return repository.persist(ask)


def verify(repository: Repository, image: Manifest) -> str:
    """Read an image back; return an empty string if the registry returns all of it, else what it answers instead."""
    by_digest = Reference(registry=repository.registry, repository=repository.name, digest=image.descriptor.digest)
    try:
        if manifest(repository, by_digest) is None:
            return f"{repository.registry} does not have {image.descriptor.digest}"
        transfer.read_blob(repository, image.config)
    except Unanswered as error:
        if error.silent:
            raise
        return f"{error.what} ({error.seen})"
    faults = transfer.in_parallel(
        lambda blob: transfer.verify_blob(repository, blob),
        [layer for layer in image.blobs if layer != image.config],
    )
    return "; ".join(filter(None, faults))


def _check_platform(layout: Layout, manifest: Manifest, platform: str, ref: Reference) -> None:
    """Raise Refused if the configuration of an image names another platform; it may name none."""
    try:
        config = layout.json(manifest.config.digest)
    except ValueError as error:
        raise ShipwayError(f"cannot use {ref}", seen="its configuration is not JSON", todo="name an image") from error
    registry_manifest.check_config(config, len(manifest.layers), f"cannot use {ref}")
    os, architecture = str(config.get("os") or ""), str(config.get("architecture") or "")
    if os and architecture and platform.split("/")[:2] != [os, architecture]:
        raise Refused(
            f"{ref} has no image for {platform}",
            seen=f"it has {os}/{architecture}",
            todo="build for that platform, or name another image",
        )
