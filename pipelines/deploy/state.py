"""The state that a deployment follows from: what a branch's head declares, and what the registry has of it.

Nothing follows from the run itself, so one that is late or repeated writes what the head asks for by then, and never
restores older versions.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from pipelines.declared.state import PUBLISHED
from pipelines.environments.image_places import DesiredImage, ValuesText
from pipelines.errors import Refused
from pipelines.images import tag_names
from pipelines.images.key import RebuildPolicy
from pipelines.images.names import platform_of
from pipelines.images.node import BuildTarget
from pipelines.images.plan_model import PlannedImage
from pipelines.images.registry_state import REVISION
from pipelines.release import plan_commit
from pipelines.release import snapshot as release_snapshot
from pipelines.release.model import Plan
from pipelines.release.plan_commit import Destination, PlanRequest
from pipelines.release.snapshot import RepositorySnapshot
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.reference import Reference, key_tag


@dataclass(frozen=True, kw_only=True)
class DeployState:
    """What one commit declares, and what is published of it."""

    url: RepositoryUrl
    snapshot: RepositorySnapshot
    plan: Plan
    destination: Destination

    @property
    def commit(self) -> str:
        """The commit's id."""
        return self.plan.commit

    @property
    def images(self) -> Mapping[str, PlannedImage]:
        """Every image by its address in the registry."""
        return {self.address(item.name).name: item for item in self.plan.images if not platform_of(item.name)}

    @property
    def under(self) -> str:
        """The prefix of its images' addresses."""
        return self.address("x").name.removesuffix("x")

    @property
    def published(self) -> dict[str, PlannedImage]:
        """The images that can be deployed, by address."""
        return {name: item for name, item in self.images.items() if item.state == PUBLISHED and item.digest}

    def address(self, name: str) -> Reference:
        """Return the reference that an image is published under."""
        reader = self.destination.reader
        return Reference.under(reader.registry, reader.project, name)

    def desired_images(self, texts: Iterable[ValuesText]) -> dict[str, DesiredImage]:
        """Return the digest and tag to write, by address, for published images that values name by other digests.

        Raises Refused if the registry has lost a digest, Transient.
        """
        published = self.published
        places = (place for text in texts for place in text.places if place.image in published)
        stale = {place.image for place in places if place.digest != published[place.image].digest}
        desired: dict[str, DesiredImage] = {}
        for address in sorted(stale):
            item = published[address]
            version = self.snapshot.configuration.image(item.dockerfile).version
            image = Reference.parse(address).with_digest(item.digest)
            desired[address] = desired_image(self.destination.reader.client, image, (version, key_tag(item.key)))
        return desired


@dataclass(kw_only=True)
class StateReader(AbstractContextManager["StateReader"]):
    """Reads the state of commits, each once; its files are removed at the end of the `with` block."""

    git: Git
    url: RepositoryUrl
    ref: str
    target: BuildTarget
    destination: Destination
    rebuild: tuple[str, ...] = ()
    max_age: str = ""
    now: int = 0
    _states: dict[str, DeployState] = field(default_factory=dict)

    def __enter__(self) -> StateReader:
        """Create the folder for the commits' files."""
        self._folder = TemporaryDirectory(prefix="shipway-deploy-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove that folder."""
        self._folder.cleanup()

    def head(self) -> DeployState:
        """Return the state of the ref's head; raises what planning raises, ShipwayError if the ref does not exist."""
        return self.at(self.git.commit_at(self.url, self.ref))

    def at(self, commit: str) -> DeployState:
        """Return the state of one commit."""
        if commit not in self._states:
            resolved = Resolved(commit=commit, ref=self.ref)
            work = Path(self._folder.name) / commit
            work.mkdir()
            snapshot = release_snapshot.read(self.git, self.url, resolved, work)
            now = self.now or int(time.time())
            request = PlanRequest(
                url=self.url,
                resolved=resolved,
                target=self.target,
                rebuilds=RebuildPolicy(now=now, max_age=self.max_age),
                rebuild=self.rebuild,
            )
            plan = plan_commit.of_snapshot(snapshot, request, self.destination, work)
            self._states[commit] = DeployState(url=self.url, snapshot=snapshot, plan=plan, destination=self.destination)
        return self._states[commit]


def desired_image(
    client: Registry, image: Reference, candidates: Iterable[str] = (), *, beside: str = ""
) -> DesiredImage:
    """Return an image's digest with the tags that name it and no longer move, the preferred one first.

    Versions among `candidates` come first, then the tag of the commit that it was built from, then the key's tag.
    Candidates that follow a branch do not count. `beside` is the tag that was written with the digest; it may name
    something else by now. Raises Refused if the digest is not in the registry, Transient.
    """
    assert image.digest is not None
    manifest = client.resolve(image)
    if manifest is None:
        raise Refused(
            f"{image} is not in the registry",
            seen=f"{image.registry} answered 404",
            todo="build it, or name one that is published",
        )
    revision = str(manifest.annotations.get(REVISION, ""))
    tags = [tag for tag in candidates if tag_names.is_lasting(tag)]
    own = [tag for tag in tags if not tag.startswith("key-")]
    built = [tag_names.commit_tag(revision)] if revision else []
    resolved = {tag: client.resolve(image.with_tag(tag)) for tag in dict.fromkeys((*own, *built, *tags))}
    names = [tag for tag, named in resolved.items() if named and named.descriptor.digest == image.digest]
    return DesiredImage(digest=str(image.digest), tag=names[0] if names else "", also=frozenset(names), beside=beside)
