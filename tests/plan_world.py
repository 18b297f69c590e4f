"""A repository of a few images, a registry, and somebody who does what plans say, at times that tests choose."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.images import tag_names
from pipelines.images.key import RebuildPolicy
from pipelines.images.model import Checkout
from pipelines.images.node import BuildTarget
from pipelines.images.push import publish, set_tags
from pipelines.images.tag_moves import TagMover
from pipelines.release import plan_commit
from pipelines.release.model import Plan
from pipelines.release.plan_commit import Destination, PlanRequest
from pipelines.step.groups import ChartSettings
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.connection import Timing
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.reference import Reference
from tests.git_repositories import Repository
from tests.lying_registry import LyingRegistry, lying_registry
from tests.oci_images import image

OCI = "org.opencontainers.image."
DAY = 86400
NOW = 1_700_000_000
QUICK = Timing(attempts=2, backoff_seconds=0.001, answer_seconds=0.5, connect_seconds=0.5)


@dataclass
class PlanWorld:
    """A repository, a registry, and somebody who does what plans say."""

    repository: Repository
    registry: LyingRegistry
    folder: Path
    timing: Timing = QUICK
    built: list[str] = field(default_factory=list)
    """Images in the order in which they were built."""

    @property
    def client(self) -> Registry:
        """A client that remembers nothing."""
        return Registry(Credentials(), plain_http=frozenset({self.registry.address}), timing=self.timing)

    def commit(self, **files: str) -> None:
        """Commit some files; __ in a name stands for /, and Dockerfiles name the registry as REGISTRY."""
        for name, text in files.items():
            self.repository.write(name.replace("__", "/"), text.replace("REGISTRY", self.registry.address))
        self.repository.commit()

    def plan(self, revision: str = "main", *, rebuild: str = "", max_age: str = "", now: int = 0) -> Plan:
        """Plan a revision."""
        address = self.registry.address
        settings = ChartSettings(registry=address, project="team", plain_http=address)
        place = Destination.connect(settings, self.folder / "none", timing=self.timing)
        url = RepositoryUrl(str(self.repository.path))
        with Git(GitCredentials.read(self.folder / "none")) as git:
            request = PlanRequest(
                url=url,
                resolved=git.resolve(url, Revision(revision)),
                target=BuildTarget(
                    platforms=("linux/amd64",), builder="buildkit", builder_version="0.34.2", compression="zstd"
                ),
                rebuilds=RebuildPolicy(now=now, max_age=max_age),
                rebuild=(rebuild,) if rebuild else (),
            )
            return plan_commit.plan(git, request, place)

    def base(self, name: str, content: str) -> str:
        """Publish an image from outside and return its digest."""
        return self._push(name.partition(":")[0], content, {}, [name.partition(":")[2]])

    def build(self, plan: Plan, *, at: int = NOW, most: int | None = None) -> list[str]:
        """Do what a plan says about images at a moment, or die after some builds; return what was built.

        A build makes an image of its key, and push publishes it.
        """
        before = len(self.built)
        digests = {item.name: item.digest for item in plan.images}
        wanted = tag_names.tag_plan(plan.ref, plan.commit)
        for wave in plan.waves:
            for job in wave:
                if len(self.built) - before == most:
                    return self.built[before:]
                pin = job.pins[0] if job.pins else None
                notes = {f"{OCI}revision": plan.commit, f"{OCI}version": wanted.version or plan.commit[:12]}
                if pin:
                    name, _, digest = pin.partition("=")
                    notes |= {f"{OCI}base.name": name, f"{OCI}base.digest": digests.get(name, digest)}
                layout, descriptor = image(self._layout(), f"{job.name} {job.key}", annotations=notes)
                done = publish(
                    self.client,
                    layout,
                    descriptor,
                    self._reference(f"team/{job.name}"),
                    plan=wanted,
                    checkout=self._checkout(plan),
                    mounts={},
                    head=lambda _: plan.commit,
                    key=job.key,
                    renewal=(job.renews, job.moment),
                    built_at=at,
                    version_tag=job.version,
                )
                digests[job.name] = str(done.image.digest)
                self.built.append(job.name)
        for item in plan.images:
            if item.action == "tag":
                to = self._reference(f"team/{item.name}").with_digest(item.digest)
                mover = TagMover(registry=self.client, image=to, commit=plan.commit)
                for tag in item.tags:
                    if tag.startswith("key-"):
                        mover.renew(tag, item.moment)
                set_tags(mover, wanted, ref=plan.ref, head=lambda _: plan.commit)
        return self.built[before:]

    def _checkout(self, plan: Plan) -> Checkout:
        return Checkout(
            repo=plan.repo, revision="", ref=plan.ref, commit=plan.commit, time=0, tree="", path="", dockerfile="",
            target="", build_args=(), platform="", bases=(),
        )  # fmt: skip

    def _layout(self) -> Path:
        return self.folder / f"layout-{len(list(self.folder.iterdir()))}"

    def _push(self, name: str, content: str, notes: dict[str, str], names: list[str]) -> str:
        layout, descriptor = image(self._layout(), content, annotations=notes)
        to = self._reference(name)
        client = self.client
        client.push(layout, descriptor, to)
        for tag in names:
            client.tag(to.with_digest(descriptor.digest), tag)
        return str(descriptor.digest)

    def _reference(self, name: str) -> Reference:
        return Reference(registry=self.registry.address, repository=name)


@contextlib.contextmanager
def plan_world(folder: Path, timing: Timing = QUICK) -> Iterator[PlanWorld]:
    """Give three images, one over the other, and one beside them."""
    (folder / "work").mkdir(parents=True)
    with lying_registry() as registry:
        found = PlanWorld(Repository(folder / "repository"), registry, folder / "work", timing)
        found.base("public/debian:12", "bookworm")
        found.commit(
            base__Dockerfile=("FROM REGISTRY/public/debian:12\nCOPY motd "
            "/\n"), base__motd="hello", web__Dockerfile="FROM base\n",
            web__page="1", shop__Dockerfile="FROM web\n", alone__Dockerfile="FROM scratch\nCOPY x /\n", alone__x="x",
            docs__x="x",
        )  # fmt: skip
        yield found
