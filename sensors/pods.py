"""The pods of Argo Events."""

from __future__ import annotations

from hera.events import models as m
from hera.events.models.io.k8s.api.core import v1 as core
from hera.events.models.io.k8s.apimachinery.pkg.api import resource

from sensors.manifest import LABELS

USER = 1000


def template(*, account: str, component: str) -> m.Template:
    """Return the template of a pod: its account, the least rights, and its resources."""
    return m.Template(
        metadata=m.Metadata(labels=LABELS | {"app.kubernetes.io/component": component}),
        service_account_name=account,
        security_context=core.PodSecurityContext(
            run_as_non_root=True,
            run_as_user=USER,
            run_as_group=USER,
            fs_group=USER,
            seccomp_profile=core.SeccompProfile(type="RuntimeDefault"),
        ),
        container=m.Container(
            security_context=core.SecurityContext(
                allow_privilege_escalation=False,
                capabilities=core.Capabilities(drop=["ALL"]),
                read_only_root_filesystem=True,
            ),
            resources=core.ResourceRequirements(
                requests={"cpu": resource.Quantity("10m"), "memory": resource.Quantity("48Mi")},
                limits={"memory": resource.Quantity("256Mi")},
            ),
        ),
    )
