"""Reports to people what a run does. Any thread may call any method."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import Protocol, TextIO

from pipelines.engines.local.nodes import Node, NodeKind, Phase
from pipelines.errors import visible

_SILENT = frozenset({NodeKind.RETRY, NodeKind.TASK_GROUP})


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

    def __init__(self, stream: TextIO | None = None, *, with_output: bool = True) -> None:
        """Write to a stream, stderr unless given; `with_output` also passes on what commands write."""
        self.stream = stream or sys.stderr
        self.with_output = with_output
        self.lock = threading.Lock()
        self.name = ""

    def run_started(self, name: str, notes: list[str]) -> None:
        """See Reporter."""
        self.name = name
        self._write(f"{name}: started")
        for text in notes:
            self._write(f"  {text}")

    def node_started(self, node: Node) -> None:
        """See Reporter."""
        if node.kind not in _SILENT and node.short_name != self.name:
            self._write(f"{_clock()} {node.short_name}: {node.phase}")

    def node_finished(self, node: Node) -> None:
        """See Reporter."""
        tries = len(node.children) if node.kind is NodeKind.RETRY else 0
        # Nothing for a container that only waited, or for a retry of one attempt.
        if node.never_ran or tries == 1:
            return
        took = f" after {node.finished - node.started:.1f} s" if node.phase.is_completed else ""
        attempts = f" and {tries} attempts" if tries else ""
        reason = "" if node.phase is Phase.SUCCEEDED else node.reason
        reason = reason.removeprefix(f"{node.step or node.display_name}: ").removeprefix(f"{node.phase.lower()}: ")
        why = f": {reason}" if reason else ""
        self._write(f"{_clock()} {node.short_name}: {node.phase}{took}{attempts}{why}")

    def line(self, node: Node, text: str) -> None:
        """See Reporter."""
        if self.with_output:
            self._write(f"{node.short_name} | {text}")

    def note(self, text: str) -> None:
        """See Reporter."""
        self._write(f"{_clock()} {text}")

    def run_ended(self) -> None:
        """See Reporter."""

    def _write(self, text: str) -> None:
        # The run goes on if nobody reads its reports any more, as with `| head`.
        with self.lock, contextlib.suppress(OSError):
            self.stream.write(visible(text) + "\n")
            self.stream.flush()


def _clock() -> str:
    return time.strftime("%H:%M:%S")
