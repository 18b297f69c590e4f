"""A container registry over its HTTP API (distribution-spec v1.1): resolve, pull, push, tag.

Whoever asks gets one of four kinds of answer: what is there; None for what the registry says it does not have (404);
Transient when it gave no whole answer, so that nothing is known; Misconfigured or Refused when it says no.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError
from pipelines.model.reference import Digest, Reference
from pipelines.tools import registry_errors, registry_manifest, registry_transfer
from pipelines.tools.credentials import Credentials
from pipelines.tools.layout import Descriptor, Layout
from pipelines.tools.registry_auth import Authorization
from pipelines.tools.registry_connection import Network, Timing, Unanswered
from pipelines.tools.registry_host import Answer, Repository
from pipelines.tools.registry_manifest import Manifest

_MOST_PAGES = 1000
_DEEPEST_INDEX = 3
# A mirror that is down must not hold up what the registry itself can give.
_MIRROR_ATTEMPTS = 2
_NONE: Mapping[Digest, str] = {}


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """An image that came into a layout."""

    resolved: Digest
    """What the reference named: an index, or the manifest itself."""
    descriptor: Descriptor
    """The manifest of the platform."""


class Registry:
    """Every registry that a deployment speaks to, each with its own login."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        plain_http: frozenset[str] = frozenset(),
        mirrors: Mapping[str, str] | None = None,
        ca_file: Path | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._network = Network(plain_http=plain_http, ca_file=ca_file, timing=timing or Timing())
        self._authorization = Authorization(credentials, self._network)
        self._mirrors = dict(mirrors or {})
        self._silent: set[str] = set()
        self._proven: dict[Reference, Manifest] = {}
        self._lock = threading.Lock()

    def resolve(self, ref: Reference, *, mirrored: bool = False) -> Manifest | None:
        """Return the manifest or index that a reference names, whole and checked, or None when there is none.

        With `mirrored`, the registry's mirror is asked first. Raises Transient, Misconfigured.
        """
        if mirrored:
            for place in self._mirrors_of(ref):
                try:
                    found = self._manifest(place, ref)
                except Unanswered:
                    self._silent.add(place.registry)
                else:
                    if found:
                        return found
        return self._manifest(self._repository(ref), ref)

    def pull(self, ref: Reference, layout: Layout, *, platform: str) -> Pulled:
        """Fetch one platform's image into a layout, where it is named by its digest.

        The mirror is asked first, the registry itself where that has nothing or is silent; blobs already in the layout
        are kept. Raises ShipwayError when there is no such image, Refused when it has none for the platform, Transient.
        """
        for place in self._mirrors_of(ref):
            try:
                if pulled := self._pull(place, ref, layout, platform):
                    return pulled
            except Unanswered:
                self._silent.add(place.registry)
        place = self._repository(ref)
        if pulled := self._pull(place, ref, layout, platform):
            return pulled
        raise ShipwayError(
            f"there is no image {ref}",
            seen=f"{place.registry} answered 404",
            todo="check its name and its tag; for a sibling, build it first",
        )

    def push(
        self, layout: Layout, descriptor: Descriptor, to: Reference, *, mounts: Mapping[Digest, str] = _NONE
    ) -> bool:
        """Publish an image by its digest and read it back; return whether anything had to be sent.

        `mounts` names, for a layer, a repository of the same registry that has it. Raises Transient when the registry
        does not give back what it took in, else its refusal.
        """
        manifest = registry_manifest.read(
            layout.read(descriptor.digest), content_type=descriptor.media_type, what=f"cannot push {layout.path}"
        )
        if manifest.is_index:
            raise Misuse(f"cannot push {layout.path}", seen="an index of images", todo="push one image")
        lacking = [str(b.digest) for b in manifest.blobs if not layout.has(b.digest)]
        wrong = [
            str(b.digest)
            for b in manifest.blobs
            if layout.has(b.digest) and layout.blob(b.digest).stat().st_size != b.size
        ]
        if lacking or wrong:
            raise ShipwayError(
                f"the image in {layout.path} is not whole",
                seen=f"without {', '.join(lacking)}" if lacking else f"of another size: {', '.join(wrong)}",
                todo="build it again",
            )
        place = self._repository(to, write=True)
        by_digest = to.with_digest(descriptor.digest)
        if not self._fault(place, manifest):
            self._proven[by_digest] = manifest
            return False
        self._send(place, layout, manifest, mounts, trusting=True)
        fault = self._fault(place, manifest)
        if fault:
            # It said that it had blobs which it cannot give: send them all.
            self._send(place, layout, manifest, _NONE, trusting=False)
            fault = self._fault(place, manifest)
        if fault:
            raise Unanswered(
                f"{by_digest} was pushed and cannot be read back",
                seen=fault,
                todo="look at the registry's storage; its garbage collection may be at work, or its disk damaged",
            )
        self._proven[by_digest] = manifest
        return True

    def tag(self, to: Reference, tag: str) -> None:
        """Let a tag name an image that is in the registry; `to` has its digest. Raises Transient, or the refusal."""
        # What was read back just now is not read again: whoever tags has looked at the tag, and must not wait in between.
        manifest = self._proven.get(to) or self.resolve(to)
        if manifest is None or to.digest is None:
            raise Misuse(f"cannot tag {to}", seen="it is not in the registry", todo="push it first, give its digest")
        if not self._put(self._repository(to, write=True), manifest, tag):
            raise Unanswered(f"cannot tag {to}", seen="the registry lost a blob of it", todo="push it again")

    def annotate(self, to: Reference, tag: str, notes: Mapping[str, str]) -> None:
        """Let a tag name an image's manifest with further annotations, another manifest of the same image; `to` has its digest.

        Raises Transient, or the refusal.
        """
        manifest = self.resolve(to)
        if manifest is None or to.digest is None:
            raise Misuse(f"cannot tag {to}", seen="it is not in the registry", todo="push it first, give its digest")
        value = {**manifest.json, "annotations": {**(manifest.json.get("annotations") or {}), **notes}}
        data = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        kind = manifest.descriptor.media_type
        described = Descriptor(media_type=kind, digest=Digest.of(data), size=len(data))
        if not self._put(self._repository(to, write=True), Manifest(descriptor=described, data=data), tag):
            raise Unanswered(f"cannot tag {to}", seen="the registry lost a blob of it", todo="push it again")

    def tags(self, ref: Reference) -> tuple[str, ...]:
        """Return every tag of a repository, or none where there is no such repository; raises Transient, Misconfigured."""
        place = self._repository(ref)
        what = f"cannot list the tags of {ref.name}"
        url = place.url("tags/list?" + urlencode({"n": 1000}))
        found: list[str] = []
        for _ in range(_MOST_PAGES):
            answer = place.persist(lambda url=url: _tags(place, url, what))  # type: ignore[misc]
            if answer.status == 404:
                return ()
            found += json.loads(answer.data)["tags"] or ()
            link = answer.headers.get("Link", "")
            if 'rel="next"' not in link and "rel=next" not in link:
                return tuple(dict.fromkeys(found))
            url = urljoin(answer.url, link.partition("<")[2].partition(">")[0])
            if urlsplit(url).netloc != urlsplit(answer.url).netloc or url == answer.url:
                break
            url = urlsplit(url)._replace(scheme=urlsplit(answer.url).scheme).geturl()
        raise Unanswered(what, seen="its pages have no end", todo="delete old tags")

    def config(self, ref: Reference, manifest: Manifest) -> dict[str, Any]:
        """Return the configuration of an image; raises Transient, Misconfigured."""
        value = json.loads(registry_transfer.small(self._repository(ref), manifest.config))
        return value if isinstance(value, dict) else {}

    def fetch(self, ref: Reference, blob: Descriptor, layout: Layout) -> None:
        """Fetch one blob of a repository into a layout; raises Transient when what came is not what its digest names."""
        registry_transfer.download(self._repository(ref), blob, layout)

    def _repository(self, ref: Reference, *, write: bool = False) -> Repository:
        return Repository(
            registry=ref.registry,
            name=ref.repository,
            scopes=(f"repository:{ref.repository}:{'pull,push' if write else 'pull'}",),
            network=self._network,
            authorization=self._authorization,
        )

    def _mirrors_of(self, ref: Reference) -> list[Repository]:
        mirror = self._mirrors.get(ref.registry, "")
        if not mirror:
            return []
        host, _, prefix = mirror.partition("/")
        try:
            place = Reference(registry=host, repository=f"{prefix}/{ref.repository}".strip("/"))
        except Misuse as error:
            raise Misconfigured(
                f"the mirror of {ref.registry} has no valid address",
                seen=repr(mirror),
                todo="write other=host:port or other=host:port/path into the setting `mirrors`",
            ) from error
        return [] if host in self._silent else [replace(self._repository(place), attempts=_MIRROR_ATTEMPTS)]

    def _manifest(self, place: Repository, ref: Reference) -> Manifest | None:
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

    def _pull(self, place: Repository, ref: Reference, layout: Layout, platform: str) -> Pulled | None:
        manifest = self._manifest(place, ref)
        if manifest is None:
            return None
        resolved = manifest.descriptor.digest
        for _ in range(_DEEPEST_INDEX):
            if not manifest.is_index:
                break
            chosen = registry_manifest.choose(manifest, platform, str(ref))
            found = self._manifest(place, ref.with_digest(chosen.digest))
            if found is None:
                raise Unanswered(
                    f"cannot fetch {ref}",
                    seen=f"{place.registry} lists {chosen.digest} for {platform} and does not have it",
                    todo="have that image pushed again",
                )
            manifest = found
        if manifest.is_index:
            raise ShipwayError(f"cannot fetch {ref}", seen="an index in an index in an index", todo="name an image")
        registry_transfer.download(place, manifest.config, layout)
        _check_platform(layout, manifest, platform, ref)
        registry_transfer.in_parallel(lambda blob: registry_transfer.download(place, blob, layout), manifest.blobs)
        layout.add(manifest.data, manifest.descriptor.media_type)
        with self._lock:
            layout.name(manifest.descriptor, str(manifest.descriptor.digest))
        return Pulled(resolved=resolved, descriptor=manifest.descriptor)

    def _send(
        self, place: Repository, layout: Layout, manifest: Manifest, mounts: Mapping[Digest, str], *, trusting: bool
    ) -> None:
        """Send the blobs (with `trusting`, those that the registry says it lacks), then the manifest by its digest."""

        def send(blob: Descriptor) -> None:
            if trusting and registry_transfer.holds(place, blob):
                return
            source = mounts.get(blob.digest, "")
            wide = replace(place, scopes=(*place.scopes, f"repository:{source}:pull")) if source else place
            registry_transfer.upload(wide, blob, layout.blob(blob.digest), mount_from=source)

        registry_transfer.in_parallel(send, manifest.blobs)
        self._put(place, manifest, manifest.descriptor.digest)

    def _put(self, place: Repository, manifest: Manifest, name: str) -> bool:
        """Store a manifest under a tag or its digest; return False when the registry misses one of its blobs."""
        what = f"cannot push {place.registry}/{place.name}{'@' if name.startswith('sha256:') else ':'}{name}"

        def ask() -> bool:
            with place.open(
                "PUT",
                place.url(f"manifests/{name}"),
                what=what,
                headers={"Content-Type": manifest.descriptor.media_type},
                body=manifest.data,
            ) as response:
                data = self._network.body(response, what=what)
                if response.status in {200, 201, 202}:
                    return True
                if response.status in {400, 404} and "MANIFEST_BLOB_UNKNOWN" in registry_errors.codes(data):
                    return False
                raise place.refusal(what, response.status, data)

        return place.persist(ask)

    def _fault(self, place: Repository, manifest: Manifest) -> str:
        """Return an empty string when the registry gives the whole image back, else what it does instead."""
        by_digest = Reference(registry=place.registry, repository=place.name, digest=manifest.descriptor.digest)
        try:
            there = self._manifest(place, by_digest)
            if there is None:
                return f"{place.registry} does not have {manifest.descriptor.digest}"
            registry_transfer.small(place, manifest.config)
        except Unanswered as error:
            if error.silent:
                raise
            return f"{error.what} ({error.seen})"
        faults = registry_transfer.in_parallel(
            lambda blob: registry_transfer.reach(place, blob),
            [layer for layer in manifest.blobs if layer != manifest.config],
        )
        return "; ".join(filter(None, faults))


def _tags(place: Repository, url: str, what: str) -> Answer:
    answer = place.ask("GET", url, what=what, expect=frozenset({200, 404}))
    if answer.status == 200:
        try:
            tags = json.loads(answer.data)["tags"] or []
        except (ValueError, KeyError, TypeError):
            tags = None
        if not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
            raise Unanswered(what, seen="an answer that is no list of tags")
    return answer


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
