"""A client of container registries over their HTTP API (distribution-spec v1.1): resolve, pull, push, tag.

A question has one of four results: the content; None if the registry reports that it does not have it (404); Transient
if there was no complete answer, so that the state is unknown; Misconfigured or Refused if the registry refuses.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from pipelines import settings
from pipelines.bounds import read_json
from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError
from pipelines.step.groups import NetworkSettings
from pipelines.tools.registry import images, transfer
from pipelines.tools.registry import manifest as registry_manifest
from pipelines.tools.registry.auth import Authorization
from pipelines.tools.registry.connection import Network, Timing, Unanswered, joined
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.images import Pulled
from pipelines.tools.registry.layout import Descriptor, Layout
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Digest, Reference
from pipelines.tools.registry.repository import RegistryResponse, Repository

_MOST_PAGES = 1000
# A mirror that is down must not delay what the registry itself can give.
_MIRROR_ATTEMPTS = 2
_NONE: Mapping[Digest, str] = {}


class NoImage(ShipwayError):
    """The registry reports that it has no such image."""


class Registry:
    """Every registry that a deployment uses, each with its own login."""

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
        """Return the manifest or index that a reference names, complete and verified, or None if there is none.

        With `mirrored`, the registry's mirror is asked first. Raises Transient, Misconfigured.
        """
        if mirrored:
            for repository in self._mirrors_of(ref):
                try:
                    found = images.manifest(repository, ref)
                except Unanswered:
                    self._silent.add(repository.registry)
                else:
                    if found:
                        return found
        return images.manifest(self._repository(ref), ref)

    def pull(self, ref: Reference, layout: Layout, *, platform: str, kept: Layout | None = None) -> Pulled:
        """Fetch one platform's image into a layout, where it is named by its digest.

        The mirror is asked first, the registry itself if the mirror does not have the image or does not answer. Blobs
        in the layout or in `kept` are not fetched again. Raises NoImage, Refused if it has none for the platform,
        Transient.
        """
        for repository in self._mirrors_of(ref):
            try:
                if pulled := images.pull(repository, ref, layout, platform, kept):
                    return self._named(pulled, layout)
            except Unanswered:
                self._silent.add(repository.registry)
        repository = self._repository(ref)
        if pulled := images.pull(repository, ref, layout, platform, kept):
            return self._named(pulled, layout)
        raise NoImage(
            f"there is no image {ref}",
            seen=f"{repository.registry} answered 404",
            todo="check its name and its tag; for a sibling, build it first",
        )

    def push(
        self, layout: Layout, descriptor: Descriptor, to: Reference, *, mounts: Mapping[Digest, str] = _NONE
    ) -> bool:
        """Publish an image, or an index of images that are there, by its digest and read it back; return whether
        anything had to be sent.

        `mounts` names, for a layer, a repository of the same registry that has it. Raises Transient if the registry
        does not return what it accepted, else its refusal.
        """
        manifest = registry_manifest.read(
            layout.read(descriptor.digest), content_type=descriptor.media_type, what=f"cannot push {layout.path}"
        )
        if manifest.is_index:
            return self._push_index(manifest, to)
        lacking = [str(b.digest) for b in manifest.blobs if not layout.has(b.digest)]
        wrong = [str(b.digest) for b in manifest.blobs if layout.has(b.digest) and layout.size(b.digest) != b.size]
        if lacking or wrong:
            raise ShipwayError(
                f"the image in {layout.path} is not whole",
                seen=f"without {', '.join(lacking)}" if lacking else f"of another size: {', '.join(wrong)}",
                todo="build it again",
            )
        repository = self._repository(to, write=True)
        by_digest = to.with_digest(descriptor.digest)
        if not images.verify(repository, manifest):
            self._proven[by_digest] = manifest
            return False
        images.send(repository, layout, manifest, mounts, trusting=True)
        fault = images.verify(repository, manifest)
        if fault:
            # It reported blobs that it cannot return: send them all.
            images.send(repository, layout, manifest, _NONE, trusting=False)
            fault = images.verify(repository, manifest)
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
        # What was read back just now is not read again: the caller has read the tag, and must not wait before it moves.
        self._put(to, self._proven.get(to) or self._known(to), tag)

    def annotate(self, to: Reference, tag: str, notes: Mapping[str, str]) -> None:
        """Let a tag name a copy of an image's manifest with more annotations; `to` has the image's digest.

        Raises Transient, or the refusal.
        """
        manifest = self._known(to)
        value = {**manifest.json, "annotations": {**manifest.annotations, **notes}}
        data = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        kind = manifest.descriptor.media_type
        described = Descriptor(media_type=kind, digest=Digest.of(data), size=len(data))
        self._put(to, Manifest(descriptor=described, data=data), tag)

    def tags(self, ref: Reference) -> tuple[str, ...]:
        """Return every tag of a repository, or none if there is no such repository; raises Transient, Misconfigured."""
        repository = self._repository(ref)
        what = f"cannot list the tags of {ref.name}"
        url = repository.url("tags/list?" + urlencode({"n": 1000}))
        found: list[str] = []
        for _ in range(_MOST_PAGES):
            answer = repository.persist(lambda url=url: _tags(repository, url, what))  # type: ignore[misc]
            if answer.status == 404:
                return ()
            found += read_json(answer.data, what)["tags"] or ()
            link = answer.headers.get("Link", "")
            if 'rel="next"' not in link and "rel=next" not in link:
                return tuple(dict.fromkeys(found))
            url = joined(answer.url, link.partition("<")[2].partition(">")[0], f"{what}: a further page")
            if urlsplit(url).netloc != urlsplit(answer.url).netloc or url == answer.url:
                break
            url = urlsplit(url)._replace(scheme=urlsplit(answer.url).scheme).geturl()
        raise Unanswered(what, seen="its pages have no end", todo="delete old tags")

    def config(self, ref: Reference, manifest: Manifest) -> dict[str, Any]:
        """Return the configuration of an image; raises Transient, Misconfigured, and ShipwayError if it is none."""
        return images.read_config(self._repository(ref), manifest, ref)

    def choose(self, ref: Reference, index: Manifest, platform: str) -> Descriptor:
        """Return the entry of an index for a platform; raises Refused if it has none, Transient, Misconfigured."""
        for repository in self._mirrors_of(ref):
            with contextlib.suppress(Unanswered, Refused):
                return images.choose(repository, index, ref, platform)
        return images.choose(self._repository(ref), index, ref, platform)

    def fetch(self, ref: Reference, blob: Descriptor, layout: Layout) -> None:
        """Fetch one blob of a repository into a layout; raises Transient if the content does not match its digest."""
        transfer.download(self._repository(ref), blob, layout)

    def _push_index(self, index: Manifest, to: Reference) -> bool:
        by_digest = to.with_digest(index.descriptor.digest)
        sent = self.resolve(by_digest) is None
        if sent and not images.put(self._repository(to, write=True), index, index.descriptor.digest):
            raise Unanswered(
                f"cannot push {by_digest}", seen="the registry lost an image of it", todo="push them again"
            )
        if sent and self.resolve(by_digest) is None:
            raise Unanswered(
                f"{by_digest} was pushed and cannot be read back", seen="404", todo="look at the registry's storage"
            )
        self._proven[by_digest] = index
        return sent

    def _known(self, to: Reference) -> Manifest:
        manifest = self.resolve(to) if to.digest else None
        if manifest is None:
            raise Misuse(f"cannot tag {to}", seen="it is not in the registry", todo="push it first, give its digest")
        return manifest

    def _put(self, to: Reference, manifest: Manifest, tag: str) -> None:
        if not images.put(self._repository(to, write=True), manifest, tag):
            raise Unanswered(f"cannot tag {to}", seen="the registry lost a blob of it", todo="push it again")

    def _named(self, pulled: Pulled, layout: Layout) -> Pulled:
        """Return a pulled image, named by its digest in the index, which one thread at a time may write."""
        with self._lock:
            layout.name(pulled.descriptor, str(pulled.descriptor.digest))
        return pulled

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
            repository = Reference(registry=host, repository=f"{prefix}/{ref.repository}".strip("/"))
        except Misuse as error:
            raise Misconfigured(
                f"the mirror of {ref.registry} has no valid address",
                seen=repr(mirror),
                todo="write other=host:port or other=host:port/path into the setting `mirrors`",
            ) from error
        return [] if host in self._silent else [replace(self._repository(repository), attempts=_MIRROR_ATTEMPTS)]


def _tags(repository: Repository, url: str, what: str) -> RegistryResponse:
    answer = repository.ask("GET", url, what=what, expect=frozenset({200, 404}))
    if answer.status == 200:
        try:
            tags = read_json(answer.data, what)["tags"] or []
        except (ValueError, KeyError, TypeError):
            tags = None
        if not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
            raise Unanswered(what, seen="an answer that is not a list of tags")
    return answer


def connect(docker_config: Path, network: NetworkSettings, *, timing: Timing | None = None) -> Registry:
    """Return a client that uses the logins of a folder; nothing is asked yet.

    Raises Misconfigured for a login or a setting that cannot be read.
    """
    return Registry(
        Credentials.read(docker_config),
        plain_http=settings.names(network.plain_http),
        mirrors=settings.pairs(network.mirrors),
        ca_file=network.authorities,
        timing=timing,
    )
