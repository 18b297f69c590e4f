"""The conformance suite's cases: small workflows, each with what must come of it, for either engine.

A case is `NAME.yaml` in `workflows`, which both engines take as it is, or in `scenarios`, from which `compiled` makes
it; and `NAME.expected.yaml` beside it, with
    arguments     of the workflow
    phase         of the workflow
    outputs       of the entrypoint, all of them
    nodes         phases, by the node's name without that of the run and its dot: `task`, `task(0:item)`,
      `task.container`, `onExit`
    attempts      of tasks that retry; "" is the entrypoint itself
    outputs-of    outputs of nodes, all of them
    messages, exit-codes  of nodes
    order         pairs of nodes: the first finished before the second started
    apart         pairs of nodes that did not run at the same time
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.conformance import compiled

FOLDER = Path(__file__).parent / "workflows"
KEYS = frozenset("arguments phase outputs nodes attempts outputs-of messages exit-codes order apart".split())


@dataclass(frozen=True, kw_only=True)
class Case:
    """One workflow and what must come of it."""

    name: str
    documents: Sequence[dict[str, Any]]
    """The first is the one that runs."""
    expected: Mapping[str, Any]

    @property
    def template(self) -> str:
        """The name of the document that runs."""
        return str(self.documents[0]["metadata"]["name"])

    @property
    def arguments(self) -> dict[str, str]:
        """The arguments it is run with."""
        return dict(self.expected.get("arguments", {}))

    @property
    def config_maps(self) -> dict[str, dict[str, str]]:
        """The ConfigMaps that stand beside it."""
        return {d["metadata"]["name"]: d["data"] for d in self.documents if d["kind"] == "ConfigMap"}

    @property
    def secrets(self) -> dict[str, dict[str, str]]:
        """The Secrets that stand beside it."""
        return {d["metadata"]["name"]: d["stringData"] for d in self.documents if d["kind"] == "Secret"}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One node, as an engine tells of it."""

    phase: str
    message: str = ""
    started: float = 0.0
    finished: float = 0.0
    outputs: Mapping[str, str] = field(default_factory=dict)
    exit_code: int | None = None
    attempts: int = 1


def cases() -> list[Case]:
    """Return every case, by name."""
    found = []
    for file in sorted([*FOLDER.glob("*.yaml"), *compiled.SCENARIOS.glob("*.yaml")]):
        if file.name.endswith(".expected.yaml"):
            continue
        documents = list(yaml.load_all(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
        if file.parent == compiled.SCENARIOS:
            documents = compiled.documents(file.stem, *documents)
        text = file.with_name(f"{file.stem}.expected.yaml").read_text(encoding="utf-8")
        expected = yaml.load(text, Loader=yaml.CSafeLoader)
        assert expected.keys() <= KEYS, f"{file.stem}: unknown keys {expected.keys() - KEYS}"
        found.append(Case(name=file.stem, documents=documents, expected=expected))
    return found


def differences(case: Case, phase: str, nodes: Mapping[str, Seen]) -> list[str]:
    """Return what is not as expected, a line each; `nodes` are named as in the expectations, the entrypoint's is ""."""
    expected, found = case.expected, []

    def compare(what: str, wanted: object, seen: object) -> None:
        if wanted != seen:
            found.append(f"{what}: expected {wanted!r}, seen {seen!r}")

    compare("phase", expected["phase"], phase)
    if "outputs" in expected:
        compare("outputs", expected["outputs"], dict(nodes[""].outputs))
    for key, read in READ.items():
        for name, wanted in expected.get(key, {}).items():
            compare(f"{key} of {name!r}", wanted, read(nodes[name]) if name in nodes else "no such node")
    for first, second in expected.get("order", ()):
        if nodes[first].finished > nodes[second].started:
            found.append(f"order: {first!r} was not finished when {second!r} started")
    for first, second in expected.get("apart", ()):
        one, other = sorted((nodes[first], nodes[second]), key=lambda node: node.started)
        if one.finished > other.started:
            found.append(f"apart: {first!r} and {second!r} ran at the same time")
    return found


def disagreements(one: Mapping[str, Seen], other: Mapping[str, Seen]) -> list[str]:
    """Return each node that two engines do not tell alike, whether or not the case's file expects anything of it."""
    found = []
    for name in sorted(one.keys() | other.keys()):
        told = [(n.phase, dict(n.outputs), n.attempts) if (n := nodes.get(name)) else None for nodes in (one, other)]
        if told[0] != told[1]:
            found.append(f"{name!r}: {told[0]} against {told[1]}")
    return found


READ: Mapping[str, Any] = {
    "nodes": lambda node: node.phase,
    "attempts": lambda node: node.attempts,
    "outputs-of": lambda node: dict(node.outputs),
    "messages": lambda node: node.message,
    "exit-codes": lambda node: node.exit_code,
}
"""How each kind of expectation is read from a node."""
