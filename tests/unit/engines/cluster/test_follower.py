"""Following a run: what is told, in which order, and what a lost connection costs."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.engines.cluster import api as cluster_api
from pipelines.engines.cluster.follower import RunFollower
from pipelines.engines.cluster.runs import Runs
from pipelines.engines.local.nodes import Phase, RunResult
from pipelines.engines.local.reporter import PlainReporter
from pipelines.errors import ShipwayError, Transient
from tests.kubernetes_api import HEEDED_RESET, RESET, Cluster, Log, Reply, cluster
from tests.workflow_status import image, node, status

RUN = "clone-build-push-1"
SPEC = {"workflowTemplateRef": {"name": "clone-build-push"}}
POD = "/api/v1/namespaces/ci/pods"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """An API server with one run that no controller has touched."""
    with cluster() as state:
        monkeypatch.setenv("KUBECONFIG", str(state.kubeconfig(tmp_path)))
        state.put(RUN, SPEC, {})
        yield state


def follow(folder: Path, *, patience_seconds: float = 60.0) -> tuple[RunResult, str]:
    """Follow the run and return its outcome with what was told."""
    told = io.StringIO()
    follower = RunFollower(
        Runs(cluster_api.connect(), again_seconds=(0.01,) * 5),
        RUN,
        PlainReporter(told),
        folder / "run",
        again_seconds=0.01,
        patience_seconds=patience_seconds,
    )
    return follower.follow([]), told.getvalue()


def play(fake: Cluster) -> None:
    """Let the run go through its containers one by one to its end."""
    fake.states = [
        image(RUN, "Running", "Running", "Running", "Running"),
        image(RUN, "Running", "Succeeded", "Running", "Running"),
        image(RUN, "Running", "Succeeded", "Succeeded", "Running"),
        image(RUN, "Succeeded", "Succeeded", "Succeeded", "Succeeded", digest="sha256:1"),
    ]


def pod(fake: Cluster, name: str = "pod-1", node_name: str = f"{RUN}(0)") -> None:
    """Give the run a pod."""
    fake.pods.append({"metadata": {"name": name, "annotations": {"workflows.argoproj.io/node-id": f"id-{node_name}"}}})


def steps(told: str) -> list[str]:
    """Return what was told of containers, without the time of day."""
    return re.findall(r"^[\d:]{8} ((?:clone|build|push): .*)$", told, re.MULTILINE)


def test_containers_begin_when_those_before_them_have_ended(fake: Cluster, tmp_path: Path) -> None:
    """Argo says that all containers of a pod run at once; people see which one works."""
    play(fake)
    outcome, told = follow(tmp_path)
    assert steps(told) == [
        "clone: Running",
        "clone: Succeeded after 2.0 s",
        "build: Running",
        "build: Succeeded after 2.0 s",
        "push: Running",
        "push: Succeeded after 2.0 s",
    ]
    assert (outcome.phase, outcome.outputs, outcome.template) == (
        Phase.SUCCEEDED,
        {"digest": "sha256:1"},
        "clone-build-push",
    )


def test_a_lost_connection_resumes(fake: Cluster, tmp_path: Path) -> None:
    """Watches that break and a server that restarts change nothing of what is told but a note."""
    play(fake)
    _, whole = follow(tmp_path / "whole")
    fake.put(RUN, SPEC, {})
    play(fake)
    fake.broken_watches = [0, 1, 2]
    fake.lie("GET", f"workflows/{RUN}$", RESET, 2)
    fake.lie("GET", f"workflows/{RUN}$", Reply(503, "the apiserver is shutting down"), 2)
    outcome, told = follow(tmp_path / "broken")
    assert outcome.phase is Phase.SUCCEEDED
    assert told.count("the cluster answers again") == 1
    assert steps(told) == steps(whole)


def test_a_cluster_that_stays_away_is_given_up_and_the_run_is_not(fake: Cluster, tmp_path: Path) -> None:
    """The error says how to follow the run again."""
    fake.lie("GET", f"workflows/{RUN}$", RESET)
    with pytest.raises(Transient) as caught:
        follow(tmp_path, patience_seconds=0.0)
    assert f"shipway logs {RUN}" in caught.value.todo


def test_logs_come_whole_and_once(fake: Cluster, tmp_path: Path) -> None:
    """A log whose stream breaks goes on after its last whole line; the executor's own lines are left out."""
    play(fake)
    pod(fake)
    executor = 'time=2026-11-23T10:00:02.000Z level=INFO msg="sub-process exited" argo=true error=<nil>'
    texts = ["one", "two", executor, "three {{", "four", "Error: exit status 1"]
    lines = [(f"2026-11-23T10:00:02.00000000{n}Z", text) for n, text in enumerate(texts)]
    fake.logs[("pod-1", "clone")] = Log(lines, cuts=[40, 60, 100])
    fake.logs[("pod-1", "build")] = Log([])
    outcome, told = follow(tmp_path)
    clone = next(n for n in outcome.nodes if n.display_name == "clone")
    assert clone.log is not None
    assert clone.log.read_text().splitlines() == ["one", "two", "three {{", "four"]
    assert [line for line in told.splitlines() if line.startswith("clone | ")] == [
        "clone | one",
        "clone | two",
        "clone | three {{",
        "clone | four",
    ]
    assert told.index("clone | four") < told.index(" clone: Succeeded")
    assert told.count("its pod is gone") == 1


def test_no_right_to_read_logs_is_told_once_and_ends_nothing(fake: Cluster, tmp_path: Path) -> None:
    """Steps are followed all the same."""
    play(fake)
    fake.lie("GET", f"{POD}$", Reply(403, "pods is forbidden"))
    outcome, told = follow(tmp_path)
    assert outcome.phase is Phase.SUCCEEDED
    assert told.count("pods is forbidden") == 1


def test_a_pod_that_cannot_start_says_why(fake: Cluster, tmp_path: Path) -> None:
    """A pending pod's reason is told, not only that nothing happens."""
    why = "Unschedulable: 0/1 nodes are available: 1 Insufficient memory"
    fake.states = [
        status(RUN, "Running", node(RUN, "Pod", "Pending", message="PodInitializing")),
        status(RUN, "Running", node(RUN, "Pod", "Pending", message=why)),
        status(RUN, "Running", node(RUN, "Pod", "Pending", message=why)),
        status(RUN, "Failed", node(RUN, "Pod", "Failed", message="Pod was active too long"), message="too long"),
    ]
    outcome, told = follow(tmp_path)
    assert told.count(why) == 1
    assert "PodInitializing" not in told
    assert outcome.phase is Phase.FAILED


def test_a_workflow_that_argo_refuses_ends_with_its_reason(fake: Cluster, tmp_path: Path) -> None:
    """It has no node at all."""
    fake.states = [{"phase": "Error", "message": "invalid spec: templates.a is missing"}]
    outcome, told = follow(tmp_path)
    assert (outcome.phase, outcome.root.message) == (Phase.ERROR, "invalid spec: templates.a is missing")
    assert "invalid spec" in told


def test_a_deleted_run_is_an_error(fake: Cluster, tmp_path: Path) -> None:
    """Nobody waits for what will never come."""
    fake.states = [image(RUN, "Running", "Running", "Running", "Running")]
    fake.broken_watches = [1]
    follower_sees = fake.answer
    looks = iter(range(100))

    def answer(method: str, path: str, body: object) -> tuple[int, dict[str, object]]:
        if path.endswith(RUN) and next(looks) == 1:
            fake.workflows.clear()
        return follower_sees(method, path, body)

    fake.answer = answer  # type: ignore[method-assign]
    with pytest.raises(ShipwayError, match="was deleted"):
        follow(tmp_path)


def test_a_lost_answer_makes_no_second_run(fake: Cluster) -> None:
    """The run is found again by its name and its mark."""
    fake.lie("POST", "workflows$", HEEDED_RESET, 2)
    before = len(fake.workflows)
    name = Runs(cluster_api.connect(), again_seconds=(0.01,) * 5).submit("clone-build-push", SPEC)
    assert len(fake.workflows) == before + 1
    assert name in fake.workflows
    assert fake.count("POST", "workflows$") == 3
