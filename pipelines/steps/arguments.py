"""Arguments that several steps take, each with the one text that says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from pipelines.steps.signature import Arg

Repo: TypeAlias = Annotated[str, Arg("address of the Git repository: https, ssh, or a folder")]
RevisionName: TypeAlias = Annotated[str, Arg("branch, tag, full commit id, refs/pull/N/head or HEAD")]
Ref: TypeAlias = Annotated[
    str, Arg("full name of the branch or tag that the commit was found under, where the revision is a commit id")
]
GitLogin: TypeAlias = Annotated[Path, Arg("folder of the Git credential; may be missing")]
GitWriteLogin: TypeAlias = Annotated[Path, Arg("folder of the Git credential that may push; may be missing")]
PullLogins: TypeAlias = Annotated[Path, Arg("folder of a Docker config.json for pulling; may be missing")]
PushLogins: TypeAlias = Annotated[Path, Arg("folder of a Docker config.json for pushing; may be missing")]
Source: TypeAlias = Annotated[Path, Arg("folder that the commit is checked out into")]

RegistryHost: TypeAlias = Annotated[str, Arg("registry of this deployment", setting="registry")]
Project: TypeAlias = Annotated[str, Arg("path of its images in the registry", setting="project")]
ChartsUnder: TypeAlias = Annotated[str, Arg("host and path that charts are published under", setting="chart-registry")]
ChartHosts: TypeAlias = Annotated[str, Arg("hosts that dependencies are fetched from", setting="chart-hosts")]
PlainHttp: TypeAlias = Annotated[str, Arg("registries without TLS", setting="plain-http")]
CaFile: TypeAlias = Annotated[str, Arg("further certificate authorities", setting="ca-file")]
EnvironmentsRepository: TypeAlias = Annotated[
    str, Arg("address of the environments repository", setting="environments")
]
EnvironmentsBranch: TypeAlias = Annotated[
    str, Arg("branch of it; empty: its default branch", setting="environments-branch")
]
DeployAuthor: TypeAlias = Annotated[
    str, Arg("who deployments' commits are by, Name <address>", setting="deploy-author")
]
ForgeLogins: TypeAlias = Annotated[Path, Arg("folder of logins for forges; may be missing")]
Forges: TypeAlias = Annotated[str, Arg("which forge each host is", setting="forges")]
