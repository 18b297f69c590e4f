"""The templates of `work`: what one repository does at a time for `release`, waves of builds, charts, tags; and pods of
its end.
"""

from __future__ import annotations

from dataclasses import replace

from hera.workflows import DAG, ContainerSet, Parameter, Task
from hera.workflows import models as m

from pipelines.images.node import MOST_WAVES
from pipelines.workflows import chart_release, clone_build_push, deploy
from pipelines.workflows.dag import Unhurried, apart, arguments, constant, deferred, element, ended, inputs, outputs
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

_FIRST, *_OTHERS = (f"wave-{number}" for number in range(1, MOST_WAVES + 1))
_WAITED, _BUILD, _LATER, _REST, _ENDING = "waited", "waves", "later", "rest", "charts-and-tags"
_COMMIT = ("repo", "revision", "ref")
_OF_LATER = (*_COMMIT, "built", _LATER)
_REPLANNED = (*ASKED, "now", "builder-version")
_OF_THE_REST = (*_REPLANNED, "charts", "needs", "untagged", *CHARTS)
PLANNED = ("now", "waves", _FIRST, _LATER, "untagged", "charts", "needs", "builder-version")
"""The outputs of a plan that say what is to be done before the verdict."""
FRESH_SECONDS = 15
"""How old a plan may be when the run gets the mutex."""


def templates() -> list[ContainerSet | DAG]:
    """Return the template NAME and what it starts, then the pods of a release's end."""
    return [
        *(_work(), apart(_WAITED, "again", NAME, "again", (*ASKED, *CHARTS)), *_again()),
        *(apart(_LATER, "waves", NAME, "later-waves", _OF_LATER), _later_waves()),
        *(
            apart(_REST, _ENDING, NAME, _ENDING, _OF_THE_REST),
            _charts_and_tags(),
            clone_build_push.of_a_plan(),
            chart_release.template(),
        ),
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
    waited = Task(
        name=_WAITED,
        template=_WAITED,
        when=f"{{{{=now().Unix() - asInt(inputs.parameters.now) > {FRESH_SECONDS}}}}}",
        arguments=arguments(inputs(*ASKED, *CHARTS)),
    )
    return Unhurried(
        name=NAME,
        inputs=[Parameter(name=name) for name in (*ASKED, *CHARTS, "mutex", *PLANNED)],
        synchronization=m.Synchronization(mutexes=[m.Mutex(name="{{inputs.parameters.mutex}}")]),
        fail_fast=False,
        tasks=[waited, *_carry_out(f"{_WAITED}.Skipped")],
    )


def _again() -> list[DAG]:
    """Return the same with a new plan: what makes it, and what carries it out."""
    plan = Task(name="plan", template="plan", arguments=arguments(inputs(*ASKED)))
    values = {**inputs(*ASKED, *CHARTS), **outputs("plan", *PLANNED)}
    waves = Task(name=_BUILD, template=_BUILD, depends="plan.Succeeded", arguments=arguments(values))
    planned = [Parameter(name=name) for name in (*ASKED, *CHARTS, *PLANNED)]
    return [
        DAG(name="again", inputs=[Parameter(name=name) for name in (*ASKED, *CHARTS)], tasks=[plan, waves]),
        Unhurried(name=_BUILD, inputs=planned, fail_fast=False, tasks=_carry_out()),
    ]


def _carry_out(depends: str = "") -> list[Task | m.DAGTask]:
    """Return the tasks of a plan: its first wave, those that few plans have, and what comes after all images."""
    plan = inputs(*PLANNED)
    first = _wave(_FIRST, plan[_FIRST])
    first.depends = depends or None
    return [
        first,
        Task(
            name=_LATER,
            template=_LATER,
            # Where nothing was built, there is no output to name.
            depends=f"{_FIRST}.AnySucceeded",
            when=f"{plan['waves']} > 1",
            arguments=arguments({**inputs(*_COMMIT, _LATER), "built": outputs(_FIRST, "name")["name"]}),
        ),
        Task(
            name=_REST,
            template=_REST,
            depends=" && ".join(filter(None, (depends, ended(_LATER)))),
            when=f"{plan['charts']} > 0 || {plan['untagged']} > 0",
            arguments=arguments(inputs(*_OF_THE_REST)),
        ),
    ]


def _later_waves() -> DAG:
    """Return the DAG of the other waves. Of each starts what depends on nothing that failed."""
    tasks: list[Task | m.DAGTask] = []
    known = inputs("built")["built"]
    for number, wave in enumerate(_OTHERS):
        task = _wave(wave, element(_LATER, number), when=f"{known} =~ {{{{item.requires}}}}")
        task.depends = f"{_OTHERS[number - 1]}.AnySucceeded" if number else None
        tasks.append(task)
        known += f" + {outputs(wave, 'name')['name']}"
    return Unhurried(name="later-waves", inputs=[Parameter(name=n) for n in _OF_LATER], fail_fast=False, tasks=tasks)


def _wave(name: str, jobs: str, when: str | None = None) -> Task:
    item = {"name": "{{item.name}}", "title": "{{item.title}}", "version-tag": "{{item.version}}", "job": "{{item}}"}
    return Task(
        name=name,
        template=clone_build_push.NAME,
        when=when,
        with_param=jobs,
        arguments=arguments({**inputs(*_COMMIT), **item}),
    )


def _charts_and_tags() -> DAG:
    """Return what few runs come to, apart, so that a run stores these pods only if it does."""
    counts = inputs("charts", "untagged")
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
        arguments=arguments(inputs(*_REPLANNED)),
    )
    return Unhurried(
        name=_ENDING,
        inputs=[
            constant(chart_release.NAME),
            constant("retag"),
            *(Parameter(name=name) for name in _OF_THE_REST),
        ],
        fail_fast=False,
        tasks=[charts, retag],
    )
