"""The Secrets of an installation. Their names are fixed; the workflows say which container mounts which."""

from __future__ import annotations

from dataclasses import dataclass

from hera.workflows import models as m

ROOT = "/shipway"
"""The folder of a pod that holds the folder of each container, and Secrets beside them."""


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A Secret with a fixed name, mounted beside the containers' folders; its own is empty if it is missing."""

    name: str
    folder: str

    @property
    def volume(self) -> m.Volume:
        """The pod's volume."""
        source = m.SecretVolumeSource(secret_name=self.name, optional=True, default_mode=0o440)
        return m.Volume(name=self.folder, secret=source)

    @property
    def mount(self) -> m.VolumeMount:
        """The mount of a container that may read it."""
        return m.VolumeMount(name=self.folder, mount_path=f"{ROOT}/{self.folder}", read_only=True)


GIT = Secret(name="shipway-git", folder="git")
"""Read-only login to Git servers."""
GIT_WRITE = Secret(name="shipway-git-write", folder="git-write")
"""Login to the Git servers that deployments push to; no other pod has it."""
PULL = Secret(name="shipway-pull", folder="pull")
"""Read-only logins to registries."""
CHECK_PULL = Secret(name="shipway-check-pull", folder="pull")
"""Read-only logins for checks of what strangers wrote; without one, checks pull only public images."""
PUSH = Secret(name="shipway-push", folder="push")
SUPERSEDE = Secret(name="shipway-supersede", folder="supersede-account")
"""The token of the account that may list and stop runs."""
RECONCILE = Secret(name="shipway-reconcile", folder="account")
"""The token of the account that may start runs."""
AWAIT_HEALTHY = Secret(name="shipway-await-healthy", folder="await-healthy-account")
"""The token of the account that may read Argo CD's applications."""
REPORT = Secret(name="shipway-report", folder="report-account")
"""The token of the account that may read runs and their logs."""
FORGE = Secret(name="shipway-forge", folder="forge")
"""Logins to the APIs of forges, a token or an App's key for each host."""
BUILD_SECRETS = Secret(name="shipway-build-secrets", folder="secrets")
"""The build secrets that Dockerfiles ask for by id."""
READ_LOGINS = {"credentials": "../git", "docker-config": "../pull"}
"""The arguments of a step that reads Git and registries, for GIT and one of the two pull Secrets."""
