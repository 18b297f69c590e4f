"""Follows one run to its end: steps and logs to a reporter, as the local engine tells them, across lost connections."""

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
"""After which a run that no controller has touched is worth a word."""
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
        """Keep logs in `folder`; a cluster that does not answer for `patience_seconds` is given up."""
        self.runs = all_runs
        self.name = name
        self.reporter = reporter
        self.folder = folder
        self.again_seconds = again_seconds
        self.patience_seconds = patience_seconds
        self.tree = RunTree(name)
        self.logs = Logs(
            all_runs.api,
            name,
            folder / "logs",
            line=reporter.line,
            note=reporter.note,
            again_seconds=again_seconds,
        )
        self.begun: set[Node] = set()
        self.done: set[Node] = set()
        self.told: set[str] = set()

    def follow(self, notes: list[str]) -> RunResult:
        """Return how the run ended; raises Transient when the cluster stays away, ShipwayError when the run is deleted."""
        self.reporter.run_started(self.name, notes)
        try:
            for run in self._states():
                self._take(run)
                if runs.phase(run) in FINAL:
                    return self._outcome(run)
        finally:
            self.reporter.run_ended()
        raise AssertionError("a run's states have no end but its own")

    def _states(self) -> Iterator[Document]:
        """Give the run's states without end: one that is asked for, then what a watch tells, and from the start again."""
        began = time.time()
        while True:
            run = self._found()
            if runs.phase(run) == "Pending" and time.time() - began > UNSEEN_SECONDS:
                self._tell(
                    "no controller has taken up the run: does Argo's workflow-controller run, "
                    f"and does it watch namespace {self.runs.api.namespace}?"
                )
            yield run
            try:
                yield from self.runs.watch(self.name, str(run["metadata"]["resourceVersion"]))
            except Lost:
                pass  # whether the cluster answers at all, the next question shows
            except Denied as error:
                if error.status != 410:
                    raise problems.denied(self.runs.api, error, "watch", "workflows", self.name) from error
            self._pause()

    def _found(self) -> Document:
        """Return the run, asked for by its name until the cluster answers."""
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
            self._tell("the run's steps are kept in Argo's database; only its end can be followed from here")
        for top in (self.tree.root, self.tree.on_exit):
            if top is not None:
                self._tell_of(top)

    def _tell_of(self, node: Node) -> None:
        """Tell what is new of a node and all below: beginnings from the top down, ends from the bottom up."""
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
            self._tell(f"{node.short_name}: {node.message}")
        for child in list(node.children):
            self._tell_of(child)
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

    def _outcome(self, run: Document) -> RunResult:
        told = run["status"]
        phase, message = Phase(told["phase"]), str(told.get("message") or "")
        root = self.tree.root or Node(name=self.name, display_name=self.name, kind=NodeKind.POD)
        if self.tree.root is None:
            root.phase, root.message = phase, message
            root.started, root.finished = status.seconds(told.get("startedAt")), status.seconds(told.get("finishedAt"))
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

    def _tell(self, text: str) -> None:
        if text not in self.told:
            self.told.add(text)
            self.reporter.note(text)

    def _pause(self) -> None:
        threading.Event().wait(self.again_seconds)
