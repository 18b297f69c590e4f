"""`work`: what one repository does at a time: builds in waves, charts, tags, deployments and the verdict. `release` refers to it.

It stands apart because Argo's controller checks each new run, and for each template of the WorkflowTemplate that it starts it
asks the API for that WorkflowTemplate once, as a whole (Argo Workflows 4.1.2, workflow/validate): what starts often is small.
"""

from __future__ import annotations

from dataclasses import replace

from hera.workflows import DAG, ContainerSet, Parameter, Task, WorkflowTemplate
from hera.workflows import models as m

from pipelines.images.node import MOST_WAVES
from pipelines.workflows import chart_release, clone_build_push, deploy
from pipelines.workflows.dag import Unhurried, arguments, ended, inputs, outputs, repeated
from pipelines.workflows.pod import StepContainer, pod
from pipelines.workflows.secrets import GIT, PULL, PUSH
from pipelines.workflows.start import PLANNER, PLANNING_SECONDS, SMALL
from pipelines.workflows.workflow_template import workflow_template

NAME = "work"
DEADLINE_SECONDS = 12 * 3600
ASKED = ("repo", "revision", "ref", "rebuild", "max-age")
"""What a plan is asked."""

PLAN = StepContainer(
    step="plan",
    name="main",
    size=PLANNER,
    inputs=ASKED,
    fixed={"credentials": "../git", "docker-config": "../pull"},
    secrets=(GIT, PULL),
)
AGAIN = replace(PLAN, name="again", inputs=(*ASKED, "now", "settled", "builder-version"))
RETAG = StepContainer(
    step="retag",
    name="main",
    size=SMALL,
    inputs=("repo",),
    fixed={"planned": "out/again", "credentials": "../git", "docker-config": "../push"},
    secrets=(GIT, PUSH),
    after=("again",),
)
VERDICT = StepContainer(
    step="verdict",
    name="main",
    size=SMALL,
    inputs=("builds", "releases"),
    fixed={"planned": "out/again"},
    after=("again",),
)

_WAVES = tuple(f"wave-{number}" for number in range(1, MOST_WAVES + 1))
_ITEM = {
    **{
        name: name for name in ("name", "path", "dockerfile", "target", "build-args", "secret-ids", "shared", "exclude")
    },
    **{name: name for name in ("version", "platform", "key", "renews", "moment", "pins")},
    "version-tag": "version",
}
"""Inputs of clone-build-push, and which part of an item each takes."""
FOUND = (
    *("commit", "now", *_WAVES, "untagged", "charts", "to-do", "blocked", "unknown", "deploys"),
    *("builds", "releases", "settled", "builder-version"),
)
"""What a plan says, beside its ref."""
USED = tuple(name for name in FOUND if name not in {"to-do", "blocked", "unknown"})
FRESH_SECONDS = 15
"""How old a plan may be when its turn comes."""


def work() -> WorkflowTemplate:
    """Return the WorkflowTemplate, which nobody starts by itself: whoever refers to it says what is planned, and by which mutex."""
    return workflow_template(
        # Nothing is referred to from here: a reference costs the controller's check two to four requests, of the 20 a second
        # that it has for everything; a template beside this one costs it none.
        [_work(), _planned(), clone_build_push.template(), chart_release.template(), deploy.template(), *_pods()],
        title="Builds and releases what a plan lists, one run of a repository at a time",
        arguments=(),
        deadline_seconds=DEADLINE_SECONDS,
        is_started=False,
    )


def _pods() -> list[ContainerSet]:
    return [
        pod("plan", (PLAN,), results=("ref", *FOUND), deadline_seconds=PLANNING_SECONDS, workspace="10Gi"),
        pod(
            "retag",
            (AGAIN, RETAG),
            results=("images", "tags"),
            deadline_seconds=PLANNING_SECONDS,
            workspace="10Gi",
        ),
        pod(
            "verdict",
            (AGAIN, VERDICT),
            results=("verdict", "commit", "published", "untagged", "summary"),
            deadline_seconds=PLANNING_SECONDS,
            workspace="10Gi",
        ),
    ]


def _work() -> DAG:
    """Return what one repository does at a time: a wave goes on whatever became of the one before, and the verdict says it all."""
    found = outputs("plan", "ref", *USED)
    commit = {"revision": found["commit"], "ref": found["ref"]}
    settled = {name: found[name] for name in ("now", "settled", "builder-version")}
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
                with_param=found[wave],
                arguments=arguments({**inputs("repo"), **commit, **item}),
            )
        )
        before = wave
    tasks += [
        Task(
            name="charts",
            template=chart_release.NAME,
            depends=_after(before),
            when=f"{found['charts']} > 0",
            arguments=arguments({**inputs("repo"), **commit}),
        ),
        Task(
            name="retag",
            template="retag",
            depends=_after("charts"),
            when=f"{found['untagged']} > 0",
            arguments=arguments(again),
        ),
        Task(
            name=deploy.NAME,
            template=deploy.NAME,
            depends=_after("retag"),
            when=f"{found['deploys']} > 0",
            arguments=arguments(
                {**inputs("repo", "rebuild", "max-age"), "ref": found["ref"], "now": found["now"], "environment": ""}
            ),
        ),
        Task(
            name="verdict",
            template="verdict",
            depends=_after("retag"),
            arguments=arguments({**again, "builds": found["builds"], "releases": found["releases"]}),
        ),
    ]
    return Unhurried(
        name=NAME,
        inputs=[Parameter(name=name) for name in (*ASKED, "mutex", *USED)],
        synchronization=m.Synchronization(mutexes=[m.Mutex(name="{{inputs.parameters.mutex}}")]),
        fail_fast=False,
        tasks=tasks,
        outputs=[*repeated("verdict", "commit", "verdict"), *repeated("plan", "deploys")],
    )


def _planned() -> DAG:
    """Return the plan that a run was given or, where it has waited for its turn, one that is made now.

    Another run may have published meanwhile what the older plan would have built again.
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
    """Return the condition that a task has ended in whatever way, and that there is a plan."""
    return "plan.Succeeded" if task == "plan" else f"plan.Succeeded && {ended(task)}"
