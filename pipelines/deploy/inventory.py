"""Every application of every environment with what is behind it, asked of the systems themselves.

What an environment declares stands in its Git repository; where an image and a chart come from, in labels and annotations in the
registry; what runs, in Argo CD's own objects. Nothing is kept anywhere else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.charts import chart_yaml
from pipelines.charts.registry_state import ChartRegistry
from pipelines.declared.finding import Finding
from pipelines.deploy import argo_cd
from pipelines.deploy.status_model import DeployedImage, Whereabouts
from pipelines.environments import image_places, image_uses
from pipelines.environments import repository as environment_repository
from pipelines.environments.model import Application
from pipelines.environments.repository import DeclaredEnvironments
from pipelines.errors import Misconfigured, Misuse, ShipwayError, Transient
from pipelines.tools.git import history as git_history
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.git.remote import Git
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.reference import Digest, Reference
from pipelines.tools.registry.transfer import in_parallel

_OCI = "org.opencontainers.image."


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found, and what is wrong with files of the environments repository."""

    rows: tuple[Whereabouts, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class _ListedImage:
    digest: str
    revision: str = ""
    source: str = ""


@dataclass(kw_only=True)
class Finder:
    """The systems that are asked; each question once."""

    git: Git
    client: Registry
    charts: ChartRegistry
    under: str
    """Address that images of this deployment live under, with a slash at its end."""
    _images: dict[tuple[str, str, str], _ListedImage] = field(default_factory=dict)
    _charts: dict[tuple[str, str], tuple[str, str, bytes]] = field(default_factory=dict)

    def declared(self, repository: str, branch: str) -> DeclaredEnvironments:
        """Return the head of the environments repository; raises what Git raises."""
        url = RepositoryUrl(repository)
        return environment_repository.read(self.git, url, self.git.resolve(url, Revision(branch or "HEAD")))

    def find(self, declared: DeclaredEnvironments, live: Mapping[str, Mapping[str, Any]] | None) -> Found:
        """Return every application; `live` are the Applications of Argo CD by name, None where no cluster is asked.

        Raises Transient or Misconfigured where a registry gives no answer; what else is wrong with an application stands in its row.
        """
        applications = declared.found.applications
        rows = in_parallel(lambda item: self._row(item, declared, live), applications)
        return Found(rows=tuple(rows), findings=declared.found.findings)

    def contained(self, rows: tuple[Whereabouts, ...], commit: str) -> tuple[str, ...]:
        """Return those of the images' commits that have another commit in their history, as far as their repositories say."""
        found = []
        places = {
            (image.source, image.revision) for row in rows for image in row.images if image.source and image.revision
        }
        for source, revision in sorted(places - {(source, commit) for source, _ in places}):
            with tempfile.TemporaryDirectory(prefix="shipway-where-") as folder:
                try:
                    url = RepositoryUrl(source)
                    if git_history.merge_base(self.git, url, commit, revision, Path(folder) / "git") == commit:
                        found.append(revision)
                except ShipwayError:
                    continue  # a repository that does not have the commit, or that this machine may not read
        return tuple(found)

    def _row(
        self, item: Application, declared: DeclaredEnvironments, live: Mapping[str, Mapping[str, Any]] | None
    ) -> Whereabouts:
        document = (live or {}).get(item.full_name)
        state = argo_cd.live_state(document) if document else None
        digest, revision, fault = "", "", ""
        defaults = b""
        try:
            if item.chart:
                digest, revision, defaults = self._chart(item.chart, item.version)
        except (Transient, Misconfigured):
            raise
        except ShipwayError as error:
            fault = f"{error.what}: {error.seen}"
        images: tuple[DeployedImage, ...] = ()
        try:
            images = self._images_of(item, declared, defaults, state.images if state else None)
        except (Transient, Misconfigured):
            raise
        except ShipwayError as error:
            fault = "; ".join(filter(None, (fault, f"{error.what}: {error.seen}")))
        return Whereabouts(
            environment=item.environment,
            application=item.name,
            chart=item.chart or f"{item.repo} {item.path}",
            version=item.version or item.revision,
            chart_digest=digest,
            chart_revision=revision,
            commit=declared.commit,
            images=images,
            state=state,
            fault=fault
            if live is None or document
            else "; ".join(filter(None, (fault, "Argo CD has no such application"))),
        )

    def _images_of(
        self, item: Application, declared: DeclaredEnvironments, defaults: bytes, live: tuple[str, ...] | None
    ) -> tuple[DeployedImage, ...]:
        """Return the images that an application's values name, and those of its chart's that they leave as they are."""
        data = declared.values_of(item)
        named = image_uses.named(declared.configuration, self.under).get(item.values, ())
        places = list(image_places.read(data, item.values, under=self.under, at=named).places) if data.strip() else []
        known = {place.image for place in places}
        if defaults.strip():
            own = image_places.read(defaults, f"{item.chart} values.yaml", under=self.under).places
            places += [place for place in own if place.image not in known]
        found = {}
        for place in places:
            image = self._image(place.image, place.tag, place.digest)
            names = {f"{place.image}@{image.digest}", f"{place.image}:{place.tag}"} - {f"{place.image}:"}
            runs = None if live is None else any(text in names or text.endswith(f"@{image.digest}") for text in live)
            found[place.image, place.tag, place.digest] = DeployedImage(
                image=place.image,
                tag=place.tag,
                digest=image.digest,
                revision=image.revision,
                source=image.source,
                runs=runs,
            )
        return tuple(found.values())

    def _image(self, image: str, tag: str, digest: str) -> _ListedImage:
        key = (image, tag, digest)
        if key not in self._images:
            self._images[key] = self._asked(image, tag, digest)
        return self._images[key]

    def _asked(self, image: str, tag: str, digest: str) -> _ListedImage:
        host, _, repository = image.partition("/")
        try:
            reference = Reference(
                registry=host,
                repository=repository,
                tag="" if digest else tag,
                digest=Digest(digest) if digest else None,
            )
        except Misuse:
            return _ListedImage(digest=digest)
        manifest = self.client.resolve(reference) if tag or digest else None
        if manifest is None:
            return _ListedImage(digest=digest)
        found = str(manifest.descriptor.digest)
        if manifest.is_index:
            return _ListedImage(digest=found)
        labels = (self.client.config(reference, manifest).get("config") or {}).get("Labels") or {}
        return _ListedImage(
            digest=found, revision=str(labels.get(f"{_OCI}revision", "")), source=str(labels.get(f"{_OCI}source", ""))
        )

    def _chart(self, name: str, version: str) -> tuple[str, str, bytes]:
        key = (name, version)
        if key not in self._charts:
            reference = self.charts.reference(name, chart_yaml.tag(version))
            manifest = self.charts.published(reference)
            if manifest is None:
                raise ShipwayError(f"{name} {version} is not in the registry", seen=str(reference))
            values = self.charts.archive(reference, manifest).files.get("values.yaml", b"")
            revision = str((manifest.json.get("annotations") or {}).get(f"{_OCI}revision", ""))
            self._charts[key] = (str(manifest.descriptor.digest), revision, values)
        return self._charts[key]
