"""A Workflow's status as a tree of nodes, with the same names, phases and parents as in the local engine.

Argo keeps nodes in a flat map. A node's parent is the retry or fan-out that lists it as a child and whose name it
extends, else the DAG or pod that bounds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from pipelines.engines.local.nodes import Node, NodeKind, Phase
from pipelines.report.run import Raw, main_steps, nodes_of, template_of

_KINDS = {"Steps": NodeKind.DAG, "StepGroup": NodeKind.TASK_GROUP}
_GATHERING = frozenset({"Retry", "TaskGroup"})
# Argo gives a container's exit code only in the message.
_EXIT_CODE = re.compile(r"\(exit code (\d+)\)")
_NOT_STARTED = frozenset({Phase.PENDING, Phase.SKIPPED, Phase.OMITTED})


class RunTree:
    """The nodes of one run, updated by each state of its Workflow."""

    def __init__(self, name: str) -> None:
        """Start with the run's name alone."""
        self.name = name
        self.nodes: dict[str, Node] = {}
        self.identities: dict[Node, str] = {}
        self.root: Node | None = None
        self.on_exit: Node | None = None

    def update(self, workflow: Raw) -> None:
        """Update the nodes to a later state."""
        raw = nodes_of(workflow)
        parents = dict(_parents(raw))
        steps = main_steps(workflow)
        for identity in _in_order(raw):
            if identity not in self.nodes:
                self._add(identity, raw[identity])
            node = self.nodes[identity]
            if node.kind is NodeKind.CONTAINER and node.display_name == "main":
                node.step = node.step or steps.get(template_of(raw[identity]), "")
        for identity, node in self.nodes.items():
            parent = self.nodes.get(parents.get(identity, ""))
            if node.parent is None and parent is not None:
                node.parent = parent
                parent.children.append(node)
        for identity, node in self.nodes.items():
            if identity in raw:
                _fill(node, raw[identity])
        for identity in raw:
            if raw[identity]["type"] == "Container":
                self._time(identity, raw)
        for node in reversed(list(self.walk())):
            if node.phase.is_completed and not node.finished:
                # Argo sets a stopped node to Failed a moment before it sets the time of its end.
                node.finished = max([node.started, *(child.finished for child in node.children)])

    def walk(self) -> Iterator[Node]:
        """Yield every node, parents first, those of the exit handler last."""
        for top in (self.root, self.on_exit):
            if top is not None:
                yield from top.walk()

    def _add(self, identity: str, raw: Raw) -> None:
        name = str(raw["name"])
        kind = _KINDS.get(raw["type"]) or (NodeKind(raw["type"]) if raw["type"] in set(NodeKind) else NodeKind.POD)
        reference = raw.get("templateRef", {})
        template = str(raw.get("templateName") or reference.get("template") or "")
        node = Node(name=name, display_name=str(raw.get("displayName") or name), kind=kind, template=template)
        self.nodes[identity], self.identities[node] = node, identity
        if name == self.name:
            self.root = node
        elif name == f"{self.name}.onExit":
            self.on_exit = node

    def _time(self, identity: str, raw: Mapping[str, Raw]) -> None:
        """Set the start of a container of a set: the end of the last one that it depends on, or the start of the pod.

        All containers of a pod start together and wait for each other inside the pod; Argo counts the wait as running.
        """
        node = self.nodes[identity]
        before = [self.nodes[other] for other, one in raw.items() if identity in one.get("children", ())]
        waits_for = [other for other in before if other.kind is NodeKind.CONTAINER]
        if any(other.phase is not Phase.SUCCEEDED for other in waits_for) and not node.phase.is_bad:
            if not node.phase.is_completed:
                node.phase = Phase.PENDING
            node.started = 0.0
        elif waits_for:
            node.started = max(node.started, *(other.finished for other in waits_for))
        failed = next((other for other in waits_for if other.phase.is_bad), None)
        if failed is not None and node.phase.is_bad and 'dependency "' not in node.message:
            node.message = f'Error (exit code 64): dependency "{failed.display_name}" failed'  # Argo leaves it out
        if node.finished:
            node.started = min(node.started or node.finished, node.finished)


def is_elsewhere(workflow: Raw) -> bool:
    """Whether the nodes are in Argo's database, which the Kubernetes API does not show."""
    return bool(workflow.get("status", {}).get("offloadNodeStatusVersion"))


def seconds(text: str | None) -> float:
    """Return a moment in seconds since 1970, 0 for none."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else 0.0


def _in_order(raw: Mapping[str, Raw]) -> list[str]:
    """Return the ids of all nodes in the order of the run; Argo lists them by id."""
    listed = {child for node in raw.values() for child in node.get("children") or ()}
    order = sorted(raw.keys() - listed, key=lambda identity: str(raw[identity]["name"]))
    seen = set(order)
    for identity in order:  # grows while it is gone through
        for child in raw[identity].get("children") or ():
            if child in raw and child not in seen:
                seen.add(child)
                order.append(child)
    return order


def _parents(raw: Mapping[str, Raw]) -> Iterator[tuple[str, str]]:
    for identity, node in raw.items():
        if bound := node.get("boundaryID"):
            yield identity, str(bound)
    for identity, node in raw.items():
        if node["type"] in _GATHERING:
            for child in node.get("children") or ():
                if child in raw and str(raw[child]["name"]).startswith(f"{node['name']}("):
                    yield child, identity


def _fill(node: Node, raw: Raw) -> None:
    phase = str(raw.get("phase") or "Pending")
    node.phase = Phase(phase) if phase in set(Phase) else Phase.RUNNING
    node.message = str(raw.get("message") or "").removesuffix(": ")  # what follows is often nothing
    node.started = 0.0 if node.phase in _NOT_STARTED else seconds(raw.get("startedAt"))
    node.finished = seconds(raw.get("finishedAt"))
    outputs = raw.get("outputs", {})
    node.outputs = {p["name"]: str(p["value"]) for p in outputs.get("parameters", ()) if "value" in p}
    if "exitCode" in outputs:
        node.exit_code = int(outputs["exitCode"])
    elif node.kind is NodeKind.CONTAINER and (match := _EXIT_CODE.search(node.message)):
        node.exit_code = int(match[1])
