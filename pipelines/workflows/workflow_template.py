"""The frame of every WorkflowTemplate: entrypoint, arguments, time limit, and how long a run is kept."""

from __future__ import annotations

from collections.abc import Sequence

from hera.workflows import DAG, ContainerSet, Parameter, WorkflowTemplate
from hera.workflows import models as m

from pipelines.workflows.pod import SERVICE_ACCOUNT
from pipelines.workflows.secrets import executor_token

DAY = 24 * 3600


def workflow_template(
    templates: Sequence[ContainerSet | DAG],
    *,
    title: str,
    arguments: Sequence[Parameter],
    deadline_seconds: int,
    on_exit: str | None = None,
    is_started: bool = True,
) -> WorkflowTemplate:
    """Return a WorkflowTemplate named after its first template, the entrypoint; `on_exit` names the exit handler.

    Without `is_started` it has no entrypoint, and others can only refer to it.

    Where it has several templates, it says how Argo's own containers get their token for all pods of a run, whatever
    those refer to: a run would store that with each template.
    Finished pods go at once, since their logs are on the run's page only while they are wanted: a failed one stays
    until the run itself goes, a week later, a good run after a day.
    """
    name = templates[0].name
    assert name is not None
    pods = [template for template in templates if isinstance(template, ContainerSet)]
    for one in pods if len(templates) > 1 else ():
        one.pod_spec_patch = None
    return WorkflowTemplate(
        name=name,
        annotations={"workflows.argoproj.io/title": name, "workflows.argoproj.io/description": title},
        labels={"app.kubernetes.io/name": "shipway", "app.kubernetes.io/component": "workflow"},
        entrypoint=name if is_started else None,
        on_exit=on_exit,
        arguments=list(arguments),
        templates=list(templates),
        service_account_name=SERVICE_ACCOUNT,
        automount_service_account_token=False,
        executor=m.ExecutorConfig(service_account_name=SERVICE_ACCOUNT),
        active_deadline_seconds=deadline_seconds,
        ttl_strategy=m.TTLStrategy(seconds_after_success=DAY, seconds_after_failure=7 * DAY),
        pod_spec_patch=executor_token() if is_started and len(templates) > 1 else None,
        pod_gc=m.PodGC(strategy="OnPodSuccess", delete_delay_duration="600s"),
    )
