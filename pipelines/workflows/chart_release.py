"""`chart-release`: the charts of a repository, from a commit to digests, in one pod."""

from __future__ import annotations

from hera.workflows import ContainerSet, WorkflowTemplate

from pipelines.workflows.pod import Size, StepContainer, arguments, pod
from pipelines.workflows.secrets import GIT, PULL, PUSH, READ_LOGINS
from pipelines.workflows.workflow_template import workflow_template

NAME = "chart-release"
DEADLINE_SECONDS = 3600

CLONE = StepContainer(
    step="chart-clone",
    name="clone",
    size=Size(cpu="100m", memory="128Mi", most_cpu="2", most_memory="1Gi"),
    inputs=("repo", "revision", "ref", "version", "app-version", "ignore", "libraries", "needs"),
    fixed=READ_LOGINS,
    secrets=(GIT, PULL),
)
CHECK = StepContainer(
    step="chart-check",
    name="check",
    size=Size(cpu="200m", memory="256Mi", most_cpu="4", most_memory="2Gi"),
    fixed={"checkout": "../clone/out", "source": "../clone/source", "cloned-in": "../clone"},
    after=("clone",),
)
MAIN = StepContainer(
    step="chart-publish",
    name="main",
    size=CLONE.size,
    inputs=("repo", "keep-going"),
    fixed={
        "checkout": "../clone/out",
        "report": "../check/out",
        "archives": "../clone/archives",
        "docker-config": "../push",
    },
    secrets=(PUSH,),
    after=("check",),
)
CONTAINERS = (CLONE, CHECK, MAIN)
RESULTS = ("commit", "charts", "pushed", "bytes")


def template() -> ContainerSet:
    """Return the pod."""
    return pod(NAME, CONTAINERS, results=RESULTS, deadline_seconds=DEADLINE_SECONDS, workspace="10Gi")


def chart_release() -> WorkflowTemplate:
    """Return the WorkflowTemplate; its one template of the same name can be referenced from others."""
    return workflow_template(
        [template()],
        title="Checks the charts of a Git repository and publishes those that the registry does not have",
        arguments=arguments(CONTAINERS),
        deadline_seconds=DEADLINE_SECONDS + 600,
    )
