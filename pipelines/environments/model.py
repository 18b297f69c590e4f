"""An environments repository: what each environment runs, by chart and version."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.declared.finding import Finding

STAGES = ("crd", "infrastructure", "database", "application")
"""The order in which an environment's applications are synced; the last is the default."""


@dataclass(frozen=True, kw_only=True)
class Application:
    """One application in one environment."""

    environment: str
    name: str
    """Its folder's name, and that of its Helm release."""
    config: str
    """The path of its config.yaml or config.json."""
    values: str
    """The path of the values.yaml beside it; empty where there is none."""
    namespace: str
    stage: str
    chart: str
    """The name below the registry of charts; empty where the chart comes from a Git repository."""
    version: str
    repo: str
    """The Git repository that has the chart; empty where it comes from the registry."""
    path: str
    revision: str
    server_side_apply: bool
    skip_crds: bool

    @property
    def full_name(self) -> str:
        """The name of the Application of Argo CD."""
        return f"{self.environment}-{self.name}"

    @property
    def folder(self) -> str:
        """Where its files stand: `dev/web`."""
        return f"{self.environment}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Environments:
    """Every application of one commit of the repository that can be read, and what is wrong with the others."""

    names: tuple[str, ...]
    """The environments, sorted: each folder of the root that holds an application, readable or not."""
    applications: tuple[Application, ...]
    """By environment, then by name."""
    findings: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True, order=True)
class ImageFollower:
    """A values file that names an image of the same repository, and so follows it; beside a chart's own values.yaml."""

    file: str
    image: str
