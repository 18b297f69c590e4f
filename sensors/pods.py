"""The pods of Argo Events."""

from __future__ import annotations

from hera.events import models as m
from hera.events.models.io.k8s.api.core import v1 as core
from hera.events.models.io.k8s.apimachinery.pkg.api import resource

from sensors.manifest import LABELS

USER = 1000
_TOKEN = "account"  # noqa: S105 - a volume's name
_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path


def template(*, account: str, component: str, speaks_to_api: bool = False) -> m.Template:
    """Return the template of a pod: its account, the least rights, and its resources.

    If it speaks to the cluster's API, it has a token for an hour. The one that Kubernetes mounts by itself is good for
    a year, or as long as the pod (kube-apiserver: --service-account-extend-token-expiration).
    """
    mount = core.VolumeMount(name=_TOKEN, mount_path=_TOKEN_PATH, read_only=True)
    return m.Template(
        metadata=m.Metadata(labels=LABELS | {"app.kubernetes.io/component": component}),
        service_account_name=account,
        security_context=pod_security(),
        volumes=[_token()] if speaks_to_api else None,
        container=m.Container(
            security_context=container_security(),
            volume_mounts=[mount] if speaks_to_api else None,
            resources=core.ResourceRequirements(
                requests={"cpu": resource.Quantity("10m"), "memory": resource.Quantity("48Mi")},
                limits={"memory": resource.Quantity("256Mi")},
            ),
        ),
    )


def pod_security() -> core.PodSecurityContext:
    """Return the user of a pod, and its filter of system calls."""
    return core.PodSecurityContext(
        run_as_non_root=True,
        run_as_user=USER,
        run_as_group=USER,
        fs_group=USER,
        seccomp_profile=core.SeccompProfile(type="RuntimeDefault"),
    )


def container_security() -> core.SecurityContext:
    """Return the rights of a container: none."""
    return core.SecurityContext(
        allow_privilege_escalation=False,
        capabilities=core.Capabilities(drop=["ALL"]),
        read_only_root_filesystem=True,
    )


def _token() -> core.Volume:
    authorities = core.ConfigMapProjection(name="kube-root-ca.crt", items=[core.KeyToPath(key="ca.crt", path="ca.crt")])
    namespace = core.DownwardAPIVolumeFile(
        path="namespace", field_ref=core.ObjectFieldSelector(field_path="metadata.namespace")
    )
    sources = [
        core.VolumeProjection(
            service_account_token=core.ServiceAccountTokenProjection(path="token", expiration_seconds=3600)
        ),
        core.VolumeProjection(config_map=authorities),
        core.VolumeProjection(downward_api=core.DownwardAPIProjection(items=[namespace])),
    ]
    return core.Volume(name=_TOKEN, projected=core.ProjectedVolumeSource(default_mode=0o440, sources=sources))
