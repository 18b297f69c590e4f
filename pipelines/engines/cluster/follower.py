"""Follows one run to its end across lost connections, and reports steps and logs as the local engine does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from pipelines.engines.cluster import problems, runs, status
from pipelines.engines.cluster.logs import Logs
from pipelines.engines.cluster.runs import FINAL, Runs
from pipelines.engines.cluster.status import RunTree
from pipelines.engines.local.nodes import Node, NodeKind, Phase, RunResult
from pipelines.engines.local.reporter import Reporter
from pipelines.tools.kubernetes import Denied, Document, Lost

PATIENCE_SECONDS = 600.0
UNSEEN_SECONDS = 30.0
"""The time after which a run that no controller has touched is reported."""
_PASSING = frozenset({"", "ContainerCreating", "PodInitializing"})


class RunFollower:
    """Follows a run once."""

    def __init__(
        self,
        all_runs: Runs,
        name: str,
        reporter: Reporter,
        folder: Path,
        *,
        again_seconds: float = 1.0,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Keep logs in `folder`; give up if the cluster does not answer for `patience_seconds`."""
        self.runs = all_runs
        self.name = name
        self.reporter = reporter
        self.folder = folder
        self.again_seconds = again_seconds
        self.patience_seconds = patience_seconds
        self.tree = RunTree(name)
        self.logs = Logs(
            all_runs.api, name, folder / "logs", line=reporter.line, note=reporter.note, again_seconds=again_seconds
        )
        self.begun: set[Node] = set()
        self.done: set[Node] = set()
        self.notes: set[str] = set()

    def follow(self, notes: list[str]) -> RunResult:
        """Return the result; raises Transient if the cluster does not answer, ShipwayError if the run is deleted."""
        self.reporter.run_started(self.name, notes)
        try:
            for run in self._states():
                self._take(run)
                if runs.phase(run) in FINAL:
                    return self._result(run)
        finally:
            self.reporter.run_ended()
        raise AssertionError("a run's states have no end but its own")

    def _states(self) -> Iterator[Document]:
        """Yield the run's states without end: one request, then a watch, then again from the start."""
        began = time.time()
        while True:
            run = self._current()
            if runs.phase(run) == "Pending" and time.time() - began > UNSEEN_SECONDS:
                self._note(
                    "no controller has taken up the run: does Argo's workflow-controller run, "
                    f"and does it watch namespace {self.runs.api.namespace}?"
                )
            yield run
            try:
                yield from self.runs.watch(self.name, str(run["metadata"]["resourceVersion"]))
            except Lost:
                pass  # the next request shows whether the cluster answers at all
            except Denied as error:
                if error.status != 410:
                    raise problems.denied(self.runs.api, error, "watch", "workflows", self.name) from error
            self._pause()

    def _current(self) -> Document:
        """Return the run, asking for it until the cluster answers."""
        lost_at = 0.0
        while True:
            try:
                run = self.runs.look(self.name)
            except Denied as error:
                if error.status == 404 and self.tree.nodes:
                    raise runs.gone(self.name) from error
                raise problems.denied(self.runs.api, error, "get", "workflows", self.name) from error
            except Lost as error:
                if not lost_at:
                    lost_at = time.time()
                    self.reporter.note(f"the cluster does not answer ({error}); the run goes on, asking again")
                elif time.time() - lost_at > self.patience_seconds:
                    todo = f"the run goes on without being watched: shipway logs {self.name} follows it again"
                    raise problems.lost(self.runs.api, error, todo=todo) from error
                self._pause()
                continue
            if lost_at:
                self.reporter.note("the cluster answers again")
            return run

    def _take(self, run: Document) -> None:
        self.tree.update(run)
        if status.is_elsewhere(run):
            self._note("the run's steps are kept in Argo's database; only its end can be followed from here")
        for top in (self.tree.root, self.tree.on_exit):
            if top is not None:
                self._report(top)

    def _report(self, node: Node) -> None:
        """Report news of a node and all below: starts from the top down, ends from the bottom up."""
        ran = node.phase is not Phase.PENDING and node.kind is not NodeKind.SKIPPED and not node.never_ran
        if ran and node.started and node not in self.begun:
            self.begun.add(node)
            # A short step may have ended before it was first seen.
            seen, node.phase = node.phase, Phase.RUNNING
            self.reporter.node_started(node)
            node.phase = seen
        if node in self.begun and node.kind in {NodeKind.POD, NodeKind.CONTAINER}:
            self._read_log(node)
        if node.phase is Phase.PENDING and node.kind is NodeKind.POD and node.message not in _PASSING:
            self._note(f"{node.short_name}: {node.message}")
        for child in list(node.children):
            self._report(child)
        if node.phase not in {Phase.PENDING, Phase.RUNNING} and node not in self.done:
            self.done.add(node)
            self.logs.end(node)
            self.reporter.node_finished(node)

    def _read_log(self, node: Node) -> None:
        if node.kind is NodeKind.POD and any(child.kind is NodeKind.CONTAINER for child in node.children):
            return
        pod = node.parent if node.kind is NodeKind.CONTAINER else node
        if pod is not None and node not in self.done:
            self.logs.start(node, self.tree.identities[pod])

    def _result(self, run: Document) -> RunResult:
        state = run["status"]
        phase, message = Phase(state["phase"]), str(state.get("message") or "")
        root = self.tree.root or Node(name=self.name, display_name=self.name, kind=NodeKind.POD)
        if self.tree.root is None:
            root.phase, root.message = phase, message
            root.started, root.finished = map(status.seconds, (state.get("startedAt"), state.get("finishedAt")))
            self.reporter.node_finished(root)
        return RunResult(
            name=self.name,
            template=runs.template_of(run),
            phase=phase,
            message=message,
            stopped="shutdown" in run["spec"],
            root=root,
            on_exit=self.tree.on_exit,
            folder=self.folder,
        )

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.add(text)
            self.reporter.note(text)

    def _pause(self) -> None:
        threading.Event().wait(self.again_seconds)
