"""Runs a workflow on this machine: checks everything, then runs the entrypoint and the exit handler.

The order is that of Argo's controller (operator.go, operate): the exit handler runs after success, failure, a deadline
and a stop, and its failure fails a workflow that had succeeded.
"""

from __future__ import annotations

import os
import secrets as randomness
import sys
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path

from pipelines.engines.local import plan as local_plan
from pipelines.engines.local.definition import TemplateName
from pipelines.engines.local.documents import Documents
from pipelines.engines.local.node_recorder import NodeRecorder
from pipelines.engines.local.nodes import Node, Phase, RunResult, Spot
from pipelines.engines.local.reporter import Reporter
from pipelines.engines.local.run_context import RunContext
from pipelines.engines.local.run_control import EXPIRED, STOPPED, RunControl
from pipelines.engines.local.runner import Runner
from pipelines.errors import Refused
from pipelines.tools.processes import child_process
from pipelines.tools.processes.child_process import Reaper, StartProgram

NOTES = (
    "commands run on this machine as this user, in its environment and not in the image",
    "containers of a pod share their folders: nothing here keeps one from another's Secrets",
)
GRACE_SECONDS = 30.0
"""The time between SIGTERM and SIGKILL, the default of a pod."""
NAMESPACE = "local"
_POLL_SECONDS = 0.2


def run(
    documents: Documents,
    template_name: str,
    arguments: Mapping[str, str],
    *,
    config_maps: Mapping[str, Mapping[str, str]],
    secrets: Path | None,
    folder: Path,
    jobs: int,
    reporter: Reporter,
    name: str = "",
    keep: bool = False,
    grace_seconds: float = GRACE_SECONDS,
    start: StartProgram = child_process.start,
) -> RunResult:
    """Run a workflow to its end and return its result, which says whether it succeeded.

    `folder` is new or empty and receives the logs; with `keep` also the pods' folders. Up to `jobs` pods run at the
    same time; `start` starts the programs of their containers. A KeyboardInterrupt stops the run and lets the exit
    handler run; a second one ends the exit handler too. Raises Misuse, Refused or Misconfigured before anything has
    started.
    """
    checked = local_plan.make(documents, template_name, arguments, config_maps=config_maps, secrets=secrets)
    if folder.exists() and any(folder.iterdir()):
        raise Refused(f"{folder} already holds a run", todo="give another folder")
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    reaper = Reaper(grace_seconds=grace_seconds)
    try:
        context = RunContext(
            plan=checked,
            nodes=NodeRecorder(reporter, folder.resolve()),
            # In Argo, too, `parallelism` bounds the pods of a workflow that are active at the same time.
            slots=threading.Semaphore(min(filter(None, (jobs, checked.workflow.parallelism)))),
            keep=keep,
            reaper=reaper,
            start=start,
            environment=_environment(),
            grace_seconds=grace_seconds,
        )
        return _Engine(context, name or f"{template_name}-{randomness.token_hex(3)}").run()
    finally:
        reporter.run_ended()
        reaper.close()


class _Engine:
    """One run."""

    def __init__(self, context: RunContext, name: str) -> None:
        self.context = context
        self.plan = context.plan
        self.reporter = context.nodes.reporter
        self.folder = context.nodes.folder
        self.name = name
        self.stages = [RunControl(), RunControl()]
        self.names = {
            "workflow.name": name,
            "workflow.uid": str(uuid.uuid4()),
            "workflow.namespace": NAMESPACE,
            **{f"workflow.parameters.{key}": value for key, value in self.plan.parameters.items()},
        }

    def run(self) -> RunResult:
        self.reporter.run_started(self.name, [*NOTES, f"logs: {self.folder / 'logs'}"])
        result: list[RunResult | BaseException] = []
        done = threading.Event()

        def work() -> None:
            try:
                result.append(self._run())
            except BaseException as error:  # noqa: BLE001  # raised again in the thread that can be interrupted
                result.append(error)
            finally:
                done.set()

        threading.Thread(target=work, daemon=True).start()
        ended = False
        while not ended:
            try:
                # With a time limit: the system may deliver a signal to another thread, which does not wake this one.
                ended = done.wait(_POLL_SECONDS)
            except KeyboardInterrupt:
                self._interrupted()
        if isinstance(result[0], BaseException):
            raise result[0]
        return result[0]

    def _interrupted(self) -> None:
        main, at_exit = self.stages
        if not main.is_stopped:
            self.reporter.note("stopping; interrupt again to end the exit handler too")
            main.end(STOPPED, is_stop=True)
        else:
            at_exit.end(STOPPED, is_stop=True)

    def _run(self) -> RunResult:
        workflow, (main, at_exit) = self.plan.workflow, self.stages
        timer = None
        if workflow.deadline_seconds is not None:
            timer = threading.Timer(workflow.deadline_seconds, main.end, (EXPIRED,), {"is_stop": False})
            timer.daemon = True
            timer.start()
        try:
            root = self._execute(workflow.entrypoint, main, self.names, self.name)
        finally:
            if timer is not None:
                timer.cancel()
        phase, message = (root.phase if root.phase.is_bad else Phase.SUCCEEDED), root.message
        if phase.is_bad and main.is_stopped:
            message = "Stopped with strategy 'Stop'"
        on_exit = None
        if workflow.on_exit:
            names = {**self.names, local_plan.STATUS: str(phase)}
            on_exit = self._execute(workflow.on_exit, at_exit, names, f"{self.name}.onExit")
            if phase is Phase.SUCCEEDED and on_exit.phase.is_bad:
                phase, message = on_exit.phase, on_exit.message
        return RunResult(
            name=self.name,
            template=workflow.name,
            phase=phase,
            message=message,
            stopped=main.is_stopped,
            root=root,
            on_exit=on_exit,
            folder=self.folder,
        )

    def _execute(self, name: TemplateName, stage: RunControl, names: Mapping[str, str], node_name: str) -> Node:
        return Runner(self.context, stage, names).execute(name, self.plan.parameters, Spot(node_name, node_name))


def _environment() -> dict[str, str]:
    """Return this process's environment, with the folder of the running Python first on PATH."""
    programs = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join(filter(None, (programs, os.environ.get("PATH", os.defpath))))}
