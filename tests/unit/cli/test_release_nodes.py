"""What `shipway release` reads of a run's nodes, whatever images and containers are called."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pipelines.cli import release
from pipelines.engines.local.nodes import Node, NodeKind, Phase, RunResult
from pipelines.release import result as release_result
from pipelines.release.failure import IN_LOG
from pipelines.release.result import CHART, FAILED, IMAGE, SKIPPED, PartResult, ReleaseResult
from pipelines.step import results, texts


def node(name: str, kind: NodeKind, parent: Node | None, phase: Phase = Phase.SUCCEEDED, **outputs: str) -> Node:
    """Return a node under another one, as Argo shows it."""
    made = Node(name=name, display_name=name, kind=kind, parent=parent, phase=phase, outputs=outputs)
    if parent is not None:
        parent.children.append(made)
    return made


def part(kind: str, name: str, result: str, why: str) -> PartResult:
    """Return a part as a verdict has it."""
    return PartResult(kind=kind, name=name, path=name, result=result, why=why)


def test_tasks_are_found_beside_images_and_containers_of_their_names(tmp_path: Path) -> None:
    """Images called as tasks, and the container `charts` of the pod that deploys, hide neither charts nor deployments.

    What failed is told by the log of its own container.
    """
    root = node("run", NodeKind.DAG, None, Phase.FAILED)
    work = node("work", NodeKind.DAG, root)
    waves = {"wave-1": json.dumps([{"name": "deploy"}, {"name": "charts"}]), "later": '[[{"name": "late"}],[]]'}
    node("plan", NodeKind.DAG, work).outputs |= {**waves, "commit": "c" * 40}
    group = node("wave-1", NodeKind.TASK_GROUP, work, Phase.FAILED)
    node("wave-2", NodeKind.SKIPPED, work, Phase.OMITTED)
    for name, log in (
        ("deploy", "shipway: no base\n"),
        ("charts", "shipway: cannot push x\n  seen: r answered 403: no\n"),
    ):
        pod = node(name, NodeKind.POD, group, Phase.FAILED)
        clone, main = (node(one, NodeKind.CONTAINER, pod, Phase.FAILED) for one in ("clone", "main"))
        failed = clone if name == "deploy" else main
        failed.log = tmp_path / f"{name}.log"
        failed.log.write_text(log)
    released = json.dumps([{"name": "web", "version": "1", "reference": "r/web@sha256:1", "state": "pushed"}])
    node("charts", NodeKind.RETRY, work, charts=released, pushed="1", bytes="1")
    targets = texts.encode('[{"name": "dev"}]')
    deploy = node("deploy", NodeKind.RETRY, root, targets=targets)
    node("charts", NodeKind.CONTAINER, deploy)
    parts = (
        part(IMAGE, "deploy", FAILED, IN_LOG),
        part(IMAGE, "charts", FAILED, IN_LOG),
        part(IMAGE, "late", SKIPPED, "its parent charts failed"),
        part(CHART, "web", release_result.RELEASED, ""),
        part(CHART, "moved-by-the-deployment", release_result.RELEASED, ""),
    )
    found = ReleaseResult(repo="r", commit="c", ref="", is_good=False, verdict="1 of 4", parts=parts, left_out=0)
    node("verdict", NodeKind.RETRY, root, Phase.FAILED, summary=texts.encode(results.text_of(found)))
    run = RunResult(
        name="run", template="release", phase=Phase.FAILED, message="", stopped=False, root=root, on_exit=None,
        folder=tmp_path,
    )  # fmt: skip
    options: Any = SimpleNamespace(repo="r", revision="HEAD")
    described = release._describe(options, run)
    assert [one["why"] for one in described["parts"]] == [
        "its clone failed: no base",
        "its push was refused: r answered 403: no",
        "its parent charts failed",
        "",
        "",
    ]
    assert described["pushed"] == 2
    assert described["images"]["late"]["message"] == "not built: its parent charts failed"
    assert [chart["name"] for chart in described["charts"]] == ["web"]
    assert described["targets"] == [{"name": "dev"}]
