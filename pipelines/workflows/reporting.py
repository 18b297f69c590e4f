"""How a run tells the forge of itself: when it begins and, by its exit handler, when it has ended, in whatever way."""

from __future__ import annotations

from hera.workflows import DAG, ContainerSet, RetryStrategy, Task
from hera.workflows import models as m

from pipelines.workflows.dag import NOTHING, arguments, either_way
from pipelines.workflows.pod import Size, StepContainer, pod
from pipelines.workflows.secrets import FORGE, REPORT

BEGIN = "report-begin"
END = "report-end"
"""Templates of the whole; the second is the exit handler."""
_SMALL = Size(cpu="20m", memory="64Mi", most_cpu="1", most_memory="256Mi")
_PHASES = {BEGIN: "pending", END: "final"}


def templates() -> list[ContainerSet | DAG]:
    """Return the templates BEGIN and END, and the pods that they start."""
    given = arguments({"run": "{{workflow.name}}"})
    told = {name: Task(name="tell", template=f"{name}-pod", arguments=given) for name in _PHASES}
    return [*(template for name in _PHASES for template in (either_way(name, told[name]), _pod(name))), _nothing()]


def begun() -> Task:
    """Return the task that tells that a run has begun, beside whatever it does; nobody waits for a night's or a person's.

    After `supersede`, and for the runs that have one: what yields to a newer run says nothing, and what builds has the
    node to itself meanwhile.
    """
    return Task(name="report", template=BEGIN, depends="supersede.Succeeded")


def _nothing() -> DAG:
    """Return the DAG that succeeds without a pod. A task that is skipped itself would take over the failure before it."""
    run = arguments({"run": "{{workflow.name}}"})
    return DAG(name=NOTHING, tasks=[Task(name="never", template=f"{END}-pod", when="false", arguments=run)])


def _pod(name: str) -> ContainerSet:
    step = StepContainer(
        step="report",
        name="main",
        size=_SMALL,
        inputs=("run",),
        fixed={"phase": _PHASES[name], "account": "../account", "logins": "../forge"},
        secrets=(REPORT, FORGE),
    )
    found = pod(
        f"{name}-pod",
        (step,),
        results=("state", "reason", "comment"),
        deadline_seconds=900,
        workspace="64Mi",
        account=REPORT.name,
    )
    if name == END:
        # A forge may be away for a while, and nobody tells it later: half an hour of tries.
        assert isinstance(found.retry_strategy, RetryStrategy)
        found.retry_strategy.limit = "8"
        found.retry_strategy.backoff = m.Backoff(duration="10s", factor=m.IntOrString(root="2"), max_duration="1h")
    return found
