"""The Secrets and accounts of an installation. Their names are fixed; workflows say which container mounts which."""

from __future__ import annotations

import json
from dataclasses import dataclass

from hera.workflows import models as m

ROOT = "/shipway"
"""The folder of a pod that holds the folder of each container, and Secrets beside them."""


@dataclass(frozen=True, kw_only=True)
class _Mounted:
    """A folder of the pod that a container mounts to read."""

    name: str
    folder: str

    @property
    def mount(self) -> m.VolumeMount:
        """The mount of a container that may read it."""
        return m.VolumeMount(name=self.folder, mount_path=f"{ROOT}/{self.folder}", read_only=True)


@dataclass(frozen=True, kw_only=True)
class Secret(_Mounted):
    """A Secret with a fixed name, mounted beside the containers' folders; its own is empty if it is missing."""

    @property
    def volume(self) -> m.Volume:
        """The pod's volume."""
        source = m.SecretVolumeSource(secret_name=self.name, optional=True, default_mode=0o440)
        return m.Volume(name=self.folder, secret=source)


@dataclass(frozen=True, kw_only=True)
class Account(_Mounted):
    """The ServiceAccount of a pod, whose token a container mounts beside the containers' folders."""

    folder: str = "account"

    @property
    def volume(self) -> m.Volume:
        """The pod's volume."""
        return m.Volume(name=self.folder, projected=token())


def token() -> m.ProjectedVolumeSource:
    """Return what the kubelet makes for a pod: a token of its account for the cluster's API, and what goes with it.

    It is good for an hour and no longer than its pod; the kubelet replaces it before it ends.
    """
    authorities = m.ConfigMapProjection(name="kube-root-ca.crt", items=[m.KeyToPath(key="ca.crt", path="ca.crt")])
    namespace = m.DownwardAPIVolumeFile(
        path="namespace", field_ref=m.ObjectFieldSelector(field_path="metadata.namespace")
    )
    return m.ProjectedVolumeSource(
        default_mode=0o440,
        sources=[
            m.VolumeProjection(
                service_account_token=m.ServiceAccountTokenProjection(path="token", expiration_seconds=3600)
            ),
            m.VolumeProjection(config_map=authorities),
            m.VolumeProjection(downward_api=m.DownwardAPIProjection(items=[namespace])),
        ],
    )


def executor_token() -> str:
    """Return the patch of a pod that gives Argo's own containers such a token.

    Argo mounts the volume in `init` and `wait` alone, and fills it with a Secret, whose token never ends.
    """
    projected = token().model_dump(by_alias=True, exclude_none=True)
    return json.dumps({"volumes": [{"name": "exec-sa-token", "secret": None, "projected": projected}]})


GIT = Secret(name="shipway-git", folder="git")
"""Read-only login to Git servers."""
GIT_WRITE = Secret(name="shipway-git-write", folder="git-write")
"""Login to the Git servers that deployments push to; no other pod has it."""
PULL = Secret(name="shipway-pull", folder="pull")
"""Read-only logins to registries."""
CHECK_PULL = Secret(name="shipway-check-pull", folder="pull")
"""Read-only logins for checks of what strangers wrote; without one, checks pull only public images."""
PUSH = Secret(name="shipway-push", folder="push")
SUPERSEDE = Account(name="shipway-supersede")
"""The account that may list and stop runs."""
RECONCILE = Account(name="shipway-reconcile")
"""The account that may start runs."""
AWAIT_HEALTHY = Account(name="shipway-await-healthy")
"""The account that may read Argo CD's applications."""
REPORT = Account(name="shipway-report")
"""The account that may read runs and their logs."""
REPORT_TOKEN = Secret(name="shipway-report", folder="report-account")
"""A token of REPORT that lasts, for the pod `begin`: the kubelet makes tokens of a pod's own account alone, and that is
SUPERSEDE's there."""
FORGE = Secret(name="shipway-forge", folder="forge")
"""Logins to the APIs of forges, a token or an App's key for each host."""
BUILD_SECRETS = Secret(name="shipway-build-secrets", folder="secrets")
"""The build secrets that Dockerfiles ask for by id."""
READ_LOGINS = {"credentials": "../git", "docker-config": "../pull"}
"""The arguments of a step that reads Git and registries, for GIT and one of the two pull Secrets."""
