"""`release`: plans, builds and releases all that a commit declares, for an event or by hand, and gives a verdict.

All of it but the entry stands in a WorkflowTemplate of its own, `work`. When a run starts, Argo's controller asks the
API for the whole WorkflowTemplate for each of its templates and each reference, and for none that stands beside the
template which starts it. And a run keeps the WorkflowTemplate that it starts twice, others once (Argo Workflows 4.1.2,
workflow/validate).
"""

from __future__ import annotations

from dataclasses import replace

from hera.workflows import DAG, Task, WorkflowTemplate

from pipelines.workflows import chart_release, check, deploy, reporting, start, work
from pipelines.workflows import pod as workflow_pod
from pipelines.workflows.dag import Unhurried, arguments, inputs, outputs, reference, repeated
from pipelines.workflows.pod import pod
from pipelines.workflows.workflow_template import workflow_template

NAME = "release"
INPUTS = (*start.REQUEST, "rebuild")
START = replace(work.PLAN, step="start", inputs=INPUTS)
TAKEN = (START, replace(chart_release.MAIN, inputs=work.CHARTS))
"""The containers whose inputs a run takes."""
RESULTS = ("commit", "verdict")


def release() -> WorkflowTemplate:
    """Return the WorkflowTemplate: it takes an event or a repository and puts out the line of the verdict."""
    whole = Task(name=NAME, template_ref=reference(work.NAME, NAME), arguments=arguments(inputs(*INPUTS, *work.CHARTS)))
    entry = DAG(name=NAME, inputs=workflow_pod.inputs(TAKEN), tasks=[whole], outputs=repeated(NAME, *RESULTS))
    return workflow_template(
        [entry, reporting.elsewhere(work.NAME)],
        title="Builds and releases whatever a commit declares and the registry lacks",
        arguments=workflow_pod.arguments(TAKEN),
        deadline_seconds=work.DEADLINE_SECONDS,
        on_exit=reporting.END,
    )


def parts() -> WorkflowTemplate:
    """Return the WorkflowTemplate `work`, all that a release runs; only `release` refers to it."""
    results = (*start.RESULTS, *work.PLANNED, "commit", "settled", "deploys", "builds", "releases")
    first = pod(start.NAME, (START,), results=results, deadline_seconds=start.PLANNING_SECONDS, workspace="10Gi")
    return workflow_template(
        [*work.templates(), _release(), first, *start.templates(), check.untrusted(), reporting.in_a_pod()],
        title="What a release runs",
        arguments=(),
        deadline_seconds=work.DEADLINE_SECONDS,
        is_started=False,
    )


def _release() -> DAG:
    """Return the DAG. What was published is deployed and judged whatever became of the rest, both at a time."""
    plan = outputs(
        start.NAME,
        *("repo", "ref", "max-age", "mutex", *work.PLANNED, "commit", "settled", "deploys", "builds", "releases"),
    )
    commit = {**{name: plan[name] for name in ("repo", "ref", "max-age", "now")}, **inputs("rebuild")}
    planned = {**commit, "revision": plan["commit"], "builder-version": plan["builder-version"]}
    worked = f"{work.NAME}.Succeeded || {work.NAME}.Failed || {work.NAME}.Errored"
    return Unhurried(
        name=NAME,
        inputs=workflow_pod.inputs(TAKEN),
        fail_fast=False,
        tasks=[
            *start.tasks(inputs(*INPUTS)),
            Task(
                name=work.NAME,
                template=work.NAME,
                # Not after `begin`: the mutex makes it wait for a run that `supersede` stops.
                depends=f"{start.NAME}.Succeeded",
                when=start.in_lane("trusted"),
                arguments=arguments(
                    {**planned, **inputs(*work.CHARTS), **{name: plan[name] for name in ("mutex", *work.PLANNED)}}
                ),
            ),
            Task(
                name=deploy.NAME,
                template=deploy.NAME,
                # Outside the mutex: the next push does not wait for Argo CD.
                depends=worked,
                when=f"{plan['deploys']} > 0",
                arguments=arguments({**commit, "commit": plan["commit"], **outputs(start.NAME, "head")}),
            ),
            Task(
                name="verdict",
                template="verdict",
                depends=worked,
                arguments=arguments({**planned, **{name: plan[name] for name in ("settled", "builds", "releases")}}),
            ),
            check.task(depends=f"{work.NAME}.Skipped", template="untrusted"),
        ],
        outputs=repeated("verdict", *RESULTS),
    )
