"""The registry that charts are published in: what it has of a chart, and how that differs from what a commit gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines import settings as setting_texts
from pipelines.charts import archive as chart_archive
from pipelines.charts import metadata, version_moves
from pipelines.charts.archive import Archive
from pipelines.charts.chart_yaml import CHART, LOCK
from pipelines.charts.dependencies import CONFIG, CONTENT, ChartRepositories, content
from pipelines.declared import yaml_text
from pipelines.errors import Misconfigured, Misuse, ShipwayError, Transient
from pipelines.images import ownership
from pipelines.step.groups import ChartSettings
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Digest, Reference


@dataclass(frozen=True, kw_only=True)
class ChartRegistry:
    """The registry and path that charts are published under."""

    client: Registry
    address: str
    """`registry.example.org/charts`."""
    layout: Layout
    """Where published archives are kept while they are looked at."""

    def reference(self, name: str, tag: str = "") -> Reference:
        """Return where a chart is published; raises Misuse for a name that no registry has."""
        host, _, path = self.address.partition("/")
        return Reference(registry=host, repository="/".join(filter(None, (path, name))), tag=tag)

    def published(self, reference: Reference) -> Manifest | None:
        """Return the manifest of a version, or None where there is none; raises Transient, Misconfigured."""
        return self.client.resolve(reference)

    def owner(self, reference: Reference, published: Manifest | None) -> tuple[Reference, str]:
        """Return the version that says which repository a chart's name belongs to, and the repository, empty if none.

        That is the version itself if it says one, else the highest that does. Raises Transient, Misconfigured.
        """
        if published and (source := ownership.of_manifest(published)):
            return reference, source
        return ownership.other_tag(self.client, reference, {reference.tag}) or (reference, "")

    def archive(self, reference: Reference, manifest: Manifest) -> Archive:
        """Return the published archive; raises ShipwayError if it is not a chart archive, Transient."""
        return chart_archive.unpack(content(self.client, reference, manifest, self.layout), str(reference))

    def differences(self, reference: Reference, manifest: Manifest, files: Mapping[str, bytes]) -> tuple[str, ...]:
        """Return the files that are not as published, none if only the packaging is another tool's; raises Transient.

        Helm writes Chart.yaml and Chart.lock anew and unpacks the dependencies when it packages, so the content is
        compared.
        """
        try:
            theirs = self.archive(reference, manifest)
        except (Transient, Misconfigured):
            raise
        except ShipwayError as error:
            return (f"the published archive ({error.what}: {error.seen})",)
        ours = dict(files)
        found = dict(theirs.files)
        if not theirs.ours:
            try:
                ours, found = _plain(ours), _plain(found)
            except ShipwayError as error:
                return (f"the published archive ({error.what})",)
        different = tuple(sorted(path for path in ours.keys() | found.keys() if ours.get(path) != found.get(path)))
        return different or (("the packaging",) if theirs.ours else ())

    def next_version(self, reference: Reference, version: str, bump: str = "patch") -> str:
        """Return the first version above one that was never published; raises Transient, Misconfigured."""
        return version_moves.next_version(version, self.client.tags(reference), bump)


def digests(manifest: Manifest) -> tuple[Digest, ...]:
    """Return configuration and archive of a published chart, nothing for another kind of artifact.

    A provenance file beside the archive is a signature and no part of the chart.
    """
    if manifest.is_index or manifest.config.media_type != CONFIG:
        return ()
    return (manifest.config.digest, *(layer.digest for layer in manifest.layers if layer.media_type == CONTENT))


def _plain(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return files with their dependencies unpacked, and with Chart.yaml and Chart.lock reduced to what they say."""
    found: dict[str, bytes] = {}
    for path, data in files.items():
        if path.startswith("charts/") and path.endswith(".tgz") and path.count("/") == 1:
            inner = chart_archive.unpack(data, path)
            found |= {f"charts/{inner.name}/{name}": body for name, body in _plain(inner.files).items()}
        elif path.rpartition("/")[2] == CHART:
            found[path] = metadata.config(yaml_text.read(data, path))
        elif path.rpartition("/")[2] == LOCK:
            found[path] = yaml_text.read(data, path).scalar("digest").encode()
        else:
            found[path] = data
    return found


def connect(settings: ChartSettings, layout: Layout, docker_config: Path) -> tuple[ChartRegistry, ChartRepositories]:
    """Return the registry of charts and the repositories of their dependencies, with the logins of a folder.

    Raises Misconfigured if settings are invalid or name no registry.
    """
    # Mirrors are for images: a chart comes from the host that it names.
    client = registry_client.connect(docker_config, replace(settings, mirrors=""))
    registry = ChartRegistry(client=client, address=settings.address, layout=layout)
    try:
        host = registry.reference("x").registry
    except Misuse as error:
        raise Misconfigured(
            "the charts' registry has no valid address", seen=repr(settings.address), todo="write host/path, no scheme"
        ) from error
    repositories = ChartRepositories(
        client,
        layout,
        Credentials.read(docker_config),
        hosts=setting_texts.names(settings.chart_hosts) | {host},
        plain_http=setting_texts.names(settings.plain_http),
        ca_file=settings.authorities,
    )
    return registry, repositories
