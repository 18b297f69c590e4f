"""`release`: everything that a commit declares, from an event or by hand: planned, built in waves, released, and judged."""

from __future__ import annotations

from hera.workflows import DAG, ContainerSet, Parameter, Task, WorkflowTemplate

from pipelines.workflows import await_healthy, check, reporting, start, work
from pipelines.workflows import pod as workflow_pod
from pipelines.workflows.dag import arguments, inputs, outputs, reference, repeated
from pipelines.workflows.pod import StepContainer, pod
from pipelines.workflows.secrets import GIT, PULL
from pipelines.workflows.workflow_template import workflow_template

NAME = "release"
START = StepContainer(
    step="start",
    name="main",
    size=start.PLANNER,
    inputs=(*start.REQUEST, "rebuild"),
    fixed={"credentials": "../git", "docker-config": "../pull"},
    secrets=(GIT, PULL),
)


def release() -> WorkflowTemplate:
    """Return the WorkflowTemplate: an event or a repository in, and the verdict's line out."""
    return workflow_template(
        [_release(), _start(), *start.templates(), *reporting.templates()],
        title="Builds and releases whatever a commit declares and the registry lacks",
        arguments=_parameters(value=True),
        deadline_seconds=work.DEADLINE_SECONDS,
        on_exit=reporting.END,
    )


def _start() -> ContainerSet:
    return pod(
        start.NAME,
        (START,),
        results=(*start.RESULTS, *work.FOUND),
        deadline_seconds=start.PLANNING_SECONDS,
        workspace="10Gi",
    )


def _release() -> DAG:
    found = outputs(start.NAME, "repo", "revision", "ref", "max-age", "mutex", *work.USED)
    lane = f"{{{{tasks.{start.NAME}.outputs.parameters.lane}}}}"
    return DAG(
        name=NAME,
        inputs=_parameters(value=False),
        tasks=[
            *start.tasks(inputs(*start.REQUEST, "rebuild")),
            reporting.begun(),
            Task(
                name=work.NAME,
                template_ref=reference(work.NAME),
                # Not after `supersede`: the mutex makes it wait for whichever run that stops.
                depends=f"{start.NAME}.Succeeded",
                when=f"{lane} == trusted",
                arguments=arguments({**found, **inputs("rebuild")}),
            ),
            Task(
                name=await_healthy.NAME,
                template_ref=reference(await_healthy.NAME),
                depends=f"{work.NAME}.Succeeded",
                # Outside of the mutex: the next push does not wait for Argo CD.
                when=f"{{{{tasks.{work.NAME}.outputs.parameters.deploys}}}} > 0",
                arguments=arguments({**outputs(start.NAME, "repo"), **outputs(work.NAME, "commit")}),
            ),
            Task(
                name=check.NAME,
                template_ref=reference(check.NAME),
                depends=f"{work.NAME}.Skipped && {await_healthy.NAME}.Omitted",
                when=f"{lane} == untrusted",
                arguments=arguments(outputs(start.NAME, "repo", "revision", "ref")),
            ),
        ],
        outputs=repeated(work.NAME, "commit", "verdict"),
    )


def _parameters(*, value: bool) -> list[Parameter]:
    """Return the parameters of a run, as the workflow's arguments or as the inputs of its first template."""
    return workflow_pod.arguments((START,)) if value else workflow_pod.inputs((START,))
