"""Writes versions to an application of an environment: the digests of its images, and the version of its chart.

Checks first that each digest and each chart is in the registry.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pipelines.charts import chart_yaml
from pipelines.charts.registry_state import ChartRegistry
from pipelines.deploy import state
from pipelines.deploy.edits import Edited
from pipelines.deploy.message import ChartMove
from pipelines.deploy.model import DeployTarget
from pipelines.deploy.writer import Draft, ForgeAccess, TargetWriter
from pipelines.environments import files as environment_files
from pipelines.environments import hold as environment_hold
from pipelines.environments.files import ApplicationFolder
from pipelines.environments.hold import Held
from pipelines.environments.image_places import Change, DesiredImage
from pipelines.environments.model import Application
from pipelines.errors import Refused, ShipwayError
from pipelines.images import tag_names
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.remote import Git
from pipelines.tools.git.write_back import Author, Head, WriteBack
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.reference import Reference


@dataclass(frozen=True, kw_only=True)
class DesiredVersions:
    """The versions that an application's files ask for."""

    images: Mapping[str, str]
    """The digest of each image, by address."""
    tags: Mapping[str, tuple[str, ...]]
    """The tags of each image in the files, by address."""
    version: str
    """The version of the chart, or the revision of its Git repository."""

    def equals(self, other: DesiredVersions) -> bool:
        """Whether both ask for the same digests and the same chart, whatever their tags."""
        return (dict(self.images), self.version) == (dict(other.images), other.version)


@dataclass(frozen=True, kw_only=True)
class Registries:
    """The registries of images and charts."""

    client: Registry
    charts: ChartRegistry
    under: str
    """The prefix of the images' addresses."""

    def versions(
        self, folder: ApplicationFolder, *, told: Mapping[str, str] = MappingProxyType({}), allow_missing: bool = False
    ) -> DesiredVersions:
        """Return the versions that an application's files ask for, tags resolved; `told` has digests of IMAGE:TAG.

        Raises Refused if a tag is not in the registry, unless `allow_missing`, which gives it an empty digest, and
        ShipwayError if the files name an image by two digests.
        """
        assert folder.application is not None
        images: dict[str, str] = {}
        tags: dict[str, tuple[str, ...]] = {}
        for place in folder.values.places if folder.values else ():
            digest = place.digest or told.get(f"{place.image}:{place.tag}", "")
            digest = digest or self._resolved(place.image, place.tag, folder.path, allow_missing=allow_missing)
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

    def desired_images(self, versions: DesiredVersions) -> dict[str, DesiredImage]:
        """Return the digest and tag to write for each image; raises Refused if a digest is gone, Transient."""
        desired: dict[str, DesiredImage] = {}
        for address, digest in sorted(versions.images.items()):
            tags = [*filter(tag_names.is_lasting, versions.tags.get(address, ()))]
            image = Reference.parse(address).with_digest(digest)
            desired[address] = state.desired_image(self.client, image, tags, beside=tags[0] if tags else "")
        return desired

    def chart(self, application: Application, version: str) -> Reference | None:
        """Return the reference of a version of an application's chart; None for a chart of a Git repository."""
        return self.charts.reference(application.chart, chart_yaml.tag(version)) if application.chart else None

    def check_chart(self, application: Application, version: str) -> None:
        """Raise Refused if the registry lacks a version of an application's chart; skips charts of Git repositories."""
        reference = self.chart(application, version)
        if reference and self.charts.published(reference) is None:
            raise Refused(
                f"{reference} is not in the registry",
                seen=f"{reference.registry} answered 404",
                todo="release it, or choose another version",
            )

    def _resolved(self, image: str, tag: str, folder: str, *, allow_missing: bool) -> str:
        manifest = self.client.resolve(Reference.parse(image).with_tag(tag)) if tag else None
        if manifest is None and allow_missing:
            return ""
        if manifest is None:
            raise Refused(
                f"{image}:{tag or '(no tag)'} of {folder} is not in the registry",
                seen=f"{image.partition('/')[0]} answered 404" if tag else "neither a tag nor a digest stands there",
                todo="deploy an image that is published",
            )
        return str(manifest.descriptor.digest)


@dataclass(frozen=True, kw_only=True)
class EnvironmentWriter:
    """Writes to applications of an environments repository."""

    git: Git
    url: RepositoryUrl
    branch: str
    """Empty for the default branch."""
    author: Author
    forges: ForgeAccess
    registries: Registries

    @property
    def ref(self) -> str:
        """The full ref of the branch; raises what `Git.refs` raises."""
        return f"refs/heads/{self.branch}" if self.branch else self.git.refs(self.url).default

    def environment_of(self, name: str) -> str:
        """Return the only environment that has an application; raises Misuse if several have it, or none."""
        with tempfile.TemporaryDirectory(prefix="shipway-environments-") as folder:
            return environment_files.environment_of(self.repository.head(self.ref, Path(folder) / "git"), name)

    def edited(self, folder: ApplicationFolder, versions: DesiredVersions, held: Held) -> Edited:
        """Return an application's files with other versions, and what it holds back; raises Refused, ShipwayError."""
        application = folder.application
        assert application is not None
        self.registries.check_chart(application, versions.version)
        desired = self.registries.desired_images(versions)
        files: dict[str, bytes] = {}
        changes: tuple[Change, ...] = ()
        moves: tuple[ChartMove, ...] = ()
        if folder.values:
            data, changes = folder.values.edited(desired)
            files |= {folder.values.file: data} if changes else {}
        old = application.version or application.revision
        if old != versions.version:
            key = "version" if application.version else "revision"
            files[application.config] = environment_files.with_version(
                folder.config, application, key, versions.version
            )
            name = application.chart or application.path
            moves = (ChartMove(name=name, folder=folder.path, old=old, new=versions.version),)
        if held != folder.held:
            files[f"{folder.path}/{environment_hold.NAME}"] = held.text()
        places = (*folder.values.places, *folder.values.bare) if folder.values else ()
        missing = sorted(versions.images.keys() - {place.image for place in places})
        kept = [f"{folder.path} does not name {image}" for image in missing]
        kept += folder.values.not_followed(versions.images) if folder.values else []
        return Edited(files=files, changes=changes, moves=moves, kept=tuple(kept))

    def write(self, environment: str, branch: str, draft: Callable[[Head], Draft], *, way: str) -> DeployTarget:
        """Write what `draft` computes for a head; raises what `TargetWriter.write` raises."""
        writer = TargetWriter(repository=self.repository, forges=self.forges, client=self.registries.client)
        return writer.write(environment, self.ref, branch, draft, way=way)

    @property
    def repository(self) -> WriteBack:
        """The environments repository, to write to."""
        return WriteBack(git=self.git, url=self.url, author=self.author)
