"""The templates of `work`: what one repository does at a time for `release`, waves of builds, charts, tags; and pods of
its end.
"""

from __future__ import annotations

from dataclasses import replace

from hera.workflows import DAG, ContainerSet, Parameter, Task
from hera.workflows import models as m

from pipelines.images.node import MOST_WAVES
from pipelines.workflows import chart_release, clone_build_push, deploy
from pipelines.workflows.dag import Unhurried, arguments, ended, inputs, outputs, repeated
from pipelines.workflows.pod import StepContainer, pod
from pipelines.workflows.secrets import GIT, PULL, PUSH, READ_LOGINS
from pipelines.workflows.start import PLANNER, PLANNING_SECONDS, SMALL

NAME = "work"
DEADLINE_SECONDS = 12 * 3600
ASKED = ("repo", "revision", "ref", "rebuild", "max-age")
"""The inputs of a plan."""
CHARTS = ("keep-going",)
"""Those of the release of charts."""

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
PLANNED = ("now", *_WAVES, "untagged", "charts", "needs", "builder-version")
"""The outputs of a plan that say what is to be done before the verdict."""
FRESH_SECONDS = 15
"""How old a plan may be when the run gets the mutex."""


def templates() -> list[ContainerSet | DAG]:
    """Return the template NAME and what it starts, then the pods of a release's end."""
    return [_work(), _planned(), clone_build_push.of_a_plan(), chart_release.template(), *_pods()]


def _pods() -> list[ContainerSet]:
    return [
        pod("plan", (PLAN,), results=PLANNED, deadline_seconds=PLANNING_SECONDS, workspace="10Gi"),
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
    """Return the DAG. Of a wave starts what depends on nothing that failed, and all depend on something of the last."""
    plan, commit = outputs("plan", *PLANNED), inputs("repo", "revision", "ref")
    again = {**inputs(*ASKED), **{name: plan[name] for name in ("now", "builder-version")}}
    tasks: list[Task | m.DAGTask] = [
        Task(name="plan", template="planned", arguments=arguments(inputs(*ASKED, *PLANNED)))
    ]
    item = {"name": "{{item.name}}", "title": "{{item.title}}", "version-tag": "{{item.version}}", "job": "{{item}}"}
    for number, wave in enumerate(_WAVES):
        built = " + ".join(outputs(before, "name")["name"] for before in _WAVES[:number])
        tasks.append(
            Task(
                name=wave,
                template=clone_build_push.NAME,
                # Where nothing was built, there is no output to name.
                depends=f"{_WAVES[number - 1]}.AnySucceeded" if number else "plan.Succeeded",
                when=f"{built} =~ {{{{item.requires}}}}" if number else None,
                with_param=plan[wave],
                arguments=arguments({**commit, **item}),
            )
        )
    tasks += [
        Task(
            name="charts",
            template=chart_release.NAME,
            depends=_after(_WAVES[-1]),
            when=f"{plan['charts']} > 0",
            arguments=arguments({**commit, **inputs(*CHARTS), "needs": plan["needs"]}),
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
        inputs=[Parameter(name=name) for name in (*ASKED, *CHARTS, "mutex", *PLANNED)],
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
        inputs=[Parameter(name=name) for name in (*ASKED, *PLANNED)],
        tasks=[
            Task(
                name="again",
                template="plan",
                when=f"{{{{=now().Unix() - asInt(inputs.parameters.now) > {FRESH_SECONDS}}}}}",
                arguments=arguments(inputs(*ASKED)),
            )
        ],
        outputs=repeated("again", *PLANNED, otherwise=inputs(*PLANNED)),
    )


def _after(task: str) -> str:
    """Return the condition that a task has ended in any way, and that there is a plan."""
    return f"plan.Succeeded && {ended(task)}"
