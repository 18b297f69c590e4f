"""`deploy`: writes the published images of a branch's head to its charts and to environments, in one pod.

In a release that pod also publishes the charts that it moved, from the very commit that it made, and waits until Argo
CD runs all of it: `charts`, `check`, `publish`, `environments` and `main`. None of them holds both the login that
pushes to the registry and the one that pushes to Git, and `check`, which runs templates, holds none.
"""

from __future__ import annotations

from dataclasses import replace

from hera.workflows import ContainerSet, WorkflowTemplate

from pipelines.workflows import await_healthy, chart_release
from pipelines.workflows.pod import Size, StepContainer, arguments, pod
from pipelines.workflows.secrets import AWAIT_HEALTHY, FORGE, GIT, GIT_WRITE, PULL
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
_LIGHT = Size(cpu="50m", memory="64Mi", most_cpu="2", most_memory="2Gi")
"""Containers of a pod ask for their share at the same time, although they run one after the other."""
_DEPLOYED = ("repo", "ref", "rebuild", "max-age", "now")
_MAKER = {**MAIN.fixed, "run": "{{workflow.name}}"}
CHARTS = replace(MAIN, step="deploy-charts", name="charts", size=_LIGHT, inputs=_DEPLOYED, fixed=_MAKER)
CHECK = replace(
    chart_release.CHECK,
    fixed={"checkout": "../charts/out", "source": "../charts/source", "cloned-in": "../charts"},
    after=("charts",),
)
PUBLISH = replace(
    chart_release.MAIN,
    step="deploy-publish",
    name="publish",
    size=_LIGHT,
    inputs=("repo",),
    fixed={**chart_release.MAIN.fixed, "checkout": "../charts/out", "archives": "../charts/archives"},
)
ENVIRONMENTS = replace(
    CHARTS, step="deploy", name="environments", fixed={**_MAKER, "environment": "environments"}, after=("publish",)
)
AWAIT = replace(
    await_healthy.AWAIT,
    step="deploy-await",
    size=_LIGHT,
    inputs=("repo", "commit", "head"),
    fixed={
        "charts": "../charts/out",
        "published": "../publish/out",
        "deployed": "../environments/out",
        **await_healthy.AWAIT.fixed,
    },
    after=("environments",),
)


def in_a_release() -> ContainerSet:
    """Return the pod of a release."""
    return pod(
        NAME,
        (CHARTS, CHECK, PUBLISH, ENVIRONMENTS, AWAIT),
        results=(*RESULTS, "made", "made-of", "applications", "healthy", "seconds"),
        deadline_seconds=DEADLINE_SECONDS + await_healthy.DEADLINE_SECONDS,
        workspace="10Gi",
        account=AWAIT_HEALTHY.name,
    )


def deploy() -> WorkflowTemplate:
    """Return the WorkflowTemplate; its one template of the same name can be referenced from others."""
    return workflow_template(
        [pod(NAME, (MAIN,), results=RESULTS, deadline_seconds=DEADLINE_SECONDS, workspace="10Gi")],
        title="Writes digests and tags of published images to charts and environments",
        arguments=arguments((MAIN,)),
        deadline_seconds=DEADLINE_SECONDS + 600,
    )
