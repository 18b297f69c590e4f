"""`review`: started by a pull request or a comment on one. It never publishes, and mounts neither login of a release.

Its check pulls base images with `shipway-check-pull`, logins for what strangers may read.
"""

from __future__ import annotations

from hera.workflows import DAG, WorkflowTemplate

from pipelines.workflows import check, pod, reporting, start
from pipelines.workflows.dag import inputs
from pipelines.workflows.workflow_template import workflow_template

NAME = "review"
DEADLINE_SECONDS = 12 * 3600


def review() -> WorkflowTemplate:
    """Return the WorkflowTemplate: it takes an event and checks its commit."""
    checked = check.task(depends=f"{start.NAME}.Succeeded")
    tasks = [*start.tasks(inputs(*start.REQUEST)), checked]
    dag = DAG(name=NAME, inputs=pod.inputs((start.LOCATE,)), tasks=[*tasks])
    return workflow_template(
        [dag, start.locate(), *start.templates(), *reporting.templates()],
        title="Checks what a pull request brings, and publishes nothing",
        arguments=pod.arguments((start.LOCATE,)),
        deadline_seconds=DEADLINE_SECONDS,
        on_exit=reporting.END,
    )
