"""Runs a workflow on this machine: checks everything, runs the entrypoint, then the exit handler, and says how it ended.

The order of things is that of Argo's controller (operator.go, operate): the exit handler runs after success, failure, a deadline
and a stop, and its own failure fails a workflow that had succeeded.
"""

from __future__ import annotations

import itertools
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
from pipelines.engines.local.mutexes import EXPIRED, STOPPED, Mutexes, RunControl
from pipelines.engines.local.nodes import Node, Phase, RunResult, Spot
from pipelines.engines.local.plan import WorkflowPlan
from pipelines.engines.local.pods import Setting
from pipelines.engines.local.reporter import Reporter
from pipelines.engines.local.runner import Runner, Shared
from pipelines.errors import Refused
from pipelines.tools.processes import child as process_child
from pipelines.tools.processes.child import Keeper, Start

NOTES = (
    "commands run on this machine as this user, in its environment and not in the image",
    "containers of a pod share their folders: nothing here keeps one from another's Secrets",
)
GRACE_SECONDS = 30.0
"""Between SIGTERM and SIGKILL; a pod has as long by default."""
NAMESPACE = "local"
_LOOK_SECONDS = 0.2


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
    start: Start = process_child.start,
) -> RunResult:
    """Run a workflow to its end and return its outcome, which says whether it succeeded.

    `folder` is new and receives the logs; with `keep` also the pods' folders. `jobs` pods run at the same time;
    `start` starts what their containers run.
    A KeyboardInterrupt stops the run and lets the exit handler run; a second one ends that too.
    Raises Misuse, Refused or Misconfigured before anything has started.
    """
    checked = local_plan.make(documents, template_name, arguments, config_maps=config_maps, secrets=secrets)
    if folder.exists() and any(folder.iterdir()):
        raise Refused(f"{folder} already holds a run", todo="give another folder")
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    keeper = Keeper(grace_seconds=grace_seconds)
    try:
        engine = _Engine(
            checked,
            folder=folder.resolve(),
            jobs=jobs,
            reporter=reporter,
            keeper=keeper,
            name=name or f"{template_name}-{randomness.token_hex(3)}",
            keep=keep,
            grace_seconds=grace_seconds,
            start=start,
        )
        return engine.run()
    finally:
        reporter.run_ended()
        keeper.close()


class _Engine:
    """One run."""

    def __init__(
        self,
        plan: WorkflowPlan,
        *,
        folder: Path,
        jobs: int,
        reporter: Reporter,
        keeper: Keeper,
        name: str,
        keep: bool,
        grace_seconds: float,
        start: Start,
    ) -> None:
        self.plan = plan
        self.name = name
        self.reporter = reporter
        self.keeper = keeper
        self.start = start
        self.grace_seconds = grace_seconds
        # At most `parallelism` pods of a workflow are active at a time, in Argo as well.
        slots = min(filter(None, (jobs, plan.workflow.parallelism)))
        self.shared = Shared(
            plan=plan,
            folder=folder,
            keep=keep,
            slots=threading.Semaphore(slots),
            counter=itertools.count(1),
            mutexes=Mutexes(),
        )
        self.stages = [RunControl(), RunControl()]
        self.names = {
            "workflow.name": name,
            "workflow.uid": str(uuid.uuid4()),
            "workflow.namespace": NAMESPACE,
            **{f"workflow.parameters.{key}": value for key, value in plan.parameters.items()},
        }

    def run(self) -> RunResult:
        self.reporter.run_started(self.name, [*NOTES, f"logs: {self.shared.folder / 'logs'}"])
        result: list[RunResult | BaseException] = []
        done = threading.Event()

        def work() -> None:
            try:
                result.append(self._run())
            except BaseException as error:  # noqa: BLE001  # raised again below, in the thread that can be interrupted
                result.append(error)
            finally:
                done.set()

        threading.Thread(target=work, daemon=True).start()
        ended = False
        while not ended:
            try:
                # Not for ever: the system may hand a signal to another thread, which does not wake this one.
                ended = done.wait(_LOOK_SECONDS)
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
            folder=self.shared.folder,
        )

    def _execute(self, name: TemplateName, stage: RunControl, names: Mapping[str, str], node_name: str) -> Node:
        setting = Setting(
            keeper=self.keeper,
            start=self.start,
            stage=stage,
            reporter=self.reporter,
            environment=_environment(),
            grace_seconds=self.grace_seconds,
        )
        return Runner(self.shared, setting, names).execute(name, self.plan.parameters, Spot(node_name, node_name))


def _environment() -> dict[str, str]:
    """Return this process's environment, the programs beside the running Python first on PATH."""
    programs = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join(filter(None, (programs, os.environ.get("PATH", os.defpath))))}
