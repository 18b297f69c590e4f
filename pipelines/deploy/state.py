"""What a branch's head declares and what the registry has of it: all that a deployment writes follows from these two.

Not from the run: one that comes late, or twice, writes what the head is to have by then, and so never brings back what is older.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from pipelines.environments.image_places import DesiredImage, ValuesText
from pipelines.errors import Refused
from pipelines.images import tag_names
from pipelines.images.key import RebuildPolicy
from pipelines.images.model import PUBLISHED, PlannedImage
from pipelines.images.node import BuildTarget
from pipelines.images.tag_moves import REVISION
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
    """One commit: what it declares, and what is published of it."""

    url: RepositoryUrl
    declared: RepositorySnapshot
    plan: Plan
    place: Destination

    @property
    def commit(self) -> str:
        """The commit's id."""
        return self.plan.commit

    @property
    def images(self) -> Mapping[str, PlannedImage]:
        """Every image by the address that values name it by."""
        return {self.address(item.name).name: item for item in self.plan.images}

    @property
    def under(self) -> str:
        """What the addresses of all its images begin with."""
        return self.address("x").name.removesuffix("x")

    @property
    def published(self) -> dict[str, PlannedImage]:
        """The images that can be deployed, by address."""
        return {name: item for name, item in self.images.items() if item.state == PUBLISHED and item.digest}

    def address(self, name: str) -> Reference:
        """Return where an image is published."""
        return Reference.under(self.place.reader.registry, self.place.reader.project, name)

    def wanted(self, texts: Iterable[ValuesText]) -> dict[str, DesiredImage]:
        """Return what published images are to be named as, for those that are named otherwise, by address.

        Raises Refused for a digest that the registry lost, Transient.
        """
        found = self.published
        stale = {
            place.image
            for text in texts
            for place in text.places
            if place.image in found and place.digest != found[place.image].digest
        }
        return {address: self._wanted(address) for address in sorted(stale)}

    def _wanted(self, address: str) -> DesiredImage:
        item = self.published[address]
        version = self.declared.configuration.image(item.path).version
        image = Reference.parse(address).with_digest(item.digest)
        return wanted(self.place.reader.client, image, (version, key_tag(item.key)))


@dataclass(kw_only=True)
class StateReader(AbstractContextManager["StateReader"]):
    """Reads states, one for each commit that it is asked for; what it reads ends with the `with` block."""

    git: Git
    url: RepositoryUrl
    ref: str
    target: BuildTarget
    place: Destination
    rebuild: tuple[str, ...] = ()
    max_age: str = ""
    now: int = 0
    _states: dict[str, DeployState] = field(default_factory=dict)

    def __enter__(self) -> StateReader:
        """Make the folder that states are kept in."""
        self._folder = TemporaryDirectory(prefix="shipway-deploy-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove it."""
        self._folder.cleanup()

    def head(self) -> DeployState:
        """Return the state of what the ref names now; raises what planning raises, ShipwayError where it is gone."""
        return self.at(self.git.commit_at(self.url, self.ref))

    def at(self, commit: str) -> DeployState:
        """Return the state of one commit."""
        if commit not in self._states:
            resolved = Resolved(commit=commit, ref=self.ref)
            work = Path(self._folder.name) / commit
            work.mkdir()
            declared = release_snapshot.read(self.git, self.url, resolved, work)
            now = self.now or int(time.time())
            request = PlanRequest(
                url=self.url,
                resolved=resolved,
                target=self.target,
                rebuilds=RebuildPolicy(now=now, max_age=self.max_age),
                rebuild=self.rebuild,
            )
            plan = plan_commit.of_snapshot(declared, request, self.place, work)
            self._states[commit] = DeployState(url=self.url, declared=declared, plan=plan, place=self.place)
        return self._states[commit]


def wanted(client: Registry, image: Reference, more: Iterable[str] = (), *, beside: str = "") -> DesiredImage:
    """Return how an image is named by its digest, and by tags that name it and move no more.

    The tag of the commit that it was built from comes before `more`, but a version goes first. `beside` is the tag that stood beside
    the digest; it may name something else by now. Raises Refused for a digest that is not in the registry, Transient.
    """
    assert image.digest is not None
    manifest = client.resolve(image)
    if manifest is None:
        raise Refused(
            f"{image} is not in the registry",
            seen=f"{image.registry} answered 404",
            todo="build it, or name one that is published",
        )
    revision = str((manifest.json.get("annotations") or {}).get(REVISION, ""))
    candidates = [tag for tag in more if tag]
    own = [tag for tag in candidates if not tag.startswith("key-")]
    built = [tag_names.commit_tag(revision)] if revision else []
    names = [tag for tag in dict.fromkeys((*own, *built, *candidates)) if _names(client, image, tag)]
    return DesiredImage(digest=str(image.digest), tag=names[0] if names else "", also=frozenset(names), beside=beside)


def _names(client: Registry, image: Reference, tag: str) -> bool:
    found = client.resolve(image.with_tag(tag))
    return found is not None and found.descriptor.digest == image.digest
