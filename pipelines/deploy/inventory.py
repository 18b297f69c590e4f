"""The status of every application of every environment, read from the systems themselves.

The environments repository says what is declared, labels and annotations in the registry say where images and charts
come from, and Argo CD's objects say what runs. Nothing is stored anywhere else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.charts import chart_yaml
from pipelines.charts.registry_state import ChartRegistry
from pipelines.deploy import status
from pipelines.deploy.running import LivePods, RunningImages
from pipelines.deploy.status import ApplicationStatus, DeployedImage
from pipelines.environments import image_places, image_uses
from pipelines.environments.image_places import ImagePlace
from pipelines.environments.model import Application
from pipelines.environments.repository import DeclaredEnvironments
from pipelines.errors import Misconfigured, Misuse, ShipwayError, Transient
from pipelines.images import tag_names
from pipelines.images.registry_state import REVISION, SOURCE
from pipelines.step.groups import EnvironmentsSettings
from pipelines.tools.git import history as git_history
from pipelines.tools.git.address import RepositoryUrl, Revision, named_in_file
from pipelines.tools.git.remote import Git
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.reference import Digest, Reference
from pipelines.tools.registry.transfer import in_parallel


@dataclass(frozen=True, kw_only=True)
class _ListedImage:
    digest: str
    revision: str = ""
    source: str = ""
    names: frozenset[str] = frozenset()
    """Digests that nodes may report for it: its own, that of its configuration, and those of an index's manifests, of
    which each is an image again; empty if the registry does not have it."""
    listed: tuple[str, ...] = ()
    """The digests of an index's manifests."""


@dataclass(kw_only=True)
class Inventory:
    """Reads the status of applications, each image and chart once."""

    git: Git
    client: Registry
    charts: ChartRegistry
    under: str
    """The prefix of the images' addresses, with a slash at its end."""
    _images: dict[tuple[str, str, str], _ListedImage] = field(default_factory=dict)
    _charts: dict[tuple[str, str], tuple[str, str, bytes]] = field(default_factory=dict)

    def declared(self, environments: EnvironmentsSettings) -> DeclaredEnvironments:
        """Return what the head of the environments repository declares; raises what Git raises."""
        url = RepositoryUrl(environments.environments_repository)
        head = self.git.resolve(url, Revision(environments.environments_branch or "HEAD"))
        return DeclaredEnvironments.read(self.git, url, head)

    def statuses(
        self,
        declared: DeclaredEnvironments,
        live: Mapping[str, Mapping[str, Any]] | None,
        pods: LivePods | None = None,
    ) -> tuple[ApplicationStatus, ...]:
        """Return the status of every application; `live` are Argo CD's Applications by name, None without a cluster.

        Raises Transient or Misconfigured if a registry cannot be read; other faults are in an application's status.
        """
        return tuple(in_parallel(lambda item: self._status(item, declared, live, pods), declared.found.applications))

    def descendants(
        self, statuses: tuple[ApplicationStatus, ...], commit: str, asked: RepositoryUrl
    ) -> tuple[str, ...]:
        """Return those of the images' other commits whose history contains a commit; skips unreadable repositories.

        Images name their repositories, so the login is used at the host of `asked` alone.
        """
        descendants = []
        images = [image for item in statuses for image in item.images if image.source]
        for source, revision in sorted(
            {(i.source, i.revision) for i in images if i.revision != commit and status.is_commit(i.revision)}
        ):
            with tempfile.TemporaryDirectory(prefix="shipway-where-") as folder:
                try:
                    url = named_in_file(source, asked)
                    # A folder of this machine is opened for whoever keeps environments in one, as on a laptop.
                    if (
                        bool(url.local_path) <= bool(asked.local_path)
                        and git_history.merge_base(self.git, url, commit, revision, Path(folder) / "git") == commit
                    ):
                        descendants.append(revision)
                except ShipwayError:
                    continue  # the repository lacks the commit, or this machine may not read it
        return tuple(descendants)

    def _status(
        self,
        item: Application,
        declared: DeclaredEnvironments,
        live: Mapping[str, Mapping[str, Any]] | None,
        pods: LivePods | None,
    ) -> ApplicationStatus:
        document = (live or {}).get(item.full_name)
        state = status.live_state(document) if document else None
        digest, revision, defaults = "", "", b""
        faults: list[str] = []
        try:
            if item.chart:
                digest, revision, defaults = self._chart(item.chart, item.version)
        except (Transient, Misconfigured):
            raise
        except ShipwayError as error:
            faults.append(f"{error.what}: {error.seen}")
        images: tuple[DeployedImage, ...] = ()
        try:
            running = pods.of(document) if pods and document else RunningImages(unknown="no pods were asked for")
            images = self._images_of(item, declared, defaults, state.images if state else None, running)
        except (Transient, Misconfigured):
            raise
        except ShipwayError as error:
            faults.append(f"{error.what}: {error.seen}")
        if live is not None and not document:
            faults.append("Argo CD has no such application")
        return ApplicationStatus(
            environment=item.environment,
            application=item.name,
            chart=item.chart or f"{item.repo} {item.path}",
            version=item.version or item.revision,
            chart_digest=digest,
            chart_revision=revision,
            commit=declared.commit,
            images=images,
            state=state,
            fault="; ".join(faults),
        )

    def _images_of(
        self,
        item: Application,
        declared: DeclaredEnvironments,
        defaults: bytes,
        live: tuple[str, ...] | None,
        running: RunningImages,
    ) -> tuple[DeployedImage, ...]:
        """Return the images in an application's values, and those in its chart's values that they do not override."""
        data = declared.values_of(item)
        named = image_uses.named(declared.configuration, self.under).get(item.values, ())
        places = list(image_places.read(data, item.values, under=self.under, at=named).places) if data.strip() else []
        known = {place.image for place in places}
        if defaults.strip():
            own = image_places.read(defaults, f"{item.chart} values.yaml", under=self.under).places
            places += [place for place in own if place.image not in known]
        images = {}
        for place in places:
            images[place.image, place.tag, place.digest] = self._deployed(place, live, running)
        return tuple(images.values())

    def _deployed(self, place: ImagePlace, live: tuple[str, ...] | None, running: RunningImages) -> DeployedImage:
        """Return an image that values name, and whether it runs."""
        image = self._image(place.image, place.tag, place.digest)
        pods = tuple(dict.fromkeys(one.digest for one in running.found if one.image == place.image))
        moves = not place.digest and tag_names.version_of(place.tag) is None
        same = {digest: self._is_same(place.image, image.digest, digest) for digest in pods}
        if moves and False in same.values() and True not in same.values():
            # The tag has moved since: what runs is what it named then.
            image = self._image(place.image, "", next(digest for digest in pods if same[digest] is False))
            same = {digest: self._is_same(place.image, image.digest, digest) for digest in pods}
        others = [digest[:19] for digest in pods if not same[digest]]
        runs, why = None, ""
        if live is not None and pods:
            is_unknown = bool(others) and False not in same.values()
            runs = True if not others else None if moves or is_unknown else False
            why = f"pods run {', '.join(others)}" if others else ""
            why = f"unknown: {why}, of which the registry does not say what it is" if is_unknown else why
        elif live is not None and moves:
            why = f"unknown: {place.tag or 'no tag'} is a moving tag, and {running.unknown or 'no pod runs it'}"
        elif live is not None:
            names = {f"{place.image}@{image.digest}", f"{place.image}:{place.tag}"} - {f"{place.image}:"}
            runs = any(text in names or text.endswith(f"@{image.digest}") for text in live)
        return DeployedImage(
            image=place.image,
            tag=place.tag,
            digest=image.digest,
            revision=image.revision,
            source=image.source,
            runs=runs,
            why=why,
            pods=pods,
            platforms=image.listed,
        )

    def _is_same(self, image: str, digest: str, reported: str) -> bool | None:
        """Whether a digest that a node reports is an image's: of its index, its manifest or its configuration.

        None if that is unknown, because the registry lacks one of them; what is reported may be a configuration.
        """
        ours, theirs = self._names(image, digest), self._names(image, reported)
        if digest == reported or ours & {reported, *theirs}:
            return True
        return False if ours and theirs else None

    def _names(self, image: str, digest: str) -> frozenset[str]:
        found = self._image(image, "", digest)
        return found.names.union(*(self._image(image, "", name).names for name in found.listed))

    def _image(self, image: str, tag: str, digest: str) -> _ListedImage:
        key = (image, tag, digest)
        if key not in self._images:
            self._images[key] = self._read(image, tag, digest)
        return self._images[key]

    def _read(self, image: str, tag: str, digest: str) -> _ListedImage:
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
        resolved = str(manifest.descriptor.digest)
        if manifest.is_index:
            listed = tuple(str(item.get("digest")) for item in manifest.json.get("manifests") or ())
            names, facts = {resolved, *listed}, manifest.annotations
        else:
            listed, names = (), {resolved, str(manifest.config.digest)}
            facts = (self.client.config(reference, manifest).get("config") or {}).get("Labels") or {}
        return _ListedImage(
            digest=resolved,
            revision=str(facts.get(REVISION, "")),
            source=str(facts.get(SOURCE, "")),
            names=frozenset(names),
            listed=listed,
        )

    def _chart(self, name: str, version: str) -> tuple[str, str, bytes]:
        key = (name, version)
        if key not in self._charts:
            reference = self.charts.reference(name, chart_yaml.tag(version))
            manifest = self.charts.published(reference)
            if manifest is None:
                raise ShipwayError(f"{name} {version} is not in the registry", seen=str(reference))
            values = self.charts.archive(reference, manifest).files.get("values.yaml", b"")
            revision = str(manifest.annotations.get(REVISION, ""))
            self._charts[key] = (str(manifest.descriptor.digest), revision, values)
        return self._charts[key]
