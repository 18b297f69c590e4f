"""The first pod of a run that an event starts, and the pod that stops older runs of the same branch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hera.workflows import DAG, ContainerSet, Parameter, Task

from pipelines.workflows import reporting
from pipelines.workflows.dag import arguments, aside, inputs, outputs
from pipelines.workflows.pod import Size, StepContainer, pod
from pipelines.workflows.secrets import FORGE, GIT, REPORT_TOKEN, SUPERSEDE

SMALL = Size(cpu="100m", memory="128Mi", most_cpu="1", most_memory="512Mi")
PLANNER = Size(cpu="200m", memory="256Mi", most_cpu="2", most_memory="2Gi")
PLANNING_SECONDS = 1800
_ASIDE = Size(cpu="20m", memory="64Mi", most_cpu="1", most_memory="256Mi")
"""The size of a pod that nobody waits for: if processors are scarce, a build goes first."""
REQUEST = ("event", "repo", "revision", "ref")
RESULTS = ("kind", "lane", "reason", "repo", "revision", "ref", "head", "number", "mutex", "group", "max-age")
"""The outputs that the first pod has in every workflow."""
NAME = "start"
"""The template and the task of the first pod in each workflow that events start. The report reads its outputs."""
LOCATE = StepContainer(
    step="locate", name="main", size=SMALL, inputs=REQUEST, fixed={"credentials": "../git"}, secrets=(GIT,)
)
BEGIN = "begin"
"""The template that lets the newest run of a branch win, and tells the forge that it has begun. If it fails, the run
goes on."""
BEGINS = ("run", "group", "lane", "head")
STOP = StepContainer(
    step="supersede",
    name="supersede",
    size=_ASIDE,
    inputs=BEGINS,
    fixed={"account": "../account"},
    secrets=(SUPERSEDE,),
)
TELL = replace(
    reporting.container("pending", account="../report-account"), after=("supersede",), secrets=(REPORT_TOKEN, FORGE)
)
"""After `supersede`: what yields to a newer run says nothing."""


def locate() -> ContainerSet:
    """Return the first pod of a run that never publishes: its only login is the read-only one to Git."""
    return pod(NAME, (LOCATE,), results=RESULTS, deadline_seconds=900, workspace="1Gi")


def templates() -> list[ContainerSet | DAG]:
    """Return the template BEGIN, and the pod that it starts."""
    told = Task(name="told", template=f"{BEGIN}-pod", arguments=arguments(inputs(*BEGINS)))
    return [
        aside(BEGIN, told, inputs=[Parameter(name=name) for name in BEGINS]),
        pod(
            f"{BEGIN}-pod",
            (STOP, TELL),
            results=reporting.RESULTS,
            deadline_seconds=900,
            workspace="64Mi",
            account=SUPERSEDE.name,
        ),
    ]


def in_lane(lane: str) -> str:
    """Return the condition that the first pod put the run into a lane."""
    return f"{outputs(NAME, 'lane')['lane']} == {lane}"


def tasks(values: Mapping[str, str]) -> list[Task]:
    """Return the tasks NAME and BEGIN; the second is for runs that an event started, and nothing waits for it.

    A manual run neither stops others nor is stopped. A nightly run waits for the mutex, and a newer push stops it.
    """
    known = outputs(NAME, "group", "lane", "head")
    lane, kind = known["lane"], outputs(NAME, "kind")["kind"]
    nothing_begins = (f"{lane} != {other}" for other in ("ignored", "waiting", "own"))
    return [
        Task(name=NAME, template=NAME, arguments=arguments(values)),
        Task(
            name=BEGIN,
            template=BEGIN,
            depends=f"{NAME}.Succeeded",
            when=" && ".join((*nothing_begins, f"{kind} != manual", f"{kind} != nightly")),
            arguments=arguments({"run": "{{workflow.name}}", **known}),
        ),
    ]
