"""Commands that are forked: as if each were a new process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.errors import Misconfigured
from pipelines.tools.processes.child_process import ChildProcess, Program, Reaper, StartedProgram
from pipelines.tools.processes.fork_client import ForkClient
from tests.shipway_process import until

COMMANDS = """
import atexit, os, signal, subprocess, sys, time

def until(path):
    while not os.path.exists(path):
        time.sleep(0.01)

def prepare(words):
    if words[0] == "hold":
        open(words[1] + "/holding", "w").close()
        until(words[1] + "/go")
    __import__({"modules": "loaded", "broken": "broken"}.get(words[0], words[0]))

def main(words):
    verb, *rest = words
    if verb == "exit":
        atexit.register(print, "at last")
        sys.exit({"text": "no way", "none": None}.get(rest[0], rest[0] == "true"))
    if verb == "until":
        until(rest[0])
    if verb == "write":
        print("x" * 1_000_000)
    if verb == "tell":
        print(os.getcwd(), os.environ.get("ONE"), "HOME" in os.environ, sys.argv, sys.stdin.read() == "")
        print(f"err {os.getsid(0) == os.getpid() == os.getpgid(0)}", file=sys.stderr)
        return 7
    if verb == "descriptors":
        print(*sorted(set(os.listdir("/proc/self/fd")) - {"0", "1", "2"}))
    if verb == "modules":
        print(rest[0] in sys.modules)
    if verb == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if verb == "raise":
        raise RuntimeError("no way")
    if verb == "wait":
        child = subprocess.Popen(["sleep", "600"])
        os.write(1, b"%d" % child.pid)
        time.sleep(600)
    return 0
"""


class ServedTool:
    """A server of a program `tool`, and what its commands get."""

    def __init__(self, server: ForkClient, folder: Path) -> None:
        """Take a server whose program lies in `folder`/bin."""
        self.server = server
        self.folder = folder
        self.environment = {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        self.reaper = Reaper(grace_seconds=1)
        self.started: list[Program] = []

    def child(self, *words: str, **variables: str) -> ChildProcess:
        """Start a command."""
        env = {**self.environment, **variables}
        return ChildProcess(["tool", *words], cwd=self.folder, env=env, reaper=self.reaper, start=self.start)

    def start(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Program:
        """Start a command, and keep what it is."""
        self.started.append(self.server.start(argv, cwd=cwd, env=env))
        return self.started[-1]

    def run(self, *words: str, **variables: str) -> tuple[str, int]:
        """Run a command to its end and return what it wrote and its exit code."""
        written: list[bytes] = []
        ended = self.child(*words, **variables).attend(written.append, timeout_seconds=None, grace_seconds=1)
        return b"".join(written).decode(), ended.code

    def was_forked(self) -> bool:
        """Whether the last command was."""
        return not isinstance(self.started[-1], StartedProgram)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedTool]:
    """Serve forks of `tool`."""
    (tmp_path / "commands.py").write_text(COMMANDS)
    (tmp_path / "loaded.py").write_text("")
    (tmp_path / "broken.py").write_text("raise SystemError")
    tool = tmp_path / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text(f"#!{sys.executable}\nimport sys\nfrom commands import main\nsys.exit(main(sys.argv[1:]))\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with contextlib.closing(ForkClient(tool, "commands")) as server:
        found = ServedTool(server, tmp_path)
        yield found
        found.reaper.close()


def test_a_fork_is_what_a_new_process_would_be(tool: ServedTool) -> None:
    """Folder, environment, words, an empty input, both outputs, a
    session of its own, the exit code; no descriptor is left over.
    """
    expected = f"{tool.folder} two True ['tool', 'tell', 'a b']"
    forked, new = tool.run("tell", "a b", ONE="two"), tool.run("tell", "a b", ONE="two", LC_TIME="C")
    assert [sorted(text.splitlines()) for text, _ in (forked,)] == [[f"{expected} True", "err True"]]
    assert (forked[1], new[1]) == (7, 7)
    assert sorted(new[0].replace(str(tool.folder / "bin" / "tool"), "tool").splitlines()) == sorted(
        forked[0].splitlines()
    )
    told = next(line for line in tool.run("tell")[0].splitlines() if line.startswith(str(tool.folder)))
    assert told.split()[1:3] == ["None", "True"], "a variable of the command before is gone"
    # One is that of the folder that is listed.
    assert len(tool.run("descriptors")[0].split()) == 1


def test_what_starts_otherwise_is_not_forked(tool: ServedTool) -> None:
    """A variable that Python reads as it starts, another program of that name, another name."""
    tool.run("tell")
    assert tool.was_forked()
    tool.run("tell", PYTHONOPTIMIZE="1")
    assert not tool.was_forked()
    tool.run("tell", PYTHONPATH=f"{tool.folder}:/nowhere")
    assert not tool.was_forked()
    other = tool.folder / "other" / "tool"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho other\n")
    other.chmod(0o755)
    assert tool.run("tell", PATH=f"{other.parent}:{os.environ['PATH']}") == ("other\n", 0)
    with pytest.raises(Misconfigured, match="no-such-program"):
        tool.server.start(["no-such-program"], cwd=tool.folder, env=tool.environment)


def test_ends_are_told_as_they_are(tool: ServedTool) -> None:
    """A signal, an exception, a module that cannot be loaded; and many at once."""
    assert tool.run("kill") == ("", 137)
    text, code = tool.run("raise")
    assert (code, text.splitlines()[-1]) == (1, "RuntimeError: no way")
    assert tool.run("broken") == ("", 0)
    assert [tool.run("exit", word) for word in ("none", "true")] == [("at last\n", 0), ("at last\n", 1)]
    assert sorted(tool.run("exit", "text")[0].splitlines()) == ["at last", "no way"]
    assert tool.run("exit", "text")[1] == 1
    assert len(tool.run("write")[0]) == 1_000_001
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: tool.run("tell")[1], range(40))) == {7}
    assert tool.was_forked()


def test_modules_are_loaded_before_a_fork(tool: ServedTool) -> None:
    """Those that a command needs, and those of commands that were to be prepared."""
    assert tool.run("modules", "loaded") == ("True\n", 0)
    assert tool.run("modules", "wave") == ("False\n", 0)
    tool.server.prepare([["broken"], ["wave"]])
    until(lambda: tool.run("modules", "wave")[0] == "True\n")


def test_an_end_is_told_while_others_are_prepared(tool: ServedTool) -> None:
    """What takes long to prepare holds up no command that runs."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(tool.run, "until", str(tool.folder / "end"))
        until(lambda: bool(tool.started))
        tool.server.prepare([["hold", str(tool.folder)]])
        until((tool.folder / "holding").exists)
        (tool.folder / "end").touch()
        try:
            assert running.result(timeout=60) == ("", 0)
        finally:
            (tool.folder / "go").touch()


def test_a_stop_ends_the_whole_group(tool: ServedTool) -> None:
    """What a forked command started ends with it."""
    child = tool.child("wait")
    other: list[int] = []

    def take(data: bytes) -> None:
        other.append(int(data))
        child.stop()

    ended = child.attend(take, timeout_seconds=None, grace_seconds=1)
    assert (ended.code, ended.stopped) == (143, True)
    until(lambda: not is_running(other[0]))


def test_without_its_server_a_command_counts_as_killed_and_the_next_starts_anew(tool: ServedTool) -> None:
    """The server is killed while a command runs."""
    child = tool.child("wait")
    other: list[int] = []

    def take(data: bytes) -> None:
        other.append(int(data))
        os.kill(
            int(Path(f"/proc/{tool.started[-1].pid}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL
        )

    assert child.attend(take, timeout_seconds=None, grace_seconds=1).code == 137
    until(lambda: not is_running(other[0]))
    assert tool.run("tell")[1] == 7
    assert not tool.was_forked()


def test_a_fork_that_nobody_was_told_of_ends_with_whoever_asked_for_it(tool: ServedTool) -> None:
    """The process that asked is killed before its reaper hears of the command."""
    program = f"""
import os, signal
from pathlib import Path
from pipelines.tools.processes.child_process import Reaper
from pipelines.tools.processes.fork_client import ForkClient
reaper, server = Reaper(grace_seconds=1), ForkClient(Path({str(tool.folder / "bin" / "tool")!r}), "commands")
started = server.start(["tool", "wait"], cwd=Path("/"), env=os.environ)
print(started.pid, os.read(started.output, 100).decode(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], env=tool.environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == -signal.SIGKILL
    command, child = map(int, ended.stdout.split())
    until(lambda: not is_running(command) and not is_running(child))


def is_running(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
