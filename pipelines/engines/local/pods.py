"""Runs a pod: its containers as processes of this machine, with the phases, exit codes and messages of Argo.

Sources: Argo's cmd/argoexec/commands/emissary.go for the containers' dependencies and exit codes, and
workflow/controller/operator.go (assessNodeStatus, inferFailedReason) for the pod's phase.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import BinaryIO

from pipelines.engines.local.definition import Container, OutputParameter, Pod
from pipelines.engines.local.nodes import Node, Phase
from pipelines.engines.local.pod_folder import NoOutput, PodFolder, expanded
from pipelines.engines.local.pod_reader import MAIN
from pipelines.engines.local.run_context import RunContext
from pipelines.engines.local.run_control import RunControl
from pipelines.engines.local.threads import run_all
from pipelines.errors import Misconfigured
from pipelines.tools.processes.child_process import ChildProcess, ExitStatus

NEVER_RAN = 64
"""The exit code of Argo's executor if a container's command never ran."""
_DEADLINE = "Pod was active on the node longer than the specified deadline"
_MAX_LINE = 65536


class PodRun:
    """One pod, from its first container to its outputs."""

    def __init__(
        self, pod: Pod, folder: PodFolder, containers: Mapping[str, Node], context: RunContext, stage: RunControl
    ) -> None:
        """Prepare a run; `containers` holds the node of each container, the pod's own node for a single container."""
        self.pod = pod
        self.folder = folder
        self.containers = containers
        self.nodes = context.nodes
        self.context = context
        self.stage = stage
        self.lock = threading.Condition()
        self.codes: dict[str, int] = {}
        """The exit code of each container that ended, as the containers that depend on it see it."""
        self.shown: dict[str, tuple[int, str]] = {}
        """The exit code and message of each container that ended, as a cluster shows them."""
        self.children: set[ChildProcess] = set()
        self.has_failed = self.timed_out = False

    def run(self, node: Node, outputs: tuple[OutputParameter, ...], limit_seconds: float | None) -> None:
        """Run every container and finish the pod's node."""
        if self.pod.is_set:
            run_all([partial(self._in_turn, container, limit_seconds) for container in self.pod.containers])
        else:
            self._contain(self.pod.containers[0], limit_seconds)
        self._conclude(node, outputs)

    def _in_turn(self, container: Container, limit_seconds: float | None) -> None:
        needed = container.dependencies
        with self.lock:
            self.lock.wait_for(lambda: any(map(self._failed, needed)) or self.codes.keys() >= {*needed})
            failed = next(filter(self._failed, needed), None)
        if failed is not None:
            # The containers that depend on it see the code of the failed one; it exits with Argo's own code itself.
            code = self.codes[failed]
            self._ended(container, code, NEVER_RAN, f'dependency "{failed}" exited with non-zero code: {code}')
            return
        self._contain(container, limit_seconds)

    def _failed(self, name: str) -> bool:
        return self.codes.get(name, 0) != 0

    def _contain(self, container: Container, limit_seconds: float | None) -> None:
        node = self.containers[container.name]
        if self.has_failed or self.stage.is_ended:
            self._ended(container, 143, 143, "")
            return
        try:
            if self.pod.is_set:
                self.nodes.start(node)
            ended = self._attend(container, node, limit_seconds)
        except Misconfigured as error:
            self._ended(container, NEVER_RAN, NEVER_RAN, f"{error.what}: {error.seen}")
            return
        except BaseException:
            self._ended(container, NEVER_RAN, NEVER_RAN, "")
            raise
        self.timed_out = self.timed_out or ended.timed_out
        self._ended(container, ended.code, ended.code, "")

    def _attend(self, container: Container, node: Node, limit_seconds: float | None) -> ExitStatus:
        own = self.folder.variables(container)
        environment = {**self.context.environment, **own}
        argv = [expanded(word, own) for word in container.command]
        node.log = self.nodes.new_log(node)
        with node.log.open("wb") as log:
            lines = _Lines(log, lambda text: self.nodes.reporter.line(node, text))
            folder, context = self.folder.working_folder(container), self.context
            child = ChildProcess(argv, cwd=folder, env=environment, reaper=context.reaper, start=context.start)
            with self.stage.running(child):
                with self.lock:
                    self.children.add(child)
                    if self.has_failed:
                        child.stop()
                ended = child.attend(lines.add, timeout_seconds=limit_seconds, grace_seconds=context.grace_seconds)
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
        if self.stage.is_ended and self.has_failed:
            return Phase.FAILED, self.stage.message
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
    """Writes output to a log unchanged, and passes it on line by line."""

    def __init__(self, log: BinaryIO, line: Callable[[str], None]) -> None:
        self.log = log
        self.line = line
        self.rest = b""

    def add(self, data: bytes) -> None:
        self.log.write(data)
        self.log.flush()
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.line(line.decode(errors="replace").rstrip("\r"))
        if len(self.rest) > _MAX_LINE:
            self.end()

    def end(self) -> None:
        if self.rest:
            self.line(self.rest.decode(errors="replace"))
        self.rest = b""


def _message(name: str, code: int, message: str) -> str:
    return f"{name}: Error (exit code {code})" + (f": {message}" if message else "")
