"""What an application of an environment runs, as digests and a chart's version, and how another one comes to run the same.

Only what is in the registry is ever written: each digest and each chart is asked for first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.charts import chart_yaml
from pipelines.charts.registry_state import ChartRegistry
from pipelines.declared.shipway_yaml import COMMIT, PULL_REQUEST
from pipelines.deploy import message, pull_requests, state
from pipelines.deploy.edits import Edited
from pipelines.deploy.message import Moved
from pipelines.deploy.model import DeployTarget
from pipelines.deploy.pull_requests import Proposing
from pipelines.environments import files as environment_files
from pipelines.environments import hold as environment_hold
from pipelines.environments.files import ApplicationFolder
from pipelines.environments.hold import Held
from pipelines.environments.image_places import Change, DesiredImage
from pipelines.environments.model import Application
from pipelines.errors import Misuse, Refused, ShipwayError
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.remote import Git
from pipelines.tools.git.write_back import Author, Head, Proposal, Propose, WriteBack
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.reference import Reference


@dataclass(frozen=True, kw_only=True)
class DesiredVersions:
    """What an application's files ask for."""

    images: Mapping[str, str]
    """The digest of each image, by address."""
    tags: Mapping[str, tuple[str, ...]]
    """The tags that stand beside it, or alone."""
    version: str
    """Of the chart, or the revision of its Git repository."""

    def is_like(self, other: DesiredVersions) -> bool:
        """Whether both run the same."""
        return (dict(self.images), self.version) == (dict(other.images), other.version)


@dataclass(frozen=True, kw_only=True)
class Registries:
    """Where images and charts are."""

    client: Registry
    charts: ChartRegistry
    under: str
    """What the addresses of images begin with."""

    def runs(self, folder: ApplicationFolder, *, lacking: bool = False) -> DesiredVersions:
        """Return what an application's files ask for, tags resolved.

        Raises Refused for a tag that the registry does not have, whose digest is empty with `lacking`; ShipwayError where one image is
        named by two digests.
        """
        assert folder.application is not None
        images: dict[str, str] = {}
        tags: dict[str, tuple[str, ...]] = {}
        for place in folder.values.places if folder.values else ():
            digest = place.digest or self._resolved(place.image, place.tag, folder.path, lacking=lacking)
            if images.setdefault(place.image, digest) != digest:
                raise ShipwayError(
                    f"{folder.path} names {place.image} by two digests",
                    seen=f"{images[place.image]} and {digest}",
                    todo="deploy it first, so that it is one",
                )
            if place.tag:
                tags[place.image] = (*tags.get(place.image, ()), place.tag)
        application = folder.application
        return DesiredVersions(images=images, tags=tags, version=application.version or application.revision)

    def wanted(self, runs: DesiredVersions) -> dict[str, DesiredImage]:
        """Return how images are to be named; raises Refused for a digest that is not in the registry, Transient."""
        found: dict[str, DesiredImage] = {}
        for address, digest in sorted(runs.images.items()):
            tags = runs.tags.get(address, ())
            image = Reference.parse(address).with_digest(digest)
            found[address] = state.wanted(self.client, image, tags, beside=tags[0] if tags else "")
        return found

    def chart(self, application: Application, version: str) -> Reference | None:
        """Return where a version of an application's chart is published; None for a chart of a Git repository."""
        return self.charts.reference(application.chart, chart_yaml.tag(version)) if application.chart else None

    def check_chart(self, application: Application, version: str) -> None:
        """Raise Refused where the registry does not have a chart's version; one of a Git repository is not asked for."""
        reference = self.chart(application, version)
        if reference and self.charts.published(reference) is None:
            raise Refused(
                f"{reference} is not in the registry",
                seen=f"{reference.registry} answered 404",
                todo="release it, or choose another version",
            )

    def _resolved(self, image: str, tag: str, where: str, *, lacking: bool) -> str:
        found = self.client.resolve(Reference.parse(image).with_tag(tag)) if tag else None
        if found is None and lacking:
            return ""
        if found is None:
            raise Refused(
                f"{image}:{tag or '(no tag)'} of {where} is not in the registry",
                seen=f"{image.partition('/')[0]} answered 404" if tag else "neither a tag nor a digest stands there",
                todo="deploy an image that is published",
            )
        return str(found.descriptor.digest)


@dataclass(frozen=True, kw_only=True)
class Moving:
    """The environments repository, and how it is written to."""

    git: Git
    url: RepositoryUrl
    branch: str
    """Empty: the default one."""
    author: Author
    proposing: Proposing
    registries: Registries

    @property
    def ref(self) -> str:
        """The full ref that is written to; raises what asking for the default branch raises."""
        return f"refs/heads/{self.branch}" if self.branch else self.git.refs(self.url).default

    def environment_of(self, name: str) -> str:
        """Return the only environment that has an application; raises Misuse where several have it or none."""
        with tempfile.TemporaryDirectory(prefix="shipway-environments-") as folder:
            head = WriteBack(git=self.git, url=self.url, author=self.author).head(self.ref, Path(folder) / "git")
            return environment_files.environment_of(head, name)

    def edited(self, folder: ApplicationFolder, runs: DesiredVersions, kept: Held) -> Edited:
        """Return an application's files at what it is to run, and what it is to hold back; raises Refused, ShipwayError."""
        application = folder.application
        assert application is not None
        self.registries.check_chart(application, runs.version)
        wanted = self.registries.wanted(runs)
        files: dict[str, bytes] = {}
        changes: tuple[Change, ...] = ()
        moves: tuple[Moved, ...] = ()
        if folder.values:
            data, changes = folder.values.edited(wanted)
            files |= {folder.values.file: data} if changes else {}
        old = application.version or application.revision
        if old != runs.version:
            key = "version" if application.version else "revision"
            files[application.config] = environment_files.with_version(folder.config, application, key, runs.version)
            name = application.chart or application.path
            moves = (Moved(name=name, where=folder.path, old=old, new=runs.version),)
        if kept != folder.held:
            files[f"{folder.path}/{environment_hold.NAME}"] = kept.text()
        named = {place.image for place in folder.values.places} if folder.values else set()
        lacking = tuple(f"{folder.path} does not name {image}" for image in sorted(runs.images.keys() - named))
        return Edited(files=files, changes=changes, moves=moves, kept=lacking)

    def write(self, name: str, branch: str, make: Propose, edited: list[Edited], *, way: str) -> DeployTarget:
        """Write what `make` says, which leaves in `edited` what it worked out last; raises what WriteBack raises."""
        back = WriteBack(git=self.git, url=self.url, author=self.author)
        link = ""
        if way == PULL_REQUEST:
            written, link = self.proposing.propose(back, self.ref, branch, make)
        elif way == COMMIT:
            written = back.commit(self.ref, make)
        else:
            raise Misuse("no such way", seen=repr(way), todo=f"use {COMMIT} or {PULL_REQUEST}")
        last = edited[-1]
        return DeployTarget(
            name=name,
            repo=str(self.url),
            way=way,
            commit=written.commit,
            pull_request=link,
            changes=message.lines(last.changes, last.moves) if written.commit else (),
            kept=last.kept,
            attempts=written.attempts,
        )

    def proposal(
        self, verb: str, where: str, edited: Edited, why: str, trailers: tuple[str, ...], *, back: bool = False
    ) -> Proposal:
        """Return what is to be written, with a message made from it; `back` where it goes back to what was before."""
        if not edited.files:
            return Proposal()
        images = {d: c.image for c in edited.changes for d in (c.old_digest, c.digest) if d}
        known = pull_requests.of(self.registries.client, images, self.proposing)
        body = message.body(edited.changes, edited.moves, known, back=back)
        return Proposal(
            files=edited.files,
            title=message.title(verb, edited.changes, edited.moves, where),
            body="\n\n".join(filter(None, (why, body))),
            trailers=(*trailers, *message.trailers("", edited.changes, edited.moves)),
        )


def at(head: Head, commit: str) -> Head:
    """Return an older commit of the same repository, which must have been fetched."""
    return Head(git=head.git, repository=head.repository, ref=head.ref, commit=commit)
