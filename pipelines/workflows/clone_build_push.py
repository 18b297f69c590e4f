"""`clone-build-push`: one image, from a commit to a digest, in one pod."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hera.workflows import ContainerSet, WorkflowTemplate

from pipelines.workflows.pod import Size, StepContainer, arguments, pod
from pipelines.workflows.secrets import BUILD_SECRETS, GIT, PULL, PUSH, READ_LOGINS
from pipelines.workflows.workflow_template import workflow_template

NAME = "clone-build-push"
DEADLINE_SECONDS = 2 * 3600

CLONE = StepContainer(
    step="clone",
    name="clone",
    size=Size(cpu="100m", memory="128Mi", most_cpu="2", most_memory="1Gi"),
    inputs=(
        *("repo", "revision", "ref", "path", "dockerfile", "target", "build-args", "platform", "pins"),
        *("submodules", "lfs", "context", "name", "shared"),
    ),
    fixed=READ_LOGINS,
    secrets=(GIT, PULL),
)
BUILD = StepContainer(
    step="build",
    name="build",
    size=Size(cpu="500m", memory="512Mi", most_cpu="4", most_memory="8Gi"),
    inputs=("context", "exclude", "labels", "secret-ids", "name", "version"),
    fixed={
        "checkout": "../clone/out",
        "source": "../clone/source",
        "bases": "../clone/bases",
        "secrets": "../secrets",
    },
    secrets=(BUILD_SECRETS,),
    folders={"cache": "50Gi"},
    after=("clone",),
    user_namespaces=True,
)
MAIN = StepContainer(
    step="push",
    name="main",
    size=CLONE.size,
    inputs=("repo", "name", "version", "key", "renews", "moment", "version-tag"),
    # Of `build`, the image alone: whatever else decides is an input or comes from `clone`.
    fixed={
        "checkout": "../clone/out",
        "bases": "../clone/bases",
        "image": "../build/image",
        "docker-config": "../push",
        "credentials": "../git",
    },
    secrets=(GIT, PUSH),
    after=("build",),
)
CONTAINERS = (CLONE, BUILD, MAIN)
RESULTS = ("digest", "reference", "commit", "tags", "size", "name")


def template(containers: Sequence[StepContainer] = CONTAINERS) -> ContainerSet:
    """Return the pod. Argo shows it by its input `title`, if it has one."""
    return pod(NAME, containers, results=RESULTS, deadline_seconds=DEADLINE_SECONDS, workspace="50Gi", shown_as="title")


def of_a_plan() -> ContainerSet:
    """Return the same for a plan's job, which is most of its arguments in one: a run stores each many times."""
    own = ("repo", "revision", "ref", "name", "version-tag")
    return template([replace(c, inputs=[n for n in c.inputs if n in own], more="job") for c in CONTAINERS])


def clone_build_push() -> WorkflowTemplate:
    """Return the WorkflowTemplate; its one template of the same name can be referenced from others."""
    return workflow_template(
        [template()],
        title="Builds one image of a Git repository and publishes it by digest",
        arguments=arguments(CONTAINERS),
        deadline_seconds=DEADLINE_SECONDS + 600,
    )
