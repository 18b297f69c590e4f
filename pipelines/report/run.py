"""Reads a Workflow's document: which pods of the run failed, with which exit codes, and what its templates put out."""

from __future__ import annotations

import base64
import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.bounds import read_json

Raw = Mapping[str, Any]
_BAD = frozenset({"Failed", "Error"})
_EXIT_CODE = re.compile(r"exit(?:ed with)?(?: non-zero)? code:? (\d+)")
_LATER: Mapping[int | None, int] = {143: 1, 64: 2}
"""Exit codes of containers that were ended, and that were not started, because another one had failed."""
_LONGEST_PREFIX = 242


@dataclass(frozen=True, kw_only=True)
class FailedPod:
    """A pod whose last attempt failed."""

    name: str
    """The task's."""
    template: str
    subject: str
    """The image or chart of its inputs, or images with commas between them, or empty."""
    pod: str
    container: str
    """The one that failed first, as far as Argo says."""
    step: str
    """What that one is called by people: the step that it runs, if its name is `main`."""
    code: int | None
    """Its exit code; None if Argo has none: killed, never started, lost."""
    ended: str
    """How that container ended, or the pod if no container did by itself."""


def nodes_of(workflow: Raw) -> Mapping[str, Raw]:
    """Return a Workflow's nodes by their id, also where Argo has compressed them."""
    status = workflow.get("status") or {}
    if packed := status.get("compressedNodes"):
        try:
            return dict(read_json(gzip.decompress(base64.b64decode(packed)), "the nodes"))
        except (TypeError, ValueError, OSError, EOFError, zlib.error):
            return {}
    return status.get("nodes") or {}


def root(workflow: Raw) -> Raw | None:
    """Return the node of the entrypoint, or None if there is none yet."""
    name = workflow["metadata"]["name"]
    return next((node for node in nodes_of(workflow).values() if node.get("name") == name), None)


def outputs(workflow: Raw, template: str) -> dict[str, str]:
    """Return the output parameters of the last node of a template; empty if there are none."""
    values: dict[str, str] = {}
    for node in sorted(nodes_of(workflow).values(), key=lambda one: str(one.get("startedAt") or "")):
        parameters = (node.get("outputs") or {}).get("parameters") or ()
        if template_of(node)[1] == template and parameters:
            values = {str(p["name"]): str(p["value"]) for p in parameters if "value" in p}
    return values


def argument(workflow: Raw, name: str) -> str:
    """Return an argument that a run was started with, or an empty text."""
    parameters = ((workflow.get("spec") or {}).get("arguments") or {}).get("parameters") or ()
    return next((str(p.get("value") or "") for p in parameters if p.get("name") == name), "")


def failed_pods(workflow: Raw) -> list[FailedPod]:
    """Return the pods whose last attempt failed, in the order in which they failed."""
    nodes = nodes_of(workflow)
    name = str(workflow["metadata"]["name"])
    attempts = {str(child) for node in nodes.values() if node.get("type") == "Retry" for child in _children(node)}
    last = {_children(node)[-1] for node in nodes.values() if node.get("type") == "Retry" and _children(node)}
    steps = main_steps(workflow)
    failed = [
        (str(node.get("finishedAt") or ""), _failed(name, node, nodes, steps))
        for identity, node in nodes.items()
        if node.get("type") == "Pod"
        and node.get("phase") in _BAD
        and (identity not in attempts or identity in last)
        # The exit handler is not part of what the run did.
        and not str(node.get("name")).startswith(f"{name}.onExit")
    ]
    return [pod for _, pod in sorted(failed, key=lambda one: (one[0], one[1].name))]


def pod_name(run: str, node: Raw) -> str:
    """Return the name of a node's pod, as Argo makes it (workflow/util/pod_name.go, version v2)."""
    name = str(node["name"])
    if name == run:
        return run
    return f"{f'{run}-{template_of(node)[1]}'[:_LONGEST_PREFIX]}-{_fnv(name.encode())}"


def main_steps(workflow: Raw) -> dict[tuple[str, str], str]:
    """Return the step of each template's container `main`, by the names of WorkflowTemplate and template."""
    state = workflow.get("status") or {}
    stored = {tuple(key.split("/")[-2:]): value for key, value in (state.get("storedTemplates") or {}).items()}
    own = (state.get("storedWorkflowTemplateSpec") or {}).get("templates") or ()
    stored |= {("", template.get("name", "")): template for template in own}
    return {
        (of, name): step
        for (of, name), template in stored.items()
        for container in (template.get("containerSet") or {}).get("containers") or ()
        if (step := step_of(container["name"], [*container.get("command", ()), *container.get("args", ())]))
    }


def step_of(container: str, command: Sequence[str]) -> str:
    """Return the step that a container named `main` runs, or an empty string for any other container.

    Argo takes the outputs of a containerSet from the container `main` alone, so a step may not give it its own name.
    """
    return command[2] if container == "main" and len(command) > 2 and command[1] == "step" else ""


def template_of(node: Raw) -> tuple[str, str]:
    """Return the names of a node's WorkflowTemplate, empty for the run's own, and of its template."""
    if reference := node.get("templateRef"):
        return str(reference.get("name", "")), str(reference.get("template", ""))
    scope, _, name = str(node.get("templateScope") or "").partition("/")
    return name if scope == "namespaced" else "", str(node.get("templateName") or "")


def _failed(run: str, node: Raw, nodes: Mapping[str, Raw], steps: Mapping[tuple[str, str], str]) -> FailedPod:
    message = str(node.get("message") or "")
    containers = [
        one
        for one in nodes.values()
        if one.get("type") == "Container" and one.get("boundaryID") == node.get("id") and one.get("phase") in _BAD
    ]
    first = min(containers, key=lambda one: _LATER.get(_code(one.get("message")), 0), default={"displayName": "main"})
    container = str(first.get("displayName"))
    ended = str(first.get("message") or message) if _code(message) is not None else message
    inputs = {p["name"]: str(p.get("value") or "") for p in (node.get("inputs") or {}).get("parameters") or ()}
    # A task, then its item in brackets, then the attempt.
    display = str(node.get("displayName") or node["name"]).partition("(")[0]
    return FailedPod(
        name=display,
        template=template_of(node)[1],
        subject=inputs.get("name") or inputs.get("path") or re.sub(r'[\[\]"]', "", inputs.get("images", "")),
        pod=pod_name(run, node),
        container=container,
        step=container if container != "main" else steps.get(template_of(node), template_of(node)[1]),
        code=_code(ended),
        ended=ended,
    )


def _code(message: object) -> int | None:
    match = _EXIT_CODE.search(str(message))
    return int(match[1]) if match else None


def _children(node: Raw) -> list[str]:
    return [str(child) for child in node.get("children") or ()]


def _fnv(data: bytes) -> int:
    """Return the 32-bit FNV-1a hash, which Argo's pod names end in."""
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value
