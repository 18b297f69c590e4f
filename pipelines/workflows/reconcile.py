"""`reconcile`: once a night, a run for every branch and tag that somebody may have missed."""

from __future__ import annotations

from hera.workflows import WorkflowTemplate

from pipelines.workflows import pod as workflow_pod
from pipelines.workflows.arrival import SMALL
from pipelines.workflows.pod import StepContainer, pod
from pipelines.workflows.secrets import GIT, RECONCILE
from pipelines.workflows.workflow_template import workflow_template

NAME = "reconcile"
LOOK = StepContainer(
    step="look", name="look", size=SMALL, inputs=("event", "pause"), fixed={"credentials": "../git"}, secrets=(GIT,)
)
START = StepContainer(
    step="reconcile",
    name="main",
    size=SMALL,
    fixed={"tonight": "out/look", "account": "../account"},
    secrets=(RECONCILE,),
    after=("look",),
)


def reconcile() -> WorkflowTemplate:
    """Return the WorkflowTemplate: the calendar's event in, the names of the runs out.

    The container that asks the repository has no right in the cluster; the one that starts runs has no login to Git.
    """
    return workflow_template(
        [
            pod(
                NAME,
                (LOOK, START),
                results=("started", "there"),
                deadline_seconds=1800,
                workspace="1Gi",
                account=RECONCILE.name,
            )
        ],
        title="Starts a run for each branch and tag that is looked at every night",
        arguments=workflow_pod.arguments((LOOK,)),
        deadline_seconds=3600,
    )
