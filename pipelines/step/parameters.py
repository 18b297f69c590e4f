"""Arguments that several steps take, each with the one text that says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from pipelines.step.signature import Arg

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

EventText: TypeAlias = Annotated[
    str, Arg("what the Sensor passed on, as base64; empty: a repository is asked for by hand")
]
AskedRepo: TypeAlias = Annotated[
    str, Arg("address of the Git repository that is asked for by hand, in place of an event")
]
AskedRevision: TypeAlias = Annotated[str, Arg("its branch, tag or full commit id; empty: HEAD")]
AskedRef: TypeAlias = Annotated[str, Arg("full name of the branch or tag, where the revision is a commit id")]
ProtectedBranches: TypeAlias = Annotated[str, Arg("branches that may publish", setting="protected-branches")]
ProtectedTags: TypeAlias = Annotated[str, Arg("tags that may publish", setting="protected-tags")]
Maintainers: TypeAlias = Annotated[str, Arg("who may approve pull requests of strangers", setting="maintainers")]
Repositories: TypeAlias = Annotated[str, Arg("repositories that are watched", setting="repositories")]
NightlyAge: TypeAlias = Annotated[str, Arg("age of images that the nightly run builds again", setting="max-age")]
Patience: TypeAlias = Annotated[int, Arg("seconds that a commit may still be on its way to its ref")]

Rebuild: TypeAlias = Annotated[
    tuple[str, ...], Arg('images to build again, as a JSON list of names or folders, or ["*"]')
]
Mirrors: TypeAlias = Annotated[str, Arg("registries asked in place of others", setting="mirrors")]
BuilderName: TypeAlias = Annotated[str, Arg("buildah or buildkit", setting="builder")]
BuildkitHost: TypeAlias = Annotated[str, Arg("address of a running buildkitd", setting="buildkit-host")]
Compression: TypeAlias = Annotated[str, Arg("of new layers: zstd or gzip", setting="compression")]
