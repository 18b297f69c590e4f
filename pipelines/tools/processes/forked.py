"""Forks one command of this package after another, out of a process that has loaded their modules already.

It runs as a program of its own, `python -m pipelines.tools.processes.forked MODULE`;
pipelines.tools.processes.fork_server starts it and speaks to it over the socket that is its standard input. The module's function `main` runs a command, its function `prepare` loads what
that command will need and starts no thread, both given the command's words. A message is its length in four bytes, and
that many bytes of JSON:

    {"prepare": [WORDS, …]}                     prepare these commands when there is nothing else to do
    {"argv": WORDS, "cwd": PATH, "env": {…}}    prepare and fork that one; with it come two descriptors, for its output and its status

What a status socket says is a line each: `+PID` from the command, in a session of its own by then, and `=CODE` from here once it has
ended, a signal's number below zero. The command stays a zombie, its number its own, until the other end of the socket is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

LENGTH_BYTES = 4


@dataclass
class Forking:
    """The server; it has no threads, or a fork would leave their locks behind."""

    requests: socket.socket
    prepare: Callable[[list[str]], object]
    ahead: deque[list[str]] = field(default_factory=deque)
    """Commands to prepare before anybody asks for one."""
    statuses: dict[int, socket.socket] = field(default_factory=dict)
    """Of commands that were forked and not reaped, by process id."""
    told: set[int] = field(default_factory=set)

    def serve(self) -> list[str] | None:
        """Fork what is asked for until nobody can ask; in the forked process, return the words of its command."""
        awake, waker = socket.socketpair()
        waker.setblocking(False)
        # Called while modules are loaded, too: whoever waits for an end must not wait for them.
        signal.signal(signal.SIGCHLD, lambda *_: self._tell())
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        while True:
            sources = [self.requests, awake, *self.statuses.values()]
            ready, _, _ = select.select(sources, [], [], 0 if self.ahead else None)
            if not ready:
                self._prepare(self.ahead.popleft())
            if awake in ready:
                awake.recv(4096)
                self._tell()  # those that ended before there was a socket to tell of them
            for closed in [pid for pid, status in self.statuses.items() if status in ready]:
                self._reap(closed)
            if self.requests not in ready:
                continue
            message, descriptors = _receive(self.requests)
            if message is None:
                return None
            if not descriptors:
                self.ahead.extend(message["prepare"])
                continue
            self._prepare(message["argv"][1:])
            output, status = descriptors[0], socket.socket(fileno=descriptors[1])
            pid = _fork()
            if pid != 0:
                os.close(output)
                if pid is None:
                    # That it closes without a word says that nothing was started.
                    status.close()
                else:
                    self.statuses[pid] = status
                continue
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for inherited in (self.requests, awake, waker, *self.statuses.values()):
                inherited.close()
            _become(message, output, status)
            return list(message["argv"])

    def _prepare(self, words: list[str]) -> None:
        # Whatever is wrong with a command, it meets it by itself.
        with contextlib.suppress(Exception):
            self.prepare(words)

    def _tell(self) -> None:
        for pid in self.statuses.keys() - self.told:
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                self.told.add(pid)
                code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
                with contextlib.suppress(OSError):  # whoever asked is gone
                    self.statuses[pid].sendall(b"=%d\n" % code)

    def _reap(self, pid: int) -> None:
        self.statuses.pop(pid).close()
        self.told.discard(pid)
        os.waitpid(pid, 0)


def _fork() -> int | None:
    gc.freeze()  # What is loaded stays: collections in the forked process need not go through it.
    try:
        return os.fork()
    except OSError:
        return None


def _become(message: dict[str, Any], output: int, status: socket.socket) -> None:
    """Make the forked process what a new one would be."""
    os.setsid()
    status.sendall(b"+%d\n" % os.getpid())
    status.close()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(message["cwd"])
    os.environ.clear()
    os.environ.update(message["env"])
    sys.argv = list(message["argv"])


def _receive(requests: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Return the next message and the descriptors that came with it; None when there is nobody left to send one."""
    length, descriptors, _, _ = socket.recv_fds(requests, LENGTH_BYTES, 2, socket.MSG_WAITALL)
    size = int.from_bytes(length, "big")
    body = requests.recv(size, socket.MSG_WAITALL) if len(length) == LENGTH_BYTES else b""
    # Short of its length, it is the last of somebody who is gone.
    return (json.loads(body) if body and len(body) == size else None), descriptors


def _main() -> None:
    requests = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    gc.set_threshold(50_000)  # as in pipelines.__main__
    commands = importlib.import_module(sys.argv[1])
    words = Forking(requests, commands.prepare).serve()
    _leave(0 if words is None else _run(commands.main, words[1:]))


def _run(command: Callable[[list[str]], int], words: list[str]) -> int:
    """Run a command and return its exit code, as Python would find it."""
    code: object = 1
    try:
        code = command(words)
    except SystemExit as error:
        code = error.code
    except BaseException:  # noqa: BLE001  # there is nobody above it
        sys.excepthook(*sys.exc_info())
    if isinstance(code, int | None):
        return code or 0
    sys.stderr.write(f"{code}\n")
    return 1


def _leave(code: int) -> NoReturn:
    """End as Python does, but for taking apart what was loaded.

    That would touch each object of each module, and so copy the memory that is shared with the server: 25 ms.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody is left to read it
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _main()
