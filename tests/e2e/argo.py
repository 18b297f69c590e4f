"""Runs the conformance cases on the real controller, through kubectl alone."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.conformance.cases import Case, Seen
from tests.e2e.place import kubectl

PATIENCE_SECONDS = 900.0
LOOK_SECONDS = 3.0
FINAL = frozenset({"Succeeded", "Failed", "Error"})
# What Argo's executor needs of the account that pods run as (argo-workflows: docs/workflow-rbac.md).
ACCESS = [
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "executor"},
        "rules": [{"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "executor"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "executor"},
        "subjects": [{"kind": "ServiceAccount", "name": "default"}],
    },
]


class Cluster:
    """A namespace of the cluster that KUBECONFIG names."""

    def __init__(self, namespace: str, image: str) -> None:
        """Let the pods of a namespace report to Argo."""
        self.namespace = namespace
        self.image = image
        self.apply(ACCESS)

    def apply(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Bring documents into the namespace."""
        kubectl(self.namespace, "apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": documents})

    def submit(self, case: Case) -> str:
        """Start a case and return the name of its run."""
        self.apply(with_image(case.documents, self.image))
        parameters = [{"name": name, "value": value} for name, value in case.arguments.items()]
        workflow = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"generateName": f"{case.name}-"},
            "spec": {"workflowTemplateRef": {"name": case.template}, "arguments": {"parameters": parameters}},
        }
        return kubectl(self.namespace, "create", "-f", "-", "-o", "name", given=workflow).strip().partition("/")[2]

    def finished(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Wait until every run has ended, and return them by name."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            listed = json.loads(kubectl(self.namespace, "get", "workflows", "-o", "json"))["items"]
            found = {item["metadata"]["name"]: item for item in listed if item["metadata"]["name"] in names}
            running = [name for name, item in found.items() if item.get("status", {}).get("phase") not in FINAL]
            if not running or time.monotonic() > deadline:
                return found
            time.sleep(LOOK_SECONDS)

    def started(self) -> dict[str, float]:
        """Return when the first container of each node's pod really started."""
        found = {}
        for pod in json.loads(kubectl(self.namespace, "get", "pods", "-o", "json"))["items"]:
            node = pod["metadata"].get("annotations", {}).get("workflows.argoproj.io/node-name", "")
            states = [status["state"].get("terminated", {}) for status in pod["status"].get("containerStatuses", ())]
            times = [_seconds(state["startedAt"]) for state in states if state.get("startedAt")]
            if node and times:
                found[node] = min(times)
        return found


def with_image(documents: Sequence[dict[str, Any]], image: str) -> list[dict[str, Any]]:
    """Return the documents with an image that the cluster has in place of `busybox`."""
    return list(json.loads(json.dumps(documents).replace('"image": "busybox"', f'"image": "{image}"')))


def seen(workflow: Mapping[str, Any], started: Mapping[str, float]) -> dict[str, Seen]:
    """Return the nodes of a run by the names that expectations use."""
    run = workflow["metadata"]["name"]
    nodes = {node["name"]: node for node in workflow["status"].get("nodes", {}).values()}
    return {
        name.removeprefix(run).removeprefix("."): _seen(node, nodes, started.get(name)) for name, node in nodes.items()
    }


def _seen(node: Mapping[str, Any], nodes: Mapping[str, Any], started: float | None) -> Seen:
    outputs = node.get("outputs", {})
    attempt = re.compile(re.escape(node["name"]) + r"\(\d+\)")
    # Argo creates the nodes of a set's containers together: when each began is not told.
    began = float("nan") if node["type"] == "Container" else started or _seconds(node["startedAt"])
    return Seen(
        phase=node["phase"],
        message=node.get("message", ""),
        started=began,
        finished=_seconds(node["finishedAt"]) if node.get("finishedAt") else float("nan"),
        # What a node that failed never wrote stands there without a value.
        outputs={p["name"]: p["value"] for p in outputs.get("parameters", ()) if "value" in p},
        exit_code=int(outputs["exitCode"]) if "exitCode" in outputs else None,
        attempts=sum(bool(attempt.fullmatch(name)) for name in nodes) if node["type"] == "Retry" else 1,
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
