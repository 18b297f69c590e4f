"""Where a commit, an image or an application is: from its source to what runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LiveState:
    """An Application of Argo CD, as the cluster tells of it."""

    sync: str
    """Synced, OutOfSync, Unknown; empty where it was never compared."""
    health: str
    """Healthy, Progressing, Degraded, Suspended, Missing, Unknown."""
    operation: str
    """Running, Succeeded, Failed, Error, or empty."""
    message: str
    """What Argo CD says of an operation or a condition that failed, on one line."""
    revisions: tuple[str, ...]
    """What it was compared with, source by source: a chart's version, a commit."""
    targets: tuple[str, ...]
    """What these sources ask for: a version, a branch."""
    images: tuple[str, ...]
    """What its objects name."""


@dataclass(frozen=True, kw_only=True)
class DeployedImage:
    """An image that an application's values name."""

    image: str
    """`registry.example.org/team/web`."""
    tag: str
    digest: str
    """As the values name it, or what the tag names in the registry; empty where that has none."""
    revision: str
    """The commit that it was built from; empty where its labels do not say."""
    source: str
    """The repository of that commit."""
    runs: bool | None
    """Whether the application's objects name this digest or tag; None where no cluster was asked."""


@dataclass(frozen=True, kw_only=True)
class Whereabouts:
    """One application of one environment, from the commits behind it to its health."""

    environment: str
    application: str
    chart: str
    version: str
    """The chart's version, or the revision of its Git repository."""
    chart_digest: str
    chart_revision: str
    """The commit that the chart was released from."""
    commit: str
    """Of the environments repository."""
    images: tuple[DeployedImage, ...]
    state: LiveState | None
    """None where no cluster was asked, or Argo CD has no such application."""
    fault: str
    """Why something of it is not known; else empty."""

    @property
    def full_name(self) -> str:
        """The name of the Application of Argo CD."""
        return f"{self.environment}-{self.application}"


@dataclass(frozen=True, kw_only=True)
class Waited:
    """What became of a source commit's applications within the time that was given."""

    applications: int
    """How many run something that was built or released from the commit."""
    healthy: int
    summary: str
    """One line for people."""
    seconds: int
    """How long it was waited."""
