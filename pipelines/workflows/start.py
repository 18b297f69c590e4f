"""The first pod of a run that an event starts, `start`, and the one that stops older runs of the same branch."""

from __future__ import annotations

from collections.abc import Mapping

from hera.workflows import DAG, ContainerSet, Parameter, Task

from pipelines.workflows.dag import arguments, either_way, inputs
from pipelines.workflows.pod import Size, StepContainer, pod
from pipelines.workflows.secrets import GIT, SUPERSEDE

SMALL = Size(cpu="100m", memory="128Mi", most_cpu="1", most_memory="512Mi")
PLANNER = Size(cpu="200m", memory="256Mi", most_cpu="2", most_memory="2Gi")
PLANNING_SECONDS = 1800
_ASIDE = Size(cpu="20m", memory="64Mi", most_cpu="1", most_memory="256Mi")
"""Of what nobody waits for: where processors are short, the build beside it comes first."""
REQUEST = ("event", "repo", "revision", "ref")
STOP = StepContainer(
    step="supersede",
    name="main",
    size=_ASIDE,
    inputs=("run", "group"),
    fixed={"account": "../account"},
    secrets=(SUPERSEDE,),
)
RESULTS = ("kind", "lane", "reason", "repo", "revision", "ref", "head", "number", "mutex", "group", "max-age")
"""Of the first pod, whatever else it finds out."""
NAME = "start"
"""Template and task of the first pod, in each workflow that events start. The report reads its outputs."""
LOCATE = StepContainer(
    step="locate", name="main", size=SMALL, inputs=REQUEST, fixed={"credentials": "../git"}, secrets=(GIT,)
)
NEWEST = "newest"
"""The template that lets the newest run of a branch win. That saves work and decides nothing: where it fails, the run goes on."""


def locate() -> ContainerSet:
    """Return the first pod of a run that never publishes: it has no login but the read-only one to Git."""
    return pod(NAME, (LOCATE,), results=RESULTS, deadline_seconds=900, workspace="1Gi")


def templates() -> list[ContainerSet | DAG]:
    """Return the template NEWEST, and the pod that it starts."""
    given = inputs("run", "group")
    stop = Task(name="supersede", template="supersede", arguments=arguments(given))
    return [
        either_way(NEWEST, stop, inputs=[Parameter(name=name) for name in given]),
        pod(
            "supersede",
            (STOP,),
            results=("newest", "stopped"),
            deadline_seconds=300,
            workspace="64Mi",
            account=SUPERSEDE.name,
        ),
    ]


def tasks(given: Mapping[str, str]) -> list[Task]:
    """Return the tasks NAME and `supersede`; the second is for runs that events started, and nobody waits for it.

    A person's run neither stops others nor is stopped. The night's waits for its turn, and a newer push stops it.
    """
    told = f"{{{{tasks.{NAME}.outputs.parameters.%s}}}}"
    lane, kind = told % "lane", told % "kind"
    return [
        Task(name=NAME, template=NAME, arguments=arguments(given)),
        Task(
            name="supersede",
            template=NEWEST,
            depends=f"{NAME}.Succeeded",
            when=f"{lane} != ignored && {lane} != waiting && {kind} != manual && {kind} != nightly",
            arguments=arguments({"run": "{{workflow.name}}", "group": told % "group"}),
        ),
    ]
