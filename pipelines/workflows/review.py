"""`review`: what a pull request or a comment under one starts. It never publishes, and sees neither login of a release's.

What the check behind it pulls bases with is `shipway-check-pull`, logins for what strangers may read.
"""

from __future__ import annotations

from hera.workflows import DAG, Task, WorkflowTemplate

from pipelines.workflows import check, pod, reporting, start
from pipelines.workflows.dag import arguments, inputs, outputs, reference
from pipelines.workflows.workflow_template import workflow_template

NAME = "review"
DEADLINE_SECONDS = 12 * 3600


def review() -> WorkflowTemplate:
    """Return the WorkflowTemplate: an event in, and the check of its commit."""
    return workflow_template(
        [_review(), start.locate(), *start.templates(), *reporting.templates()],
        title="Checks what a pull request brings, and publishes nothing",
        arguments=pod.arguments((start.LOCATE,)),
        deadline_seconds=DEADLINE_SECONDS,
        on_exit=reporting.END,
    )


def _review() -> DAG:
    return DAG(
        name=NAME,
        inputs=pod.inputs((start.LOCATE,)),
        tasks=[
            *start.tasks(inputs(*start.REQUEST)),
            reporting.begun(),
            Task(
                name=check.NAME,
                template_ref=reference(check.NAME),
                depends=f"{start.NAME}.Succeeded",
                when=f"{{{{tasks.{start.NAME}.outputs.parameters.lane}}}} == untrusted",
                arguments=arguments(outputs(start.NAME, "repo", "revision", "ref")),
            ),
        ],
    )
