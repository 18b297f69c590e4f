"""Helm charts on their way from a commit to a registry: what each step says about them to the next.

Each result is stored as a folder of files by `pipelines.step.signature`, one file a field.
"""

from __future__ import annotations

from dataclasses import dataclass

ERROR = "error"
WARNING = "warning"
REFUSED = "refused"
"""Levels of findings: an error fails a run, a refusal does so for good, a warning is told."""

ABSENT = "absent"
IDENTICAL = "identical"
DIFFERENT = "different"
UNPUBLISHED = "unpublished"
BROKEN = "broken"
"""States of a chart: to be pushed; published as it is; published with another content; not meant for the registry, so never
asked for; no archive can be made of it, for a reason that is among the findings."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something about a chart that a person should know, with its place in the repository."""

    level: str
    chart: str
    """The chart's folder."""
    path: str
    """A file, relative to the repository's root."""
    line: int
    """From 1; 0 where it concerns the file as a whole."""
    rule: str
    """Which check found it: version, lock, lint, template, …"""
    text: str
    todo: str

    def __str__(self) -> str:
        """Write it on one line, as compilers do."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.level}: {self.text} [{self.rule}]" + (f"; {self.todo}" if self.todo else "")


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A dependency's archive as it stands inside a chart's own."""

    file: str
    """`charts/redis-1.0.0.tgz`."""
    digest: str
    """Of the archive's bytes."""
    source: str
    """The address that it was fetched from, or the folder of this repository that it was packed from."""


@dataclass(frozen=True, kw_only=True)
class PlannedChart:
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
    """Charts of one wave stand on charts of earlier waves alone."""
    state: str
    repository: str
    """Where it is published, `registry.example.org/charts/web`; its tag is the version, with _ for +."""
    digest: str
    """Of the manifest: the published one where the state is identical or different, the one to push where it is absent."""
    archive: str
    """Digest of the archive that this commit gives; empty for a broken chart."""
    folder: str
    """Where its files stand unpacked for the checks, with its dependencies as `charts/*.tgz`; empty for a chart that is
    published as it is, which was checked then, and for a broken one. Relative to the workspace."""
    embedded: tuple[Embedded, ...]
    differs: tuple[str, ...]
    """The files that are not as published."""
    next_version: str
    """The first version that is free for another content; empty where none is needed."""


@dataclass(frozen=True, kw_only=True)
class ChartCheckout:
    """One commit of a repository in the workspace, with its charts and the archives of those not yet published."""

    repo: str
    revision: str
    ref: str
    """The full ref that the revision named; empty for a bare commit id."""
    commit: str
    time: int
    """The commit's time, in seconds since 1970."""
    tree: str
    charts: tuple[PlannedChart, ...]
    """Parents before the charts that stand on them."""
    findings: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class ChartReport:
    """What the checks of a commit's charts found."""

    checked: tuple[str, ...]
    """The charts' folders."""
    findings: tuple[Finding, ...]
    errors: int
    warnings: int
    report: str = ""
    """What became of each chart, as JSON of bounded size."""


@dataclass(frozen=True, kw_only=True)
class ReleasedChart:
    """A chart in the registry, read back."""

    name: str
    version: str
    digest: str
    """Of the manifest."""
    reference: str
    """By digest."""
    state: str
    """`pushed` by this run, or `identical` with what was there."""


@dataclass(frozen=True, kw_only=True)
class ChartRelease:
    """A commit's charts in the registry."""

    commit: str
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
