"""`release`: everything that a commit declares, from an event or by hand: planned, built in waves, released, and judged."""

from __future__ import annotations

from hera.workflows import DAG, ContainerSet, Parameter, Task, WorkflowTemplate
from hera.workflows import models as m

from pipelines.plan.node import MOST_WAVES
from pipelines.templates import pod as pods
from pipelines.templates.dag import Unhurried, arguments, ended, inputs, outputs, reference, repeated
from pipelines.templates.pod import Size, StepContainer, pod
from pipelines.templates.secrets import GIT, PULL, PUSH
from pipelines.templates.workflow_template import workflow_template
from pipelines.workflows import arrival, await_healthy, chart_release, check, clone_build_push, deploy, reporting

NAME = "release"
WORK = "work"
DEADLINE_SECONDS = 12 * 3600
_PLANNING_SECONDS = 1800
_PLANNER = Size(cpu="200m", memory="256Mi", most_cpu="2", most_memory="2Gi")
_ASKED = ("repo", "revision", "ref", "rebuild", "max-age")
"""What a plan is asked."""

ARRIVE = StepContainer(
    step="arrive",
    name="main",
    size=_PLANNER,
    inputs=(*arrival.GIVEN, "rebuild"),
    fixed={"credentials": "../git", "docker-config": "../pull"},
    secrets=(GIT, PULL),
)
PLAN = StepContainer(
    step="plan",
    name="main",
    size=_PLANNER,
    inputs=_ASKED,
    fixed={"credentials": "../git", "docker-config": "../pull"},
    secrets=(GIT, PULL),
)
AGAIN = StepContainer(
    step="plan",
    name="again",
    size=_PLANNER,
    inputs=(*_ASKED, "now", "settled", "builder-version"),
    fixed={"credentials": "../git", "docker-config": "../pull"},
    secrets=(GIT, PULL),
)
RETAG = StepContainer(
    step="retag",
    name="main",
    size=arrival.SMALL,
    inputs=("repo",),
    fixed={"planned": "out/again", "credentials": "../git", "docker-config": "../push"},
    secrets=(GIT, PUSH),
    after=("again",),
)
VERDICT = StepContainer(
    step="verdict",
    name="main",
    size=arrival.SMALL,
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
_FOUND = (
    *("commit", "now", *_WAVES, "untagged", "charts", "to-do", "blocked", "unknown", "deploys"),
    *("builds", "releases", "settled", "builder-version"),
)
"""What a plan says, beside its ref."""
_USED = tuple(name for name in _FOUND if name not in {"to-do", "blocked", "unknown"})
FRESH_SECONDS = 15
"""How old a plan may be when its turn comes."""


def release() -> WorkflowTemplate:
    """Return the WorkflowTemplate: an event or a repository in, and the verdict's line out."""
    return workflow_template(
        # A template of its own, for eight references cost a second: a controller checks each new run, and asks the API four
        # times for each reference, of the 20 requests a second that it has for everything.
        [
            *(_release(), _work(), _planned(), clone_build_push.template()),
            *(*arrival.templates(), *_pods(), *reporting.templates()),
        ],
        title="Builds and releases whatever a commit declares and the registry lacks",
        arguments=_given(value=True),
        deadline_seconds=DEADLINE_SECONDS,
        on_exit=reporting.END,
    )


def _pods() -> list[ContainerSet]:
    return [
        pod(
            arrival.FIRST,
            (ARRIVE,),
            results=(*arrival.RESULTS, *_FOUND),
            deadline_seconds=_PLANNING_SECONDS,
            workspace="10Gi",
        ),
        pod("plan", (PLAN,), results=("ref", *_FOUND), deadline_seconds=_PLANNING_SECONDS, workspace="10Gi"),
        pod(
            "retag",
            (AGAIN, RETAG),
            results=("images", "tags"),
            deadline_seconds=_PLANNING_SECONDS,
            workspace="10Gi",
        ),
        pod(
            "verdict",
            (AGAIN, VERDICT),
            results=("verdict", "commit", "published", "untagged", "summary"),
            deadline_seconds=_PLANNING_SECONDS,
            workspace="10Gi",
        ),
    ]


def _release() -> DAG:
    found = outputs(arrival.FIRST, "repo", "revision", "ref", "max-age", "mutex", *_USED)
    lane = f"{{{{tasks.{arrival.FIRST}.outputs.parameters.lane}}}}"
    return DAG(
        name=NAME,
        inputs=_given(value=False),
        tasks=[
            *arrival.tasks(inputs(*arrival.GIVEN, "rebuild")),
            reporting.begun(),
            Task(
                name=WORK,
                template=WORK,
                # Not after `supersede`: the mutex makes it wait for whichever run that stops.
                depends=f"{arrival.FIRST}.Succeeded",
                when=f"{lane} == trusted",
                arguments=arguments({**found, **inputs("rebuild")}),
            ),
            Task(
                name=await_healthy.NAME,
                template_ref=reference(await_healthy.NAME),
                depends=f"{WORK}.Succeeded",
                # Outside of the mutex: the next push does not wait for Argo CD.
                when=f"{{{{tasks.{WORK}.outputs.parameters.deploys}}}} > 0",
                arguments=arguments({**outputs(arrival.FIRST, "repo"), **outputs(WORK, "commit")}),
            ),
            Task(
                name=check.NAME,
                template_ref=reference(check.NAME),
                depends=f"{WORK}.Skipped && {await_healthy.NAME}.Omitted",
                when=f"{lane} == untrusted",
                arguments=arguments(outputs(arrival.FIRST, "repo", "revision", "ref")),
            ),
        ],
        outputs=repeated(WORK, "commit", "verdict"),
    )


def _work() -> DAG:
    """Return what one repository does at a time: a wave goes on whatever became of the one before, and the verdict says it all."""
    found = outputs("plan", "ref", *_USED)
    commit = {"revision": found["commit"], "ref": found["ref"]}
    settled = {name: found[name] for name in ("now", "settled", "builder-version")}
    again = {**inputs("repo", "rebuild", "max-age"), **commit, **settled}
    tasks: list[Task | m.DAGTask] = [
        Task(name="plan", template="planned", arguments=arguments(inputs(*_ASKED, *_USED)))
    ]
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
            template_ref=reference(chart_release.NAME),
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
            template_ref=reference(deploy.NAME),
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
        name=WORK,
        inputs=[Parameter(name=name) for name in (*_ASKED, "mutex", *_USED)],
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
        inputs=[Parameter(name=name) for name in (*_ASKED, *_USED)],
        tasks=[
            Task(
                name="again",
                template="plan",
                when=f"{{{{=now().Unix() - asInt(inputs.parameters.now) > {FRESH_SECONDS}}}}}",
                arguments=arguments(inputs(*_ASKED)),
            )
        ],
        outputs=repeated("again", "ref", *_USED, otherwise=inputs("ref", *_USED)),
    )


def _given(*, value: bool) -> list[Parameter]:
    """Return what a run may be given, as the workflow's arguments or as the inputs of its first template."""
    return pods.arguments((ARRIVE,)) if value else pods.inputs((ARRIVE,))


def _after(task: str) -> str:
    """Return the condition that a task has ended in whatever way, and that there is a plan."""
    return "plan.Succeeded" if task == "plan" else f"plan.Succeeded && {ended(task)}"
