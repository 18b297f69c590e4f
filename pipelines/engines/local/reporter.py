"""Reports to people what a run does. Any thread may call any method."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from typing import Protocol, TextIO

from pipelines.engines.local.nodes import Node, NodeKind, Phase
from pipelines.errors import visible

_SILENT = frozenset({NodeKind.RETRY, NodeKind.TASK_GROUP})
_RUNS = frozenset({NodeKind.POD, NodeKind.CONTAINER})
_WARNS = re.compile(r"(?:^|: )(?:warning|error): ")


class Reporter(Protocol):
    """Receives the events of a run."""

    def run_started(self, name: str, notes: list[str]) -> None:
        """A run has started; the notes say what differs from a cluster."""

    def node_started(self, node: Node) -> None:
        """A node runs."""

    def node_finished(self, node: Node) -> None:
        """A node has its final phase; skipped and omitted nodes never started."""

    def line(self, node: Node, text: str) -> None:
        """A command wrote a line, passed without its newline."""

    def note(self, text: str) -> None:
        """Something happened to the run as a whole."""

    def run_ended(self) -> None:
        """No event follows."""


class PlainReporter:
    """Writes a line for each event: for logs, pipes and CI."""

    def __init__(
        self, stream: TextIO | None = None, *, with_output: bool = True, unspoken: frozenset[str] = frozenset()
    ) -> None:
        """Write to a stream, stderr unless given; `with_output` also passes on what commands write.

        With `unspoken`, names of pods and steps that only decide and tell, nothing is written but what other pods and
        steps do, what fails, and warnings.
        """
        self.stream = stream or sys.stderr
        self.with_output = with_output
        self.unspoken = unspoken
        self.lock = threading.Lock()
        self.name = ""
        self.head: list[str] = []

    def run_started(self, name: str, notes: list[str]) -> None:
        """See Reporter."""
        self.name = name
        self.head = [f"{name}: started", *(f"  {text}" for text in notes)]
        if not self.unspoken:
            self._write()

    def node_started(self, node: Node) -> None:
        """See Reporter."""
        if node.kind not in _SILENT and node.short_name != self.name and is_told(node, self.unspoken):
            self._write(f"{_clock()} {node.short_name}: {node.phase}")

    def node_finished(self, node: Node) -> None:
        """See Reporter."""
        tries = len(node.children) if node.kind is NodeKind.RETRY else 0
        # Nothing for a container that only waited, or for a retry of one attempt.
        if node.never_ran or tries == 1 or not is_told(node, self.unspoken):
            return
        took = f" after {node.finished - node.started:.1f} s" if node.phase.is_completed else ""
        attempts = f" and {tries} attempts" if tries else ""
        reason = "" if node.phase is Phase.SUCCEEDED else node.reason
        reason = reason.removeprefix(f"{node.step or node.display_name}: ").removeprefix(f"{node.phase.lower()}: ")
        why = f": {reason}" if reason else ""
        self._write(f"{_clock()} {node.short_name}: {node.phase}{took}{attempts}{why}")

    def line(self, node: Node, text: str) -> None:
        """See Reporter."""
        if self.with_output and (is_told(node, self.unspoken) or _WARNS.search(text)):
            self._write(f"{node.short_name} | {text}")

    def note(self, text: str) -> None:
        """See Reporter."""
        self._write(f"{_clock()} {text}")

    def run_ended(self) -> None:
        """See Reporter."""

    def _write(self, *texts: str) -> None:
        # The run goes on if nobody reads its reports any more, as with `| head`.
        with self.lock, contextlib.suppress(OSError):
            head, self.head = self.head, []
            self.stream.writelines(visible(text) + "\n" for text in (*head, *texts))
            self.stream.flush()


def is_told(node: Node, unspoken: frozenset[str]) -> bool:
    """Whether people are told of a node where steps that only decide and tell are left out."""
    if not unspoken:
        return True
    if node.kind not in _RUNS or node.phase in {Phase.SKIPPED, Phase.OMITTED}:
        return False
    return node.phase.is_bad or node.short_name.rpartition(".")[2] not in unspoken


def _clock() -> str:
    return time.strftime("%H:%M:%S")
