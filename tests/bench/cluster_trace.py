"""Where each second of a run on a cluster goes: what the API tells as it happens, and the times of the containers'
lines.

A watch tells when each object came to a state, to some milliseconds; of what happens inside the pod, containers' lines
tell, whose times are the node's. Both clocks are taken for one.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from pipelines.engines.cluster.api import connect
from pipelines.tools.kubernetes import Lost
from tests.e2e.place import kubectl

CONTAINERS = ("clone", "build", "main")
Phases = dict[str, float]
Events = list[tuple[float, dict[str, Any]]]


def trace(namespace: str, submit: Callable[[], object]) -> Phases:
    """Return the seconds of each part of the one run that `submit` makes and waits for, in order."""
    pods, runs = _watch(namespace, "/api/v1", "pods"), _watch(namespace, "/apis/argoproj.io/v1alpha1", "workflows")
    began = time.time()
    submit()
    ended = time.time()
    time.sleep(1)  # for the watches to be at the end, too
    created = _first(runs, began, lambda _: True)
    run = next(found["metadata"]["name"] for at, found in runs if at == created)
    pod = next(found["metadata"]["name"] for at, found in pods if _is_of(found, run))
    finished = _first(runs, began, lambda found: found.get("status", {}).get("phase") == "Succeeded")
    made = _first(pods, began, lambda found: _is_of(found, run))
    placed = _first(pods, began, lambda found: _is_of(found, run) and bool(found["spec"].get("nodeName")))
    lines = {name: _lines(namespace, pod, name) for name in ("init", *CONTAINERS, "wait")}
    marks = {
        "shipway asks what is installed, and makes the Workflow": (began, created),
        "the controller makes the pod": (created, made),
        "the scheduler finds a node": (made, placed),
        "the node makes the pod's sandbox and volumes": (placed, lines["init"][0][0]),
        "Argo's container init": (lines["init"][0][0], lines["init"][-1][0]),
        "the node starts four containers": (lines["init"][-1][0], _said(lines["clone"], "waiting for signals")),
    }
    for name in CONTAINERS:
        start, end = _said(lines[name], "waiting for signals"), _said(lines[name], "sub-process exited")
        own = [at for at, text in lines[name] if start < at < end and "argo=true" not in text]
        last = own[-1] if own else start
        marks[f"{name}, to its last line"] = (start, last)
        marks[f"{name}, until Argo sees its end"] = (last, end)
    after = _said(lines["main"], "sub-process exited")
    marks["Argo's container wait reports the outputs"] = (after, lines["wait"][-1][0])
    marks["the controller ends the run"] = (lines["wait"][-1][0], finished)
    marks["shipway sees it and ends"] = (finished, ended)
    return {what: end - start for what, (start, end) in marks.items()} | {"in all": ended - began}


def tell(title: str, traces: Sequence[Phases]) -> str:
    """Return a table of the medians."""
    rows = [f"{title} (medians of {len(traces)})"]
    rows += [f"  {statistics.median(one[what] for one in traces):6.2f} s  {what}" for what in traces[0]]
    return "\n".join(rows) + "\n\n"


def steps(run: dict[str, Any]) -> str:
    """Return the nodes of a Workflow with their times, from its start, as Argo wrote them, to a second."""
    nodes = sorted(run["status"]["nodes"].values(), key=lambda node: str(node["startedAt"]))
    zero = _seconds(run["metadata"]["creationTimestamp"])
    told = [
        (
            f"  {_seconds(node['startedAt']) - zero:4.0f} to {_seconds(node['finishedAt']) - zero:4.0f} s  "
            f"{node['displayName']}"
        )
        for node in nodes
        if node["type"] == "Pod"
    ]
    return "\n".join(told) + "\n\n"


def _watch(namespace: str, group: str, kind: str) -> Events:
    api, seen = connect(namespace), Events()
    path = f"{group}/namespaces/{namespace}/{kind}"
    version = api.call("GET", path)["metadata"]["resourceVersion"]
    query = {"watch": True, "resourceVersion": version, "timeoutSeconds": 300}

    def follow() -> None:
        try:
            for line in api.lines(path, query=query, silence_seconds=300):
                seen.append((time.time(), json.loads(line)["object"]))
        except Lost:
            return

    threading.Thread(target=follow, daemon=True).start()
    return seen


def _first(events: Events, after: float, wanted: Callable[[dict[str, Any]], bool]) -> float:
    return next(at for at, found in events if at >= after and wanted(found))


def _is_of(pod: dict[str, Any], run: str) -> bool:
    return bool(pod["metadata"].get("labels", {}).get("workflows.argoproj.io/workflow") == run)


def _lines(namespace: str, pod: str, container: str) -> list[tuple[float, str]]:
    """Return the lines of a container with their times; fails with what kubectl says."""
    text = kubectl(namespace, "logs", "--timestamps", pod, "-c", container)
    parted = [line.partition(" ") for line in text.splitlines()]
    return [(_seconds(at), said) for at, _, said in parted if at[:2] == "20"]


def _said(lines: Sequence[tuple[float, str]], words: str) -> float:
    return next(at for at, text in lines if words in text)


def _seconds(text: str) -> float:
    whole, _, rest = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float(f"0.{rest or 0}")


def finished(namespace: str, document: dict[str, Any]) -> dict[str, Any]:
    """Start a Workflow, wait for its end and return it; raises RuntimeError where it fails."""
    name = kubectl(namespace, "create", "-f", "-", "-o", "name", given=document).strip()
    kubectl(namespace, "wait", "--for=condition=Completed", "--timeout=300s", name)
    run: dict[str, Any] = json.loads(kubectl(namespace, "get", name, "-o", "json"))
    if run["status"]["phase"] != "Succeeded":
        said = [node["message"] for node in run["status"].get("nodes", {}).values() if node.get("message")]
        raise RuntimeError(f"{name}: {run['status']['phase']}: {'; '.join(said)}")
    return run
