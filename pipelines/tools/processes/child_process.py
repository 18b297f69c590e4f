"""Child processes: output as it comes, a time limit, a stop from another thread.

A child process has a session of its own, like a container: when its first process ends, the rest of its group is
killed. A Reaper ends the groups that are left when this process is killed.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipelines.tools.processes import process

_CHUNK = 65536
_REST = 64
"""Chunks read after the end: more than a pipe holds, and bounded if a process that left the group goes on writing."""
_STOP, _ENDED = b"s", b"e"
_NEVER = float("inf")
_MARK = "SHIPWAY_STARTED_BY"


@dataclass(frozen=True, kw_only=True)
class ExitStatus:
    """How a child process ended: its exit code, or 128 plus the number of the signal that ended it."""

    code: int
    timed_out: bool
    stopped: bool


@functools.cache
def mark() -> Mapping[str, str]:
    """Return the environment variable by which a Reaper finds what this process started; each process has its own."""
    return {_MARK: secrets.token_hex(16)}


class Reaper:
    """The program `reaper.py`, which ends this process's children once this process is gone."""

    def __init__(self, *, grace_seconds: float) -> None:
        """Start it; `grace_seconds` is the time between its SIGTERM and its SIGKILL."""
        program = str(Path(__file__).with_name("reaper.py"))
        argv = [sys.executable, "-I", "-S", program, f"{grace_seconds:g}", *map("=".join, mark().items())]
        # Without the mark of a process that started this one: no other reaper may end this one.
        env = {name: value for name, value in os.environ.items() if name != _MARK}
        self._process = process.start(argv, cwd=Path("/"), env=env, stdin=process.PIPE)
        self._lock = threading.Lock()

    def add(self, group: int) -> None:
        """Report a process group that has started."""
        self._send(f"+{group}\n")

    def remove(self, group: int) -> None:
        """Report a process group that has ended."""
        self._send(f"-{group}\n")

    def close(self) -> None:
        """End it and wait until it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._send(".\n")
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


class Program(Protocol):
    """A program that runs in a session of its own, however it was started."""

    pid: int
    output: int
    """Descriptor of the pipe for both its outputs."""

    def until_ended(self) -> None:
        """Wait until it has ended; no other process gets its id yet."""

    def reap(self) -> int:
        """Wait until it has ended, free its id, and return its exit code, a signal's number below zero."""

    def close(self) -> None:
        """Close the pipe."""


class StartProgram(Protocol):
    """Starts programs; raises Misconfigured if one cannot be started."""

    def __call__(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Program:
        """Start one."""


class StartedProgram:
    """A program that this process started itself."""

    def __init__(self, running: process.Running) -> None:
        """Wrap a process whose output is a pipe."""
        assert running.stdout is not None
        self._running = running
        self.pid = running.pid
        self.output = running.stdout.fileno()

    def until_ended(self) -> None:
        """Wait until it has ended; no other process gets its id yet."""
        process.until_ended(self.pid)

    def reap(self) -> int:
        """Wait until it has ended and return its exit code."""
        return self._running.wait()

    def close(self) -> None:
        """Close the pipe."""
        assert self._running.stdout is not None
        self._running.stdout.close()


def start(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Program:
    """Start a program; raises Misconfigured if it cannot be started."""
    return StartedProgram(process.start(argv, cwd=cwd, env=env))


class ChildProcess:
    """A running process and everything it started."""

    def __init__(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], reaper: Reaper, start: StartProgram = start
    ) -> None:
        """Start it; raises Misconfigured if the program cannot be started."""
        self._program = start(argv, cwd=cwd, env={**env, **mark()})
        self._code: int | None = None
        self._reaper = reaper
        reaper.add(self._program.pid)
        self._events, self._wake = os.pipe()
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Ask it to end; any thread may call this at any time."""
        self._notify(_STOP)

    def attend(
        self, output: Callable[[bytes], None], *, timeout_seconds: float | None, grace_seconds: float
    ) -> ExitStatus:
        """Pass its output to a function until it has ended, and return how it ended.

        When the time is up, or after `stop`, it gets SIGTERM and, `grace_seconds` later, SIGKILL.
        """
        threading.Thread(target=self._wait, daemon=True).start()
        try:
            timed_out, stopped = self._follow(output, timeout_seconds, grace_seconds)
        finally:
            self._close()
        assert self._code is not None
        code = self._code
        return ExitStatus(code=code if code >= 0 else 128 - code, timed_out=timed_out, stopped=stopped)

    def _follow(
        self, output: Callable[[bytes], None], timeout_seconds: float | None, grace_seconds: float
    ) -> tuple[bool, bool]:
        out = self._program.output
        os.set_blocking(out, False)
        poll = select.poll()
        poll.register(out, select.POLLIN)
        poll.register(self._events, select.POLLIN)
        end_at = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        kill_at: float | None = None
        timed_out = stopped = False
        while True:
            next_at = end_at if kill_at is None else kill_at
            wait = None if next_at in (None, _NEVER) else max(0.0, next_at - time.monotonic()) * 1000 + 1
            for descriptor, _ in poll.poll(wait):
                if descriptor == out and not _pass_on(out, output, chunks=1):
                    poll.unregister(out)
                if descriptor == self._events:
                    events = os.read(self._events, _CHUNK)
                    if _ENDED in events:
                        self._signal(signal.SIGKILL)
                        self._reap()
                        _pass_on(out, output, chunks=_REST)
                        return timed_out, stopped
                    stopped = True
            now = time.monotonic()
            if end_at is not None and now >= end_at:
                timed_out, end_at = True, None
            if (timed_out or stopped) and kill_at is None:
                self._signal(signal.SIGTERM)
                kill_at, end_at = now + grace_seconds, None
            elif kill_at is not None and now >= kill_at:
                self._signal(signal.SIGKILL)
                kill_at = _NEVER

    def _wait(self) -> None:
        # Not reaped yet: until the group is killed, no other process may get its id.
        self._program.until_ended()
        self._notify(_ENDED)

    def _notify(self, event: bytes) -> None:
        with self._lock:
            if self._wake >= 0:
                os.write(self._wake, event)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._program.pid, number)

    def _reap(self) -> None:
        self._code = self._program.reap()

    def _close(self) -> None:
        if self._code is None:
            self._signal(signal.SIGKILL)
            self._reap()
        self._reaper.remove(self._program.pid)
        with self._lock:
            os.close(self._wake)
            os.close(self._events)
            self._wake = -1
        self._program.close()


def _pass_on(descriptor: int, output: Callable[[bytes], None], *, chunks: int) -> bool:
    """Pass on what can be read, up to so many chunks; return whether more may come."""
    for _ in range(chunks):
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return True
        if not data:
            return False
        output(data)
    return True
