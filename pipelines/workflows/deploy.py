"""`deploy`: writes the published images of a branch's head to its charts and to environments, in one pod."""

from __future__ import annotations

from hera.workflows import ContainerSet, WorkflowTemplate

from pipelines.workflows.pod import Size, StepContainer, arguments, pod
from pipelines.workflows.secrets import FORGE, GIT, GIT_WRITE, PULL
from pipelines.workflows.workflow_template import workflow_template

NAME = "deploy"
DEADLINE_SECONDS = 1800

MAIN = StepContainer(
    step="deploy",
    name="main",
    size=Size(cpu="200m", memory="256Mi", most_cpu="2", most_memory="2Gi"),
    inputs=("repo", "ref", "environment", "rebuild", "max-age", "now"),
    fixed={
        "credentials": "../git",
        "write-credentials": "../git-write",
        "forge": "../forge",
        "docker-config": "../pull",
    },
    secrets=(GIT, GIT_WRITE, PULL, FORGE),
)
RESULTS = ("commit", "written", "summary", "targets")


def template() -> ContainerSet:
    """Return the pod."""
    return pod(NAME, (MAIN,), results=RESULTS, deadline_seconds=DEADLINE_SECONDS, workspace="10Gi")


def deploy() -> WorkflowTemplate:
    """Return the WorkflowTemplate; its one template of the same name can be referenced from others."""
    return workflow_template(
        [template()],
        title="Writes digests and tags of published images to charts and environments",
        arguments=arguments((MAIN,)),
        deadline_seconds=DEADLINE_SECONDS + 600,
    )
