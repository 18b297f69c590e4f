"""A run that is stopped ends on the real controller as it does on the local engine."""

from __future__ import annotations

import json
import time

import yaml

from tests.conformance.test_ends import WORKFLOW
from tests.e2e.argo import PATIENCE_SECONDS, Cluster, with_image
from tests.e2e.place import kubectl


def test_a_stop_ends_the_run_and_the_exit_handler_runs(cluster: Cluster) -> None:
    """What tests/conformance/test_ends.py says of an interrupt: every command ends, no further task or attempt begins,
    and the exit handler hears of a failure.
    """
    text = WORKFLOW.replace("$PIDS", "/dev/null").replace('echo "$1" > $BYE; EXIT', 'test "$1" = Failed')
    cluster.apply(with_image([yaml.safe_load(text)], cluster.image))
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "stopped-"},
        "spec": {"workflowTemplateRef": {"name": "endless"}},
    }
    run = kubectl(cluster.namespace, "create", "-f", "-", "-o", "name", given=workflow).strip()
    running = "{range .items[?(@.status.phase=='Running')]}x{end}"
    label = f"workflows.argoproj.io/workflow={run.partition('/')[2]}"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while kubectl(cluster.namespace, "get", "pods", "-l", label, "-o", f"jsonpath={running}") != "xx":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    kubectl(cluster.namespace, "patch", run, "--type=merge", "-p", '{"spec": {"shutdown": "Stop"}}')

    ended = cluster.finished([run.partition("/")[2]])[run.partition("/")[2]]
    assert ended["status"]["phase"] == "Failed", json.dumps(ended["status"])
    assert ended["status"]["message"] == "Stopped with strategy 'Stop'"
    nodes = {node["displayName"]: node["phase"] for node in ended["status"]["nodes"].values()}
    assert nodes.pop(f"{ended['metadata']['name']}.onExit") == "Succeeded"
    assert nodes.pop(ended["metadata"]["name"]) == "Failed"
    assert {name: phase for name, phase in nodes.items() if name in {"polite", "stubborn", "after"}} == {
        "polite": "Failed",
        "stubborn": "Failed",
    }, nodes
    assert "polite(1)" not in nodes
