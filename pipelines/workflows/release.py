"""`release`: plans, builds and releases all that a commit declares, for an event or by hand, and gives a verdict."""

from __future__ import annotations

from dataclasses import replace

from hera.workflows import DAG, Task, WorkflowTemplate

from pipelines.workflows import check, deploy, reporting, start, work
from pipelines.workflows import pod as workflow_pod
from pipelines.workflows.dag import Unhurried, arguments, inputs, outputs, reference, repeated
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
    """Return the DAG. What was published is deployed and judged whatever became of the rest, both at a time."""
    plan = outputs(start.NAME, "repo", "revision", "ref", "max-age", "mutex", *work.USED)
    deployed = {**{name: plan[name] for name in ("repo", "ref", "max-age", "now", "commit")}, **inputs("rebuild")}
    settled = {name: plan[name] for name in ("repo", "ref", "max-age", "now", "settled", "builder-version")}
    judged = {**settled, **inputs("rebuild"), "revision": plan["commit"]}
    worked = f"{work.NAME}.Succeeded || {work.NAME}.Failed || {work.NAME}.Errored"
    return Unhurried(
        name=NAME,
        inputs=workflow_pod.inputs((START,)),
        fail_fast=False,
        tasks=[
            *start.tasks(inputs(*start.REQUEST, "rebuild")),
            Task(
                name=work.NAME,
                template_ref=reference(work.NAME),
                # Not after `begin`: the mutex makes it wait for a run that `supersede` stops.
                depends=f"{start.NAME}.Succeeded",
                when=start.in_lane("trusted"),
                arguments=arguments({**plan, **inputs("rebuild")}),
            ),
            Task(
                name=deploy.NAME,
                template_ref=reference(work.NAME, deploy.NAME),
                # Outside the mutex: the next push does not wait for Argo CD.
                depends=worked,
                when=f"{plan['deploys']} > 0",
                arguments=arguments({**deployed, **outputs(start.NAME, "head")}),
            ),
            Task(
                name="verdict",
                template_ref=reference(work.NAME, "verdict"),
                depends=worked,
                arguments=arguments({**judged, "builds": plan["builds"], "releases": plan["releases"]}),
            ),
            check.task(depends=f"{work.NAME}.Skipped"),
        ],
        outputs=repeated("verdict", "commit", "verdict"),
    )
