"""Helm charts on their way from a commit to a registry: what each step says about them to the next.

Each result is stored as a folder of files by `pipelines.step.signature`, one file a field.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.declared.finding import Finding
from pipelines.declared.state import PlanRow
from pipelines.step.texts import Address, ContentDigest, FreeText, Name, ObjectId
from pipelines.tools.git.fetched_commit import FetchedCommit


@dataclass(frozen=True, kw_only=True)
class ChartFinding(Finding):
    """A finding about a chart; the file may be another chart's."""

    chart: str
    """The chart's folder."""


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A dependency's archive inside a chart's own."""

    file: str
    """`charts/redis-1.0.0.tgz`."""
    digest: str
    """Of the archive's bytes."""
    source: str
    """The address that it was fetched from, or the folder of this repository that it was packed from."""


@dataclass(frozen=True, kw_only=True)
class PlannedChart(PlanRow):
    """One chart of a commit as a row of a plan."""

    version: str
    images: tuple[str, ...]
    """Images of the same repository that its values name."""


@dataclass(frozen=True, kw_only=True)
class ComparedChart:
    """One chart of a commit, compared with what the registry has."""

    name: str
    version: str
    app_version: str
    path: str
    """Its folder, relative to the repository's root."""
    library: bool
    publish: bool
    """Whether it is to be in the registry: a library chart only where asked."""
    wave: int
    """Charts of one wave depend on charts of earlier waves alone."""
    state: str
    repository: str = ""
    """Where it is published, `registry.example.org/charts/web`; its tag is the version, with _ for +."""
    digest: str = ""
    """Of the manifest: the published one, or the one to push if the state is absent."""
    archive: str = ""
    """Digest of the archive that this commit gives; empty for a broken chart."""
    folder: str = ""
    """The folder of its files, unpacked for the checks, with its dependencies as `charts/*.tgz`; empty for a chart that
    is published as it is, which was checked then, and for a broken one. Relative to the workspace."""
    embedded: tuple[Embedded, ...] = ()
    differs: tuple[str, ...] = ()
    """The files that are not as published."""
    next_version: str = ""
    """The first version that is free for different content; empty if none is needed."""


@dataclass(frozen=True, kw_only=True)
class ChartCheckout(FetchedCommit):
    """One commit of a repository in the workspace, with its charts and the archives of those not yet published."""

    charts: tuple[ComparedChart, ...]
    """Parents before the charts that depend on them."""
    findings: tuple[ChartFinding, ...]
    formerly: tuple[str, ...] = ()
    """Earlier addresses of the repository, as shipway.yaml lists them."""


@dataclass(frozen=True, kw_only=True)
class ChartReport:
    """What the checks of a commit's charts found."""

    checked: tuple[str, ...]
    """The charts' folders."""
    findings: tuple[ChartFinding, ...]
    errors: int
    warnings: int
    report: FreeText = ""
    """What became of each chart, as JSON of bounded size."""


@dataclass(frozen=True, kw_only=True)
class ReleasedChart:
    """A chart in the registry, read back."""

    name: Name
    version: Name
    digest: ContentDigest
    """Of the manifest."""
    reference: Address
    """By digest."""
    state: Name
    """`pushed` by this run, or `identical` with what was published."""


@dataclass(frozen=True, kw_only=True)
class ChartRelease:
    """A commit's charts in the registry."""

    commit: ObjectId
    charts: tuple[ReleasedChart, ...]
    pushed: int
    """How many this run pushed."""
    bytes: int
    """How many bytes of archives, configurations and manifests it pushed."""


@dataclass(frozen=True, kw_only=True)
class VersionChange:
    """A chart whose content is not that of its published version."""

    name: str
    path: str
    version: str
    next_version: str
    differs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class VersionChanges:
    """The charts of a folder that need a new version."""

    changes: tuple[VersionChange, ...]
    written: tuple[str, ...]
    """Files that were changed."""
