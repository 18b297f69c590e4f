"""Runs a pod: its containers as processes on this machine, with the phases, exit codes and messages that Argo gives them.

Sources: Argo's cmd/argoexec/commands/emissary.go for what a container waits for and exits with, and workflow/controller/operator.go
(assessNodeStatus, inferFailedReason) for what that makes of the pod.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from pipelines.engines.local.definition import Container, OutputParameter, Pod
from pipelines.engines.local.mutexes import RunControl
from pipelines.engines.local.nodes import Node, Phase
from pipelines.engines.local.pod_folder import NoOutput, PodFolder, expanded
from pipelines.engines.local.pod_reader import MAIN
from pipelines.engines.local.reporter import Reporter
from pipelines.engines.local.threads import run_all
from pipelines.errors import Misconfigured
from pipelines.tools.processes.child import Child, Ended, Keeper, Start

NEVER_RAN = 64
"""What Argo's executor exits with when a container's command never ran."""
_DEADLINE = "Pod was active on the node longer than the specified deadline"
_MAX_LINE = 65536


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What every pod of a run shares."""

    keeper: Keeper
    start: Start
    stage: RunControl
    reporter: Reporter
    environment: Mapping[str, str]
    grace_seconds: float


class Nodes(Protocol):
    """What a pod asks of those who keep the run's nodes."""

    def begin(self, node: Node) -> None:
        """Let a node run."""

    def finish(self, node: Node, phase: Phase, message: str = "") -> None:
        """Give a node its last phase."""

    def log(self, node: Node) -> Path:
        """Return a new file for what a node writes."""


class PodRun:
    """One pod, from its first container to its outputs."""

    def __init__(
        self, pod: Pod, folder: PodFolder, containers: Mapping[str, Node], nodes: Nodes, setting: Setting
    ) -> None:
        """Prepare a run; `containers` holds the node of each container, which for a plain container is the pod's own."""
        self.pod = pod
        self.folder = folder
        self.containers = containers
        self.nodes = nodes
        self.setting = setting
        self.lock = threading.Condition()
        self.codes: dict[str, int] = {}
        """Exit code of each container that ended, as the containers behind it see it."""
        self.shown: dict[str, tuple[int, str]] = {}
        """Exit code and message of each container that ended, as the cluster sees it."""
        self.children: set[Child] = set()
        self.has_failed = self.timed_out = False

    def run(self, node: Node, outputs: tuple[OutputParameter, ...], limit_seconds: float | None) -> None:
        """Run every container and finish the pod's node."""
        if self.pod.is_set:
            run_all([partial(self._in_turn, container, limit_seconds) for container in self.pod.containers])
        else:
            self._contain(self.pod.containers[0], limit_seconds)
        self._conclude(node, outputs)

    def _in_turn(self, container: Container, limit_seconds: float | None) -> None:
        with self.lock:
            self.lock.wait_for(lambda: any(map(self._failed, container.dependencies)) or self._is_free(container))
            failed = next(filter(self._failed, container.dependencies), None)
        if failed is not None:
            # It passes the code on to the containers behind it, and exits with Argo's own.
            code = self.codes[failed]
            self._ended(container, code, NEVER_RAN, f'dependency "{failed}" exited with non-zero code: {code}')
            return
        self._contain(container, limit_seconds)

    def _failed(self, name: str) -> bool:
        return self.codes.get(name, 0) != 0

    def _is_free(self, container: Container) -> bool:
        return all(name in self.codes for name in container.dependencies)

    def _contain(self, container: Container, limit_seconds: float | None) -> None:
        node = self.containers[container.name]
        if self.has_failed or self.setting.stage.is_ended:
            self._ended(container, 143, 143, "")
            return
        try:
            if self.pod.is_set:
                self.nodes.begin(node)
            ended = self._attend(container, node, limit_seconds)
        except Misconfigured as error:
            self._ended(container, NEVER_RAN, NEVER_RAN, f"{error.what}: {error.seen}")
            return
        except BaseException:
            self._ended(container, NEVER_RAN, NEVER_RAN, "")
            raise
        self.timed_out = self.timed_out or ended.timed_out
        self._ended(container, ended.code, ended.code, "")

    def _attend(self, container: Container, node: Node, limit_seconds: float | None) -> Ended:
        own = self.folder.variables(container)
        environment = {**self.setting.environment, **own}
        argv = [expanded(word, own) for word in container.command]
        node.log = self.nodes.log(node)
        with node.log.open("wb") as log:
            lines = _Lines(log, lambda text: self.setting.reporter.line(node, text))
            folder, shared = self.folder.working_folder(container), self.setting
            child = Child(argv, cwd=folder, env=environment, keeper=shared.keeper, start=shared.start)
            with self.setting.stage.running(child):
                with self.lock:
                    self.children.add(child)
                    if self.has_failed:
                        child.stop()
                ended = child.attend(lines.add, timeout_seconds=limit_seconds, grace_seconds=self.setting.grace_seconds)
            lines.end()
        return ended

    def _ended(self, container: Container, passed_on: int, code: int, message: str) -> None:
        with self.lock:
            self.codes[container.name] = passed_on
            self.shown[container.name] = (code, message)
            if code != 0 and not self.has_failed:
                # One failed container ends the pod (operator.go, podHasContainerNeedingTermination).
                self.has_failed = True
                for child in self.children:
                    child.stop()
            self.lock.notify_all()
        node = self.containers[container.name]
        if not self.pod.is_set:
            return
        node.exit_code = code
        phase = {0: Phase.SUCCEEDED, NEVER_RAN: Phase.ERROR}.get(code, Phase.FAILED)
        self.nodes.finish(node, phase, "" if code == 0 else _message(container.name, code, message))

    def _conclude(self, node: Node, outputs: tuple[OutputParameter, ...]) -> None:
        node.exit_code = self.shown.get(MAIN, (None, ""))[0]
        phase, message = self._verdict()
        try:
            node.outputs = self.folder.outputs(outputs)
        except NoOutput as error:
            if phase is Phase.SUCCEEDED:
                phase, message = Phase.ERROR, f"wait: Error (exit code {NEVER_RAN}): {error}"
        node.passes_on = self._passed_on(phase)
        self.nodes.finish(node, phase, message)

    def _verdict(self) -> tuple[Phase, str]:
        if self.setting.stage.is_ended and self.has_failed:
            return Phase.FAILED, self.setting.stage.message
        if self.timed_out:
            return Phase.FAILED, _DEADLINE
        # The kubelet lists containers by name, and Argo reports the first that failed.
        for name in sorted(self.shown):
            code, message = self.shown[name]
            if code != 0:
                return Phase.FAILED, _message(name, code, message)
        return Phase.SUCCEEDED, ""

    def _passed_on(self, phase: Phase) -> frozenset[Phase]:
        if not self.pod.is_set:
            return frozenset({phase})
        needed = {name for container in self.pod.containers for name in container.dependencies}
        return frozenset(self.containers[c.name].phase for c in self.pod.containers if c.name not in needed)


class _Lines:
    """Writes output to a log as it is, and hands it on line by line."""

    def __init__(self, log: BinaryIO, tell: Callable[[str], None]) -> None:
        self.log = log
        self.tell = tell
        self.rest = b""

    def add(self, data: bytes) -> None:
        self.log.write(data)
        self.log.flush()
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.tell(line.decode(errors="replace").rstrip("\r"))
        if len(self.rest) > _MAX_LINE:
            self.end()

    def end(self) -> None:
        if self.rest:
            self.tell(self.rest.decode(errors="replace"))
        self.rest = b""


def _message(name: str, code: int, message: str) -> str:
    return f"{name}: Error (exit code {code})" + (f": {message}" if message else "")
