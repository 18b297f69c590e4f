"""An environments repository: what each environment runs, by chart and version."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.declared.finding import Finding
from pipelines.errors import Misuse

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

    def of(self, environment: str) -> tuple[Application, ...]:
        """Return an environment's applications; raises Misuse naming the environments that there are."""
        if environment not in self.names:
            raise Misuse(
                f"there is no environment {environment}",
                seen=f"environments: {', '.join(self.names) or 'none'}",
                todo="name one of them, or commit <environment>/<application>/config.yaml",
            )
        return tuple(item for item in self.applications if item.environment == environment)

    def application(self, environment: str, name: str) -> Application:
        """Return one application; raises Misuse naming those that the environment has."""
        found = self.of(environment)
        for item in found:
            if item.name == name:
                return item
        bad = [str(finding) for finding in self.findings if finding.path.startswith(f"{environment}/{name}/")]
        raise Misuse(
            f"{environment} has no application {name}",
            seen="; ".join(bad) or f"applications: {', '.join(item.name for item in found) or 'none'}",
            todo="correct that file" if bad else "name one of them, or commit its config.yaml",
        )


@dataclass(frozen=True, kw_only=True, order=True)
class ImageFollower:
    """A values file that names an image of the same repository, and so follows it; beside a chart's own values.yaml."""

    file: str
    image: str
