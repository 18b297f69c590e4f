"""A run's nodes, with Argo's phases and kinds, and the result of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipelines.step import texts


class Phase(StrEnum):
    """The phase of a node."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    SKIPPED = "Skipped"
    OMITTED = "Omitted"
    FAILED = "Failed"
    ERROR = "Error"

    @property
    def is_bad(self) -> bool:
        """Whether it makes the node above fail."""
        return self in (Phase.FAILED, Phase.ERROR)

    @property
    def is_completed(self) -> bool:
        """Whether the node ran to an end; a skipped or omitted one did not."""
        return self.is_bad or self is Phase.SUCCEEDED


class NodeKind(StrEnum):
    """The kind of a node."""

    POD = "Pod"
    CONTAINER = "Container"
    DAG = "DAG"
    TASK_GROUP = "TaskGroup"
    RETRY = "Retry"
    SKIPPED = "Skipped"


_LONG_ITEM = 40


@dataclass(eq=False, kw_only=True)
class Node:
    """One node. Only the thread that runs it changes it, and nobody once it has finished."""

    name: str
    """Unique in the run: `run.task(0:item)(1)`."""
    display_name: str
    """As Argo has it."""
    kind: NodeKind
    step: str = ""
    """For a container named `main`, the step that it runs: people read this instead."""
    template: str = ""
    parent: Node | None = field(default=None, repr=False)
    children: list[Node] = field(default_factory=list, repr=False)
    """Tasks of a DAG, items of a group, attempts of a retry, containers of a pod; in order of creation."""
    phase: Phase = Phase.PENDING
    message: str = ""
    started: float = 0.0
    """Seconds since 1970; 0 before."""
    finished: float = 0.0
    outputs: dict[str, str] = field(default_factory=dict)
    exit_code: int | None = None
    log: Path | None = None
    passes_on: frozenset[Phase] = frozenset()
    """The phases that omitted tasks after it take over; set when it finishes."""

    @property
    def items(self) -> list[Node]:
        """The nodes of a fan-out."""
        return self.children if self.kind is NodeKind.TASK_GROUP else []

    @property
    def depth(self) -> int:
        """How many nodes are above."""
        return 0 if self.parent is None else self.parent.depth + 1

    @property
    def short_name(self) -> str:
        """The name for people: without the run's name and the number of a first attempt."""
        above = self.parent
        if above is None:
            return self.name
        if above.kind is NodeKind.RETRY and self is above.children[0]:
            return above.short_name
        own = f".{self.step}" if self.step else self.name.removeprefix(above.name)
        if above.kind is NodeKind.TASK_GROUP:
            return above.short_name + _item(own)
        return own[1:] if above.short_name == self.root.name and own[:1] == "." else above.short_name + own

    @property
    def label(self) -> str:
        """The name for people where the node above is shown."""
        above = self.parent
        if above is None or above.kind is not NodeKind.TASK_GROUP:
            return self.step or self.display_name
        # Argo may show an item by a name of its own.
        return above.display_name + _item(self.name.removeprefix(above.name))

    @property
    def root(self) -> Node:
        """The node of the whole run."""
        return self if self.parent is None else self.parent.root

    @property
    def never_ran(self) -> bool:
        """Whether this is a container that waited for another one, which failed."""
        return self.kind is NodeKind.CONTAINER and self.phase.is_bad and 'dependency "' in self.message

    @property
    def reason(self) -> str:
        """Why it failed: for a pod, the message of the container that failed, not of one that waited for it."""
        last = self.children[-1] if self.kind is NodeKind.RETRY and self.children else None
        if last and (len(self.children) == 1 or self.message == last.message):
            return last.reason
        failed = (child for child in self.children if child.kind is NodeKind.CONTAINER and child.phase.is_bad)
        node = next((child for child in failed if child.message and not child.never_ran), self)
        text = node.message.removeprefix(f"{node.display_name}: ")
        return f"{node.step}: {text}" if node.step and text != node.message else node.message

    def walk(self) -> Iterator[Node]:
        """Yield this node and all nodes below, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def as_json(self) -> dict[str, Any]:
        """Return the node and its children as plain values."""
        return {
            "name": self.name,
            "displayName": self.display_name,
            "type": str(self.kind),
            "template": self.template,
            "phase": str(self.phase),
            "message": self.message,
            "startedAt": _moment(self.started),
            "finishedAt": _moment(self.finished),
            "seconds": round(max(0.0, self.finished - self.started), 3),
            "attempts": len(self.children) if self.kind is NodeKind.RETRY else 1,
            "exitCode": self.exit_code,
            "outputs": dict(self.outputs),
            "log": None if self.log is None else str(self.log),
            "children": [child.as_json() for child in self.children],
        }


@dataclass(frozen=True)
class Spot:
    """The names and the parent of a new node."""

    name: str
    label: str
    parent: Node | None = None
    step: str = ""

    def attempt(self, number: int, retry: Node) -> Spot:
        """Return the spot of one attempt under its retry."""
        return Spot(f"{self.name}({number})", f"{self.label}({number})", retry)


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run ended."""

    name: str
    template: str
    phase: Phase
    message: str
    stopped: bool
    """Whether somebody asked it to end before it was done."""
    root: Node
    on_exit: Node | None
    folder: Path

    @property
    def reason(self) -> str:
        """The message, with containers by what people call them."""
        return self.root.reason if self.message == self.root.message else self.message

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs of the entrypoint."""
        return dict(self.root.outputs)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node, parents first, the exit handler's last."""
        return (*self.root.walk(), *(self.on_exit.walk() if self.on_exit else ()))

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "name": self.name,
            "template": self.template,
            "phase": str(self.phase),
            "message": self.message,
            "stopped": self.stopped,
            "outputs": {name: texts.shown(value) for name, value in self.outputs.items()},
            "startedAt": _moment(self.root.started),
            "finishedAt": _moment((self.on_exit or self.root).finished),
            "seconds": round((self.on_exit or self.root).finished - self.root.started, 3),
            "folder": str(self.folder),
            "nodes": self.root.as_json(),
            "onExit": None if self.on_exit is None else self.on_exit.as_json(),
        }


def _moment(time: float) -> str | None:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds") if time else None


def _item(text: str) -> str:
    """Return the end of an item's name, `(0:a)`, for people: a long map by its field `name`, or by its number."""
    if len(text) <= _LONG_ITEM:
        return text
    named = re.search(r"[:,]name:([^,)]+)", text)
    return f"({named[1]})" if named else f"({text[1:].partition(':')[0]})"
