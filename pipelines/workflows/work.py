"""`work`: what one repository does at a time for `release`: waves of builds, charts, tags; and pods of its end.

It is a WorkflowTemplate of its own because Argo's controller checks each new run: for each template of the
WorkflowTemplate that the run starts, it asks the API for the whole WorkflowTemplate once (Argo Workflows 4.1.2,
workflow/validate). So the ones that start often are small.
"""

from __future__ import annotations

from dataclasses import replace

from hera.workflows import DAG, ContainerSet, Parameter, Task, WorkflowTemplate
from hera.workflows import models as m

from pipelines.images.node import MOST_WAVES
from pipelines.workflows import chart_release, clone_build_push, deploy
from pipelines.workflows.dag import Unhurried, arguments, ended, inputs, outputs, repeated
from pipelines.workflows.pod import StepContainer, pod
from pipelines.workflows.secrets import GIT, PULL, PUSH, READ_LOGINS
from pipelines.workflows.start import PLANNER, PLANNING_SECONDS, SMALL
from pipelines.workflows.workflow_template import workflow_template

NAME = "work"
DEADLINE_SECONDS = 12 * 3600
ASKED = ("repo", "revision", "ref", "rebuild", "max-age")
"""The inputs of a plan."""

PLAN = StepContainer(step="plan", name="main", size=PLANNER, inputs=ASKED, fixed=READ_LOGINS, secrets=(GIT, PULL))
AGAIN = replace(PLAN, name="again", inputs=(*ASKED, "now", "settled", "builder-version"))
RETAG = StepContainer(
    step="retag",
    name="main",
    size=SMALL,
    inputs=("repo",),
    fixed={"planned": "../again/out", "credentials": "../git", "docker-config": "../push"},
    secrets=(GIT, PUSH),
    after=("again",),
)
VERDICT = StepContainer(
    step="verdict",
    name="main",
    size=SMALL,
    inputs=("builds", "releases"),
    fixed={"planned": "../again/out"},
    after=("again",),
)

_WAVES = tuple(f"wave-{number}" for number in range(1, MOST_WAVES + 1))
_ITEM = {
    **{
        name: name
        for name in ("name", "title", "path", "dockerfile", "target", "build-args", "secret-ids", "shared", "exclude")
    },
    **{name: name for name in ("version", "platform", "key", "renews", "moment", "pins")},
    "version-tag": "version",
}
"""Inputs of clone-build-push, each with the part of an item that it takes."""
RESULTS = (
    *("commit", "now", *_WAVES, "untagged", "charts", "to-do", "blocked", "unknown", "deploys"),
    *("builds", "releases", "needs", "settled", "builder-version"),
)
"""The outputs of a plan, beside its ref."""
USED = tuple(name for name in RESULTS if name not in {"to-do", "blocked", "unknown"})
FRESH_SECONDS = 15
"""How old a plan may be when the run gets the mutex."""


def work() -> WorkflowTemplate:
    """Return the WorkflowTemplate, which only others start: they pass the plan and the mutex."""
    return workflow_template(
        # No references: each costs the controller's check two to four requests, of the 20 a second that it may make; a
        # template in the same WorkflowTemplate costs none.
        [_work(), _planned(), clone_build_push.template(), chart_release.template(), *_pods()],
        title="Builds and releases what a plan lists, one run of a repository at a time",
        arguments=(),
        deadline_seconds=DEADLINE_SECONDS,
        is_started=False,
    )


def _pods() -> list[ContainerSet]:
    return [
        pod("plan", (PLAN,), results=("ref", *RESULTS), deadline_seconds=PLANNING_SECONDS, workspace="10Gi"),
        pod("retag", (AGAIN, RETAG), results=("images", "tags"), deadline_seconds=PLANNING_SECONDS, workspace="10Gi"),
        deploy.in_a_release(),
        pod(
            "verdict",
            (AGAIN, VERDICT),
            results=("verdict", "commit", "published", "untagged", "summary"),
            deadline_seconds=PLANNING_SECONDS,
            workspace="10Gi",
        ),
    ]


def _work() -> DAG:
    """Return the DAG. A wave starts however the one before ended."""
    plan = outputs("plan", "ref", *USED)
    commit = {"revision": plan["commit"], "ref": plan["ref"]}
    settled = {name: plan[name] for name in ("now", "settled", "builder-version")}
    again = {**inputs("repo", "rebuild", "max-age"), **commit, **settled}
    tasks: list[Task | m.DAGTask] = [Task(name="plan", template="planned", arguments=arguments(inputs(*ASKED, *USED)))]
    before = "plan"
    for wave in _WAVES:
        item = {name: f"{{{{item.{part.replace('-', '_')}}}}}" for name, part in _ITEM.items()}
        tasks.append(
            Task(
                name=wave,
                template=clone_build_push.NAME,
                depends=_after(before),
                with_param=plan[wave],
                arguments=arguments({**inputs("repo"), **commit, **item}),
            )
        )
        before = wave
    tasks += [
        Task(
            name="charts",
            template=chart_release.NAME,
            depends=_after(before),
            when=f"{plan['charts']} > 0",
            arguments=arguments({**inputs("repo"), **commit, "needs": plan["needs"]}),
        ),
        Task(
            name="retag",
            template="retag",
            depends=_after("charts"),
            when=f"{plan['untagged']} > 0",
            arguments=arguments(again),
        ),
    ]
    return Unhurried(
        name=NAME,
        inputs=[Parameter(name=name) for name in (*ASKED, "mutex", *USED)],
        synchronization=m.Synchronization(mutexes=[m.Mutex(name="{{inputs.parameters.mutex}}")]),
        fail_fast=False,
        tasks=tasks,
    )


def _planned() -> DAG:
    """Return the plan that the run was given or, if the run waited for the mutex, a new one.

    Another run may have published in the meantime what the older plan would build again.
    """
    return DAG(
        name="planned",
        inputs=[Parameter(name=name) for name in (*ASKED, *USED)],
        tasks=[
            Task(
                name="again",
                template="plan",
                when=f"{{{{=now().Unix() - asInt(inputs.parameters.now) > {FRESH_SECONDS}}}}}",
                arguments=arguments(inputs(*ASKED)),
            )
        ],
        outputs=repeated("again", "ref", *USED, otherwise=inputs("ref", *USED)),
    )


def _after(task: str) -> str:
    """Return the condition that a task has ended in any way, and that there is a plan."""
    return "plan.Succeeded" if task == "plan" else f"plan.Succeeded && {ended(task)}"
