"""Processes that are attended to while they run: output as it comes, a time limit, a stop from another thread.

A child is a session of its own, like a container: when its first process ends, the rest of its group is killed. A Keeper sees to it
that no group outlives this process, even when it is killed with -9: it is told of each, and finds by a variable in their
environment those that this process could not tell of any more.
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
"""Chunks read after the end: more than a pipe holds, and not for ever when a process that escaped goes on writing."""
_STOP, _ENDED = b"s", b"e"
_NEVER = float("inf")
_MARK = "SHIPWAY_STARTED_BY"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a child ended: its exit code, 128 and the signal's number where a signal ended it."""

    code: int
    timed_out: bool
    stopped: bool


@functools.cache
def mark() -> Mapping[str, str]:
    """Return the environment variable by which a Keeper finds what this process started; another process has another."""
    return {_MARK: secrets.token_hex(16)}


class Keeper:
    """A program that ends this process's children when this process is gone."""

    def __init__(self, *, grace_seconds: float) -> None:
        """Start it; `grace_seconds` lie between its SIGTERM and its SIGKILL."""
        program = Path(__file__).with_name("reaper.py")
        argv: list[str | Path] = [
            sys.executable,
            "-I",
            "-S",
            program,
            f"{grace_seconds:g}",
            *map("=".join, mark().items()),
        ]
        # A keeper is nobody's child to end, not even where this process is one.
        env = {name: value for name, value in os.environ.items() if name != _MARK}
        self._process = process.start(argv, cwd=Path("/"), env=env, stdin=process.PIPE)
        self._lock = threading.Lock()

    def add(self, group: int) -> None:
        """Answer for a process group."""
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """Forget a process group that has ended."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tell(".\n")
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


class Program(Protocol):
    """A process in a session of its own, as something started it."""

    pid: int
    output: int
    """Descriptor of the pipe that both its outputs go into."""

    def until_ended(self) -> None:
        """Wait until it has ended; its number stays its own."""

    def reap(self) -> int:
        """Wait until it has ended, give its number away, and return its exit code, a signal's number below zero."""

    def close(self) -> None:
        """Close the pipe."""


class Start(Protocol):
    """How programs are started; raises Misconfigured when one cannot be."""

    def __call__(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Program:
        """Start one."""


class Started:
    """A program that this process started itself."""

    def __init__(self, running: process.Running) -> None:
        """Take over a process whose output is a pipe."""
        assert running.stdout is not None
        self._running = running
        self.pid = running.pid
        self.output = running.stdout.fileno()

    def until_ended(self) -> None:
        """Wait until it has ended; its number stays its own."""
        process.until_ended(self.pid)

    def reap(self) -> int:
        """Wait until it has ended and return its exit code."""
        return self._running.wait()

    def close(self) -> None:
        """Close the pipe."""
        assert self._running.stdout is not None
        self._running.stdout.close()


def start(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Program:
    """Start a program; raises Misconfigured when it cannot be started."""
    return Started(process.start(argv, cwd=cwd, env=env))


class Child:
    """A running process and everything it started."""

    def __init__(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], keeper: Keeper, start: Start = start
    ) -> None:
        """Start it; raises Misconfigured when the program cannot be started."""
        self._program = start(argv, cwd=cwd, env={**env, **mark()})
        self._code: int | None = None
        self._keeper = keeper
        keeper.add(self._program.pid)
        self._events, self._wake = os.pipe()
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Ask it to end; may be called from any thread, at any time."""
        self._notify(_STOP)

    def attend(self, output: Callable[[bytes], None], *, timeout_seconds: float | None, grace_seconds: float) -> Ended:
        """Pass its output on until it has ended.

        When the time is up, or on `stop`, it gets SIGTERM and, `grace_seconds` later, SIGKILL.
        """
        threading.Thread(target=self._await, daemon=True).start()
        try:
            timed_out, stopped = self._follow(output, timeout_seconds, grace_seconds)
        finally:
            self._close()
        assert self._code is not None
        code = self._code
        return Ended(code=code if code >= 0 else 128 - code, timed_out=timed_out, stopped=stopped)

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

    def _await(self) -> None:
        # Not reaped yet: until the group is killed, nobody else may get its number.
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
        self._keeper.remove(self._program.pid)
        with self._lock:
            os.close(self._wake)
            os.close(self._events)
            self._wake = -1
        self._program.close()


def _pass_on(descriptor: int, output: Callable[[bytes], None], *, chunks: int) -> bool:
    """Hand over what is there, up to so many chunks; return whether more may come."""
    for _ in range(chunks):
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return True
        if not data:
            return False
        output(data)
    return True
