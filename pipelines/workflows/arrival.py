"""How a run begins: what the event is, whether the repository bears it out, and which run of its branch goes on."""

from __future__ import annotations

from collections.abc import Mapping

from hera.workflows import DAG, ContainerSet, Parameter, Task

from pipelines.templates.dag import arguments, either_way, inputs
from pipelines.templates.pod import Size, StepContainer, pod
from pipelines.templates.secrets import GIT, SUPERSEDE

SMALL = Size(cpu="100m", memory="128Mi", most_cpu="1", most_memory="512Mi")
DECODE = StepContainer(step="decode", name="decode", size=SMALL, inputs=("event", "repo", "revision", "ref"))
LOCATE = StepContainer(
    step="locate",
    name="main",
    size=SMALL,
    fixed={"decoded": "out/decode", "credentials": "../git"},
    secrets=(GIT,),
    after=("decode",),
)
STOP = StepContainer(
    step="supersede",
    name="main",
    size=SMALL,
    inputs=("run", "group"),
    fixed={"account": "../account"},
    secrets=(SUPERSEDE,),
)
RESULTS = ("kind", "lane", "reason", "repo", "revision", "ref", "head", "number", "mutex", "group", "max-age")


NEWEST = "newest"
"""The template that lets the newest run of a branch win. That saves work and decides nothing: where it fails, the run goes on."""


def templates() -> list[ContainerSet | DAG]:
    """Return the templates `decode`, whose outputs are RESULTS, and NEWEST, with the pod that it starts."""
    given = inputs("run", "group")
    stop = Task(name="supersede", template="supersede", arguments=arguments(given))
    return [
        pod("decode", (DECODE, LOCATE), results=RESULTS, deadline_seconds=900, workspace="1Gi"),
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
    """Return the tasks `decode` and `supersede`; the second is for runs that events started, and nobody waits for it.

    A person's run neither stops others nor is stopped. The night's waits for its turn, and a newer push stops it.
    """
    told = "{{tasks.decode.outputs.parameters.%s}}"
    lane, kind = told % "lane", told % "kind"
    return [
        Task(name="decode", template="decode", arguments=arguments(given)),
        Task(
            name="supersede",
            template=NEWEST,
            depends="decode.Succeeded",
            when=f"{lane} != ignored && {lane} != waiting && {kind} != manual && {kind} != nightly",
            arguments=arguments({"run": "{{workflow.name}}", "group": told % "group"}),
        ),
    ]
