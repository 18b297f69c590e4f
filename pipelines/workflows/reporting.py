"""Reports a run to the forge: its start and, by the exit handler, its end, however it ends."""

from __future__ import annotations

from hera.workflows import DAG, ContainerSet, RetryStrategy, Task
from hera.workflows import models as m

from pipelines.workflows.dag import NOTHING, arguments, either_way
from pipelines.workflows.pod import Size, StepContainer, pod
from pipelines.workflows.secrets import FORGE, REPORT

BEGIN = "report-begin"
END = "report-end"
"""The templates; the second is the exit handler."""
_SMALL = Size(cpu="20m", memory="64Mi", most_cpu="1", most_memory="256Mi")
_PHASES = {BEGIN: "pending", END: "final"}


def templates() -> list[ContainerSet | DAG]:
    """Return the templates BEGIN and END, and the pods that they start."""
    run = arguments({"run": "{{workflow.name}}"})
    tasks = {name: Task(name="tell", template=f"{name}-pod", arguments=run) for name in _PHASES}
    return [*(template for name in _PHASES for template in (either_way(name, tasks[name]), _pod(name))), _nothing()]


def begun() -> Task:
    """Return the task that reports the start of a run; nothing waits for it, and nightly and manual runs have none.

    After `supersede`, and for the runs that have one: what yields to a newer run says nothing, and what builds has the
    node to itself meanwhile.
    """
    return Task(name="report", template=BEGIN, depends="supersede.Succeeded")


def _nothing() -> DAG:
    """Return a DAG that succeeds without a pod; a skipped task alone would take over the failure before it."""
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
        # A forge may be unreachable for a while, and nothing reports later: half an hour of attempts.
        assert isinstance(found.retry_strategy, RetryStrategy)
        found.retry_strategy.limit = "8"
        found.retry_strategy.backoff = m.Backoff(duration="10s", factor=m.IntOrString(root="2"), max_duration="1h")
    return found
