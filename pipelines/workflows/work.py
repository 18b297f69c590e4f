"""The templates of `work`: what one repository does at a time for `release`, waves of builds, charts, tags; and pods of
its end.
"""

from __future__ import annotations

from dataclasses import replace

from hera.workflows import DAG, ContainerSet, Parameter, Task
from hera.workflows import models as m

from pipelines.images.node import MOST_WAVES
from pipelines.workflows import chart_release, clone_build_push, deploy
from pipelines.workflows.dag import Unhurried, apart, arguments, constant, deferred, ended, inputs, outputs
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
_WAITED, _BUILD, _LATER, _REST = "waited", "waves", "later", "charts-and-tags"
_COMMIT = ("repo", "revision", "ref")
PLANNED = ("now", "waves", *_WAVES, "untagged", "charts", "needs", "builder-version")
"""The outputs of a plan that say what is to be done before the verdict."""
FRESH_SECONDS = 15
"""How old a plan may be when the run gets the mutex."""


def templates() -> list[ContainerSet | DAG]:
    """Return the template NAME and what it starts, then the pods of a release's end."""
    return [
        *(_work(), apart(_WAITED, "again", NAME, "again", (*ASKED, *CHARTS)), _again()),
        *(_build(), apart(_LATER, "waves", NAME, "later-waves", (*_COMMIT, "built", *_WAVES[1:])), _later_waves()),
        *(_charts_and_tags(), clone_build_push.of_a_plan(), chart_release.template()),
        *_pods(),
    ]


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
    """Return the DAG: it carries out the plan that it was given or, if the run has waited for the mutex, a new one.

    Another run may have published in the meantime what the older plan would build again.
    """
    return Unhurried(
        name=NAME,
        inputs=[Parameter(name=name) for name in (*ASKED, *CHARTS, "mutex", *PLANNED)],
        synchronization=m.Synchronization(mutexes=[m.Mutex(name="{{inputs.parameters.mutex}}")]),
        fail_fast=False,
        tasks=[
            Task(
                name=_WAITED,
                template=_WAITED,
                when=f"{{{{=now().Unix() - asInt(inputs.parameters.now) > {FRESH_SECONDS}}}}}",
                arguments=arguments(inputs(*ASKED, *CHARTS)),
            ),
            Task(
                name=_BUILD,
                template=_BUILD,
                depends=f"{_WAITED}.Skipped",
                arguments=arguments(inputs(*ASKED, *CHARTS, *PLANNED)),
            ),
        ],
    )


def _again() -> DAG:
    """Return the same with a new plan."""
    plan = Task(name="plan", template="plan", arguments=arguments(inputs(*ASKED)))
    values = {**inputs(*ASKED, *CHARTS), **outputs("plan", *PLANNED)}
    waves = Task(name=_BUILD, template=_BUILD, depends="plan.Succeeded", arguments=arguments(values))
    return DAG(name="again", inputs=[Parameter(name=name) for name in (*ASKED, *CHARTS)], tasks=[plan, waves])


def _build() -> DAG:
    """Return the DAG of a plan: its first wave, those that few plans have, and what comes after all images."""
    again, rest = (*ASKED, "now", "builder-version"), ("charts", "needs", "untagged", *CHARTS)
    plan = inputs(*PLANNED)
    built = {"built": outputs(_WAVES[0], "name")["name"]}
    return Unhurried(
        name=_BUILD,
        inputs=[Parameter(name=name) for name in (*ASKED, *CHARTS, *PLANNED)],
        fail_fast=False,
        tasks=[
            _wave(_WAVES[0]),
            Task(
                name=_LATER,
                template=_LATER,
                # Where nothing was built, there is no output to name.
                depends=f"{_WAVES[0]}.AnySucceeded",
                when=f"{plan['waves']} > 1",
                arguments=arguments({**inputs(*_COMMIT, *_WAVES[1:]), **built}),
            ),
            Task(
                name=_REST,
                template=_REST,
                depends=ended(_LATER),
                when=f"{plan['charts']} > 0 || {plan['untagged']} > 0",
                arguments=arguments(inputs(*again, *rest)),
            ),
        ],
    )


def _later_waves() -> DAG:
    """Return the DAG of the other waves. Of each starts what depends on nothing that failed."""
    tasks: list[Task | m.DAGTask] = []
    known = inputs("built")["built"]
    for number, wave in enumerate(_WAVES[1:]):
        before = _WAVES[number]
        task = _wave(wave, when=f"{known} =~ {{{{item.requires}}}}")
        task.depends = f"{before}.AnySucceeded" if number else None
        tasks.append(task)
        known += f" + {outputs(wave, 'name')['name']}"
    names = (*_COMMIT, "built", *_WAVES[1:])
    return Unhurried(name="later-waves", inputs=[Parameter(name=n) for n in names], fail_fast=False, tasks=tasks)


def _wave(name: str, when: str | None = None) -> Task:
    item = {"name": "{{item.name}}", "title": "{{item.title}}", "version-tag": "{{item.version}}", "job": "{{item}}"}
    return Task(
        name=name,
        template=clone_build_push.NAME,
        when=when,
        with_param=inputs(name)[name],
        arguments=arguments({**inputs(*_COMMIT), **item}),
    )


def _charts_and_tags() -> DAG:
    """Return what few runs come to, apart, so that a run stores these pods only if it does."""
    again, counts = (*ASKED, "now", "builder-version"), inputs("charts", "untagged")
    charts = Task(
        name="charts",
        template_ref=deferred(NAME, chart_release.NAME),
        when=f"{counts['charts']} > 0",
        arguments=arguments(inputs(*_COMMIT, "needs", *CHARTS)),
    )
    retag = Task(
        name="retag",
        template_ref=deferred(NAME, "retag"),
        depends=ended("charts"),
        when=f"{counts['untagged']} > 0",
        arguments=arguments(inputs(*again)),
    )
    return Unhurried(
        name=_REST,
        inputs=[
            constant(chart_release.NAME),
            constant("retag"),
            *(Parameter(name=name) for name in (*again, "charts", "needs", "untagged", *CHARTS)),
        ],
        fail_fast=False,
        tasks=[charts, retag],
    )
