"""Settings that belong together: a step takes a group where it needs what the group is for.

The flags of a group come in the order of its fields; with several base classes, those of the last base come first.

Every start of a step makes these classes. Nothing compares or prints groups, and without these methods they take half
the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pipelines.errors import Misconfigured
from pipelines.settings import REGISTRY_FLAG
from pipelines.step.parameters import (
    EnvironmentsBranch,
    EnvironmentsRepository,
    GitLogin,
    Isolation,
    PullLogins,
    Ref,
    Repo,
    RevisionName,
)
from pipelines.step.signature import Arg


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CommitInputs:
    """Which commit of a repository is meant."""

    repo: Repo
    revision: RevisionName = "HEAD"
    ref: Ref = ""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ReadLogins:
    """What may read: repositories, and registries."""

    credentials: GitLogin = Path("../git")
    docker_config: PullLogins = Path("../pull")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class EnvironmentsSettings:
    """Where environments are declared."""

    environments_repository: EnvironmentsRepository = ""
    environments_branch: EnvironmentsBranch = ""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NetworkSettings:
    """How hosts are spoken to."""

    plain_http: Annotated[str, Arg("registries without TLS", setting="plain-http")] = ""
    mirrors: Annotated[str, Arg("registries asked in place of others", setting="mirrors")] = ""
    ca_file: Annotated[str, Arg("further certificate authorities", setting="ca-file")] = ""

    @property
    def authorities(self) -> Path | None:
        """The file of further certificate authorities, or None."""
        return Path(self.ca_file) if self.ca_file else None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RegistryAddress:
    """Where the deployment's images are."""

    registry: Annotated[str, Arg(REGISTRY_FLAG, setting="registry")] = ""
    project: Annotated[str, Arg("path of its images in the registry", setting="project")] = ""

    @property
    def under(self) -> str:
        """The address that images live under, with a slash at its end."""
        return "/".join(filter(None, (self.registry, self.project.strip("/")))) + "/"

    def require_registry(self, purpose: str, todo: str = "set it") -> None:
        """Raise Misconfigured if the setting `registry` is empty."""
        if not self.registry:
            raise Misconfigured(f"no registry to {purpose}", seen="the setting `registry` is empty", todo=todo)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RegistrySettings(NetworkSettings, RegistryAddress):
    """The registry of the deployment, how it is spoken to, and who shares names in it."""

    shared_names: Annotated[
        str, Arg("images and charts that several repositories publish, or any", setting="shared-names")
    ] = ""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ChartAddress(RegistryAddress):
    """Where the deployment's charts are."""

    chart_registry: Annotated[str, Arg("host and path that charts are published under", setting="chart-registry")] = ""
    chart_hosts: Annotated[str, Arg("hosts that dependencies are fetched from", setting="chart-hosts")] = ""

    @property
    def address(self) -> str:
        """Host and path that charts are published under; raises Misconfigured where there is none."""
        text = self.chart_registry.removeprefix("oci://").strip("/")
        if not text and self.registry:
            text = f"{self.under}charts"
        if not text:
            raise Misconfigured(
                "no registry for charts",
                seen="the settings `chart-registry` and `registry` are empty",
                todo="set one of them, or give --chart-registry",
            )
        return text


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ChartSettings(RegistrySettings, ChartAddress):
    """The registry of images, that of charts, and where charts' dependencies come from."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BuilderSettings:
    """What builds images, and how their layers are compressed."""

    builder: Annotated[str, Arg("buildah or buildkit", setting="builder")] = "buildah"
    buildkit_host: Annotated[str, Arg("address of a running buildkitd", setting="buildkit-host")] = ""
    compression: Annotated[str, Arg("of new layers: zstd or gzip", setting="compression")] = "zstd"

    @property
    def is_standing(self) -> bool:
        """Whether the builder is a daemon that also builds for others."""
        return self.builder == "buildkit" and bool(self.buildkit_host)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TargetSettings(BuilderSettings):
    """A builder, and what images are built for."""

    platforms: Annotated[
        str, Arg("platforms of images for which shipway.yaml declares none, separated by commas", setting="platforms")
    ] = ""
    native_platforms: Annotated[
        str, Arg("platforms with nodes or builders of their own, separated by commas", setting="native-platforms")
    ] = ""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BuildSettings(BuilderSettings):
    """A builder with the folder that it keeps."""

    buildkit_host: Annotated[
        str, Arg("address of a running buildkitd; without it, one is started", setting="buildkit-host")
    ] = ""
    cache: Annotated[Path, Arg("folder that builders keep their layers in", setting="cache")] = Path("../cache")
    isolation: Isolation = "sandbox"
