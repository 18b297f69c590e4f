"""`reconcile`: once a night, a run for every branch and tag that somebody may have missed."""

from __future__ import annotations

from hera.workflows import WorkflowTemplate

from pipelines.workflows import pod as workflow_pod
from pipelines.workflows.pod import StepContainer, pod
from pipelines.workflows.secrets import GIT, PULL, READ_LOGINS, RECONCILE
from pipelines.workflows.start import SMALL
from pipelines.workflows.workflow_template import workflow_template

NAME = "reconcile"
LIST_REFS = StepContainer(
    step="list-refs",
    name="list-refs",
    size=SMALL,
    inputs=("event", "pause"),
    fixed=READ_LOGINS,
    secrets=(GIT, PULL),
)
START_RUNS = StepContainer(
    step="reconcile",
    name="main",
    size=SMALL,
    fixed={"tonight": "../list-refs/out", "account": "../account"},
    secrets=(RECONCILE,),
    after=("list-refs",),
)


def reconcile() -> WorkflowTemplate:
    """Return the WorkflowTemplate: it takes the calendar's event and puts out the names of the runs.

    The container that reads the repository has no right in the cluster; the one that starts runs has no login to Git.
    """
    containers, results = (LIST_REFS, START_RUNS), ("started", "existing")
    nightly = pod(NAME, containers, results=results, deadline_seconds=1800, workspace="1Gi", account=RECONCILE.name)
    return workflow_template(
        [nightly],
        title="Starts a run for each branch and tag that is looked at every night",
        arguments=workflow_pod.arguments((LIST_REFS,)),
        deadline_seconds=3600,
    )
