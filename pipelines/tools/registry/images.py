"""Manifests and whole images in one repository of a registry: asked for, fetched, sent, and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipelines.errors import Refused, ShipwayError
from pipelines.tools.registry import errors, transfer
from pipelines.tools.registry import manifest as registry_manifest
from pipelines.tools.registry.connection import Unanswered
from pipelines.tools.registry.layout import Descriptor, Layout
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Digest, Reference
from pipelines.tools.registry.repository import Repository

_DEEPEST_INDEX = 3


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """An image that came into a layout."""

    resolved: Digest
    """What the reference named: an index, or the manifest itself."""
    descriptor: Descriptor
    """The manifest of the platform."""


def manifest(place: Repository, ref: Reference) -> Manifest | None:
    """Return the manifest or index that a reference names, whole and checked, or None where there is none; raises Unanswered, Misconfigured."""
    name = ref.digest or ref.tag or "latest"
    what = f"cannot read {place.registry}/{place.name}{'@' if ref.digest else ':'}{name}"

    def ask() -> Manifest | None:
        answer = place.ask(
            "GET",
            place.url(f"manifests/{name}"),
            what=what,
            expect=frozenset({200, 404}),
            headers={"Accept": registry_manifest.ACCEPT},
        )
        if answer.status == 404:
            return None
        digest = Digest.of(answer.data)
        said = answer.headers.get("Docker-Content-Digest", "")
        wanted = ref.digest or (said if said.startswith("sha256:") else digest)
        if answer.data and wanted != digest:
            raise Unanswered(what, seen=f"{len(answer.data)} bytes with {digest}, not {wanted}")
        return registry_manifest.read(answer.data, content_type=answer.headers.get("Content-Type", ""), what=what)

    return place.persist(ask)


def pull(place: Repository, ref: Reference, layout: Layout, platform: str, kept: Layout | None = None) -> Pulled | None:
    """Fetch one platform's image into a layout, and leave it unnamed there; return None where there is no such image.

    Blobs that are whole in `kept`, another layout of this machine, are taken from there, and the others are left there as well.
    Raises Unanswered, ShipwayError, and Refused where there is none for the platform.
    """
    named = manifest(place, ref)
    if named is None:
        return None
    image = named
    for _ in range(_DEEPEST_INDEX):
        if not image.is_index:
            break
        chosen = registry_manifest.choose(image, platform, str(ref))
        found = manifest(place, ref.with_digest(chosen.digest))
        if found is None:
            raise Unanswered(
                f"cannot fetch {ref}",
                seen=f"{place.registry} lists {chosen.digest} for {platform} and does not have it",
                todo="have that image pushed again",
            )
        image = found
    if image.is_index:
        raise ShipwayError(f"cannot fetch {ref}", seen="an index in an index in an index", todo="name an image")

    def bring(blob: Descriptor) -> None:
        if kept is None:
            transfer.download(place, blob, layout)
        elif not layout.take(kept.blob(blob.digest), blob):
            transfer.download(place, blob, layout)
            kept.link(layout.blob(blob.digest), blob.digest, anew=True)  # what is there by that name may be damaged

    bring(image.config)
    _check_platform(layout, image, platform, ref)
    transfer.in_parallel(bring, image.blobs)
    layout.add(image.data, image.descriptor.media_type)
    return Pulled(resolved=named.descriptor.digest, descriptor=image.descriptor)


def send(place: Repository, layout: Layout, image: Manifest, mounts: Mapping[Digest, str], *, trusting: bool) -> None:
    """Send the blobs (with `trusting`, those that the registry says it lacks), then the manifest by its digest.

    It is not asked for a configuration, which is as new as the manifest, nor for what it can take over from itself.
    """

    def send_blob(blob: Descriptor) -> None:
        source = mounts.get(blob.digest, "")
        if trusting and not source and blob != image.config and transfer.has_blob(place, blob):
            return
        wide = replace(place, scopes=(*place.scopes, f"repository:{source}:pull")) if source else place
        transfer.upload(wide, blob, layout.blob(blob.digest), mount_from=source)

    transfer.in_parallel(send_blob, image.blobs)
    put(place, image, image.descriptor.digest)


def put(place: Repository, image: Manifest, name: str) -> bool:
    """Store a manifest under a tag or its digest; return False when the registry misses one of its blobs."""
    what = f"cannot push {place.registry}/{place.name}{'@' if name.startswith('sha256:') else ':'}{name}"

    def ask() -> bool:
        with place.open(
            "PUT",
            place.url(f"manifests/{name}"),
            what=what,
            headers={"Content-Type": image.descriptor.media_type},
            body=image.data,
        ) as response:
            data = place.network.body(response, what=what)
            if response.status in {200, 201, 202}:
                return True
            if response.status in {400, 404} and "MANIFEST_BLOB_UNKNOWN" in errors.codes(data):
                return False
            raise place.refusal(what, response.status, data)

    return place.persist(ask)


def verify(place: Repository, image: Manifest) -> str:
    """Return an empty string when the registry gives the whole image back, else what it does instead."""
    by_digest = Reference(registry=place.registry, repository=place.name, digest=image.descriptor.digest)
    try:
        there = manifest(place, by_digest)
        if there is None:
            return f"{place.registry} does not have {image.descriptor.digest}"
        transfer.read_blob(place, image.config)
    except Unanswered as error:
        if error.silent:
            raise
        return f"{error.what} ({error.seen})"
    faults = transfer.in_parallel(
        lambda blob: transfer.verify_blob(place, blob),
        [layer for layer in image.blobs if layer != image.config],
    )
    return "; ".join(filter(None, faults))


def _check_platform(layout: Layout, manifest: Manifest, platform: str, ref: Reference) -> None:
    """Refuse an image whose configuration names another platform; one that names none is taken."""
    try:
        config = layout.json(manifest.config.digest)
    except ValueError as error:
        raise ShipwayError(f"cannot use {ref}", seen="its configuration is not JSON", todo="name an image") from error
    os, architecture = str(config.get("os") or ""), str(config.get("architecture") or "")
    if os and architecture and platform.split("/")[:2] != [os, architecture]:
        raise Refused(
            f"{ref} has no image for {platform}",
            seen=f"it has {os}/{architecture}",
            todo="build for that platform, or name another image",
        )
