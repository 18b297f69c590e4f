"""Reports a run to the forge: its start and, by the exit handler, its end, however it ends."""

from __future__ import annotations

from hera.workflows import DAG, ContainerSet, RetryStrategy, Task
from hera.workflows import models as m

from pipelines.workflows.dag import arguments, aside, reference
from pipelines.workflows.pod import Size, StepContainer, pod
from pipelines.workflows.secrets import FORGE, REPORT

END = "report-end"
"""The exit handler. A report fails no run."""
RESULTS = ("state", "reason", "comment")
_POD = f"{END}-pod"
_RUN = arguments({"run": "{{workflow.name}}"})
_SMALL = Size(cpu="20m", memory="64Mi", most_cpu="1", most_memory="256Mi")


def templates() -> list[ContainerSet | DAG]:
    """Return the template END, and the pod that it starts."""
    return [aside(END, Task(name="tell", template=_POD, arguments=_RUN)), in_a_pod()]


def elsewhere(document: str) -> DAG:
    """Return the template END alone; its pod stands in another document, since a run keeps what it starts twice."""
    return aside(END, Task(name="tell", template_ref=reference(document, _POD), arguments=_RUN))


def container(phase: str, account: str = "../account") -> StepContainer:
    """Return the container that reports one phase of a run, `pending` or `final`."""
    return StepContainer(
        step="report",
        name="main",
        size=_SMALL,
        inputs=("run",),
        fixed={"phase": phase, "account": account, "logins": "../forge"},
        secrets=(REPORT, FORGE),
    )


def in_a_pod() -> ContainerSet:
    """Return the pod of the exit handler."""
    found = pod(
        _POD,
        (container("final"),),
        results=RESULTS,
        deadline_seconds=900,
        workspace="64Mi",
        account=REPORT.name,
    )
    # A forge may be unreachable for a while, and nothing reports later: half an hour of attempts.
    assert isinstance(found.retry_strategy, RetryStrategy)
    found.retry_strategy.limit = "8"
    found.retry_strategy.backoff = m.Backoff(duration="10s", factor=m.IntOrString(root="2"), max_duration="1h")
    return found
