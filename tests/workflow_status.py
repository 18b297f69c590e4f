"""The status of Workflows as Argo 4.1 writes it, made from a line for each node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

START = "2026-11-23T10:00:0{}Z"


def status(run: str, phase: str, *nodes: dict[str, Any], message: str = "") -> dict[str, Any]:
    """Return a Workflow's status with these nodes."""
    found: dict[str, Any] = {
        "phase": phase,
        "startedAt": START.format(0),
        "nodes": {node["id"]: node for node in nodes},
    }
    if message:
        found["message"] = message
    if phase in {"Succeeded", "Failed", "Error"}:
        found["finishedAt"] = START.format(9)
    return found


def node(
    name: str, kind: str, phase: str, *, bound: str = "", children: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    """Return one node; its id is its name with `id-` before it, and so are those of the nodes that it names."""
    short = name.rpartition(".")[2] if kind == "Container" else name
    found: dict[str, Any] = {"id": f"id-{name}", "name": name, "displayName": short, "type": kind, "phase": phase}
    found |= {"startedAt": START.format(1), **more}
    if bound:
        found["boundaryID"] = f"id-{bound}"
    if children:
        found["children"] = [f"id-{child}" for child in children]
    if phase in {"Succeeded", "Failed", "Error"}:
        found.setdefault("finishedAt", START.format(8))
    return found


def image(
    run: str, phase: str, clone: str, build: str, main: str, *, message: str = "", digest: str = ""
) -> dict[str, Any]:
    """Return the status of a clone-build-push whose three
    containers are in these phases; a phase may end in an exit code.
    """
    outputs: dict[str, Any] = {"outputs": {"parameters": [{"name": "digest", "value": digest}]}} if digest else {}
    pod = f"{run}(0)"

    of = {"templateName": "clone-build-push", "templateScope": f"local/{run}"}

    def container(name: str, state: str, at: int, children: tuple[str, ...]) -> dict[str, Any]:
        word, _, code = state.partition(" ")
        more: dict[str, Any] = {"message": f"Error (exit code {code})"} if code else {}
        if word in {"Succeeded", "Failed", "Error"}:
            more["finishedAt"] = START.format(at)
        return node(f"{pod}.{name}", "Container", word, bound=pod, children=children, **of, **more)

    found = status(
        run,
        phase,
        node(run, "Retry", phase, children=(pod,), **outputs),
        node(pod, "Pod", phase, children=(f"{pod}.clone",), message=message, **outputs),
        container("clone", clone, 3, (f"{pod}.build",)),
        container("build", build, 5, (f"{pod}.main",)),
        container("main", main, 7, ()),
        message=message,
    )
    return found | {"storedWorkflowTemplateSpec": compiled("clone-build-push")["spec"]}


def compiled(name: str) -> dict[str, Any]:
    """Return an installed WorkflowTemplate."""
    path = Path(__file__).parent.parent / "charts" / "shipway" / "files" / f"{name}.yaml"
    document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return document
