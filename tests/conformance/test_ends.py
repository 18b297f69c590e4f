"""However a run ends, nothing of it goes on: an interrupt, two of them, kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.tools.processes import child_process, reaper

PATIENCE_SECONDS = 60.0
PROGRAM = """
import json, os, signal, sys
from pathlib import Path
from pipelines.tools.processes import child_process
from pipelines.engines.local import documents, engine
from pipelines.engines.local.reporter import PlainReporter
# Whoever started the tests in the background had these ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if "UNTOLD" in os.environ:
    child_process.Reaper.add = lambda reaper, group: None
folder = Path(sys.argv[1])
outcome = engine.run(
    documents.load([folder / "workflow.yaml"]), "endless", {}, config_maps={}, secrets=None,
    folder=folder / "run", jobs=4, reporter=PlainReporter(), name="run", grace_seconds=float(sys.argv[2]),
)
print(json.dumps(outcome.to_json()))
"""
# Each command tells its process id, and that of a child it starts, in a file; the second ignores SIGTERM.
WORKFLOW = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: endless}
spec:
  entrypoint: all
  onExit: bye
  templates:
  - name: all
    dag:
      tasks:
      - {name: polite, template: polite}
      - {name: stubborn, template: stubborn}
      - {name: after, template: polite, depends: polite || polite.Failed}
  - name: polite
    retryStrategy: {limit: 5}
    container: {image: busybox, command: [sh, -c, "sleep 1000 & echo $! $$$$ >> $PIDS; wait"]}
  - name: stubborn
    containerSet:
      containers:
      - {name: first, image: busybox, command: [sh, -c, "trap '' TERM; sleep 1000 & echo $! $$$$ >> $PIDS; wait; wait"]}
      - {name: main, image: busybox, command: [sh, -c, "exit 0"], dependencies: [first]}
  - name: bye
    container: {image: busybox, command: [sh, -c, 'echo "$1" > $BYE; EXIT', sh, "{{workflow.status}}"]}
"""
COMMANDS = 2


@contextmanager
def running(
    folder: Path, *, grace_seconds: float = 1.0, at_exit: str = "exit 0", variables: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run an engine whose commands never end, and give it once they all run."""
    (folder / "workflow.yaml").write_text(WORKFLOW.replace("EXIT", at_exit))
    env = {**os.environ, "PIDS": str(folder / "pids"), "BYE": str(folder / "bye"), **(variables or {})}
    argv = [sys.executable, "-c", PROGRAM, str(folder), f"{grace_seconds:g}"]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True) as engine:
        try:
            until(lambda: len(pids(folder)) == 2 * COMMANDS or engine.poll() is not None)
            assert engine.poll() is None
            assert all(map(lives, pids(folder)))
            yield engine
        finally:
            engine.kill()
            for pid in pids(folder):
                if lives(pid):
                    os.kill(pid, signal.SIGKILL)


def test_an_interrupt_stops_the_run_and_the_exit_handler_runs(tmp_path: Path) -> None:
    """Ctrl-C ends every command, starts no further task or attempt,
    and the exit handler hears of a failure, as on `argo stop`.
    """
    with running(tmp_path) as engine:
        engine.send_signal(signal.SIGINT)
        outcome = ended(engine)
        until(lambda: not any(map(lives, pids(tmp_path))))
    assert outcome["stopped"] is True
    assert outcome["phase"] == "Failed"
    assert outcome["message"] == "Stopped with strategy 'Stop'"
    assert outcome["onExit"]["phase"] == "Succeeded"
    assert (tmp_path / "bye").read_text() == "Failed\n"
    tasks = {node["displayName"]: node for node in outcome["nodes"]["children"]}
    assert tasks.keys() == {"polite", "stubborn"}
    assert tasks["polite"]["attempts"] == 1
    assert {task["phase"] for task in tasks.values()} == {"Failed"}
    assert list((tmp_path / "run").glob("pods/*")) == []


def test_a_second_interrupt_ends_the_exit_handler(tmp_path: Path) -> None:
    """Who asks twice does not wait for the exit handler."""
    with running(tmp_path, at_exit="exec sleep 1000") as engine:
        engine.send_signal(signal.SIGINT)
        until((tmp_path / "bye").is_file)
        engine.send_signal(signal.SIGINT)
        outcome = ended(engine)
    assert outcome["stopped"] is True
    assert outcome["onExit"]["phase"] == "Failed"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP], ids=lambda number: number.name)
def test_no_command_outlives_an_engine_that_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    """kill -9 of the engine ends its commands and what they started, even those that ignore SIGTERM."""
    with running(tmp_path) as engine:
        engine.send_signal(number)
        engine.wait(PATIENCE_SECONDS)
        until(lambda: not any(map(lives, pids(tmp_path))))


def test_commands_that_nobody_was_told_of_end_with_their_engine(tmp_path: Path) -> None:
    """An engine that is killed right after it started a command,
    before it could say so, leaves it no more than any other.
    """
    with running(tmp_path, variables={"UNTOLD": "yes"}) as engine:
        engine.kill()
        engine.wait(PATIENCE_SECONDS)
        until(lambda: not any(map(lives, pids(tmp_path))))


def test_an_engine_inside_a_command_of_another_ends_its_own(tmp_path: Path) -> None:
    """The reaper of an engine that was killed ends the inner engine, and the inner one's reaper its commands."""
    variable = "=".join([*child_process.mark(), "outer"])
    with (
        subprocess.Popen([sys.executable, reaper.__file__, "1", variable], stdin=subprocess.PIPE) as outer,
        running(tmp_path, variables=dict([variable.split("=")])) as engine,
    ):
        assert outer.stdin is not None
        outer.stdin.close()
        engine.wait(PATIENCE_SECONDS)
        until(lambda: not any(map(lives, pids(tmp_path))))
    assert outer.returncode == 0


def test_a_killed_command_fails_its_node_and_takes_its_children_along(tmp_path: Path) -> None:
    """When a command dies by kill -9, what it left behind is ended, and the run goes on."""
    with running(tmp_path) as engine:
        sleeper, shell = next(
            (a, b) for a, b in zip(pids(tmp_path)[::2], pids(tmp_path)[1::2], strict=True) if ignores_nothing(b)
        )
        os.kill(shell, signal.SIGKILL)
        until(lambda: not lives(sleeper))
        until(lambda: len(pids(tmp_path)) == 2 * COMMANDS + 2)
        engine.send_signal(signal.SIGINT)
        outcome = ended(engine)
    polite = next(node for node in outcome["nodes"]["children"] if node["displayName"] == "polite")
    assert polite["attempts"] == 2
    assert polite["children"][0]["exitCode"] == 128 + signal.SIGKILL


def test_what_a_killed_step_was_running_ends_with_it(tmp_path: Path) -> None:
    """A step's programs are sessions of their own; when the step dies by kill -9, they die as well."""
    told = tmp_path / "pid"
    program = f"""
from pipelines.tools.processes import process
process.run(["sh", "-c", "echo $$ > {told}.new; mv {told}.new {told}; exec sleep 1000"], timeout_seconds=1000)
"""
    with subprocess.Popen([sys.executable, "-c", program]) as step:
        until(told.is_file)
        running = int(told.read_text())
        assert lives(running)
        step.kill()
    until(lambda: not lives(running))


def pids(folder: Path) -> list[int]:
    """Return the process ids that commands told."""
    file = folder / "pids"
    return [int(word) for word in file.read_text().split()] if file.is_file() else []


def lives(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ignores_nothing(pid: int) -> bool:
    """Whether a process ignores no signal but those that Python ignores for its children."""
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = int(next(line for line in status.splitlines() if line.startswith("SigIgn")).split()[1], 16)
    return not ignored & 1 << (signal.SIGTERM - 1)


def ended(engine: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what an engine said at its end."""
    stdout, _ = engine.communicate(timeout=PATIENCE_SECONDS)
    return dict(json.loads(stdout))


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
