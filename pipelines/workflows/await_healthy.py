"""`await-healthy`: waits until the applications of a commit are healthy, and reports that to the commit."""

from __future__ import annotations

from hera.workflows import WorkflowTemplate

from pipelines.workflows import pod as workflow_pod
from pipelines.workflows.pod import StepContainer, pod
from pipelines.workflows.secrets import AWAIT_HEALTHY, FORGE, GIT, PULL
from pipelines.workflows.start import SMALL
from pipelines.workflows.workflow_template import workflow_template

NAME = "await-healthy"
DEADLINE_SECONDS = 3600
AWAIT = StepContainer(
    step=NAME,
    name="main",
    size=SMALL,
    inputs=("repo", "commit"),
    fixed={
        "account": "../account",
        "credentials": "../git",
        "docker-config": "../pull",
        "forge": "../forge",
    },
    secrets=(AWAIT_HEALTHY, GIT, PULL, FORGE),
)


def await_healthy() -> WorkflowTemplate:
    """Return the WorkflowTemplate: it takes a source commit and puts out the state of its applications."""
    return workflow_template(
        [
            pod(
                NAME,
                (AWAIT,),
                results=("applications", "healthy", "summary", "seconds"),
                deadline_seconds=DEADLINE_SECONDS,
                workspace="1Gi",
                account=AWAIT_HEALTHY.name,
            )
        ],
        title="Waits until Argo CD runs what a commit became, and tells the commit",
        arguments=workflow_pod.arguments((AWAIT,)),
        deadline_seconds=DEADLINE_SECONDS,
    )
