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
Context: TypeAlias = Annotated[str, Arg("folder of the context, from the repository's root; without it, the image's")]
ImageName: TypeAlias = Annotated[str, Arg("the image's name; without it, as shipway.yaml or its folder says")]
ImageVersion: TypeAlias = Annotated[str, Arg("the image's version; without it, the commit's first 12 digits")]
Source: TypeAlias = Annotated[Path, Arg("folder that the commit is checked out into")]

EnvironmentsRepository: TypeAlias = Annotated[
    str, Arg("address of the environments repository", setting="environments")
]
EnvironmentsBranch: TypeAlias = Annotated[
    str, Arg("branch of it; empty: its default branch", setting="environments-branch")
]
ForgeLogins: TypeAlias = Annotated[Path, Arg("folder of logins for forges; may be missing")]
Forges: TypeAlias = Annotated[str, Arg("which forge each host is", setting="forges")]

Isolation: TypeAlias = Annotated[
    str,
    Arg(
        "of RUN steps: sandbox (a container of a real runtime, or refused), or chroot, which is accepted where "
        "no sandbox works",
        setting="isolation",
    ),
]

KubernetesVersion: TypeAlias = Annotated[
    str, Arg("version of Kubernetes that charts are rendered for", setting="kubernetes-version")
]

Patience: TypeAlias = Annotated[int, Arg("seconds that a commit may still be on its way to its ref")]

Rebuild: TypeAlias = Annotated[
    tuple[str, ...], Arg('images to build again, as a JSON list of names or folders, or ["*"]')
]
