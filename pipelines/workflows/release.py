"""`release`: plans, builds and releases all that a commit declares, for an event or by hand, and gives a verdict."""

from __future__ import annotations

from dataclasses import replace

from hera.workflows import DAG, Task, WorkflowTemplate

from pipelines.workflows import await_healthy, check, reporting, start, work
from pipelines.workflows import pod as workflow_pod
from pipelines.workflows.dag import arguments, inputs, outputs, reference, repeated
from pipelines.workflows.pod import pod
from pipelines.workflows.workflow_template import workflow_template

NAME = "release"
START = replace(work.PLAN, step="start", inputs=(*start.REQUEST, "rebuild"))


def release() -> WorkflowTemplate:
    """Return the WorkflowTemplate: it takes an event or a repository and puts out the line of the verdict."""
    results, seconds = (*start.RESULTS, *work.RESULTS), start.PLANNING_SECONDS
    first = pod(start.NAME, (START,), results=results, deadline_seconds=seconds, workspace="10Gi")
    return workflow_template(
        [_release(), first, *start.templates(), *reporting.templates()],
        title="Builds and releases whatever a commit declares and the registry lacks",
        arguments=workflow_pod.arguments((START,)),
        deadline_seconds=work.DEADLINE_SECONDS,
        on_exit=reporting.END,
    )


def _release() -> DAG:
    plan = outputs(start.NAME, "repo", "revision", "ref", "max-age", "mutex", *work.USED)
    return DAG(
        name=NAME,
        inputs=workflow_pod.inputs((START,)),
        tasks=[
            *start.tasks(inputs(*start.REQUEST, "rebuild")),
            reporting.begun(),
            Task(
                name=work.NAME,
                template_ref=reference(work.NAME),
                # Not after `supersede`: the mutex makes it wait for a run that `supersede` stops.
                depends=f"{start.NAME}.Succeeded",
                when=start.in_lane("trusted"),
                arguments=arguments({**plan, **inputs("rebuild")}),
            ),
            Task(
                name=await_healthy.NAME,
                template_ref=reference(await_healthy.NAME),
                depends=f"{work.NAME}.Succeeded",
                # Outside the mutex: the next push does not wait for Argo CD.
                when=f"{{{{tasks.{work.NAME}.outputs.parameters.deploys}}}} > 0",
                arguments=arguments({**outputs(start.NAME, "repo"), **outputs(work.NAME, "commit")}),
            ),
            check.task(depends=f"{work.NAME}.Skipped && {await_healthy.NAME}.Omitted"),
        ],
        outputs=repeated(work.NAME, "commit", "verdict"),
    )
