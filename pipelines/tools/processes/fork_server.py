"""The fork server: forks this package's commands from a process that has loaded their modules.

This is a program of its own, `python -m pipelines.tools.processes.fork_server MODULE`.
pipelines.tools.processes.fork_client starts it and writes to the socket that is its standard input. The module's
function `main` runs a command; its function `prepare` loads what the command needs and starts no thread. Both take the
command's words. A message is its length in four bytes, then that many bytes of JSON:

    {"prepare": [WORDS, …]}                     prepare these commands when there is nothing else to do
    {"argv": WORDS, "cwd": PATH, "env": {…}}    prepare and fork that command

Two descriptors come with the second message, for the command's output and its status.

A status socket carries two lines: `+PID` from the command, once it has a session of its own, and `=CODE` from the
server, once the command has ended; a signal's number is below zero. The command stays a zombie, so that no other
process gets its id, until the client closes its end of the socket.
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
class ForkServer:
    """The server. It has no threads: a forked process would inherit their locks, held for ever."""

    requests: socket.socket
    prepare: Callable[[list[str]], object]
    ahead: deque[list[str]] = field(default_factory=deque)
    """Commands to prepare while no command is to be started."""
    statuses: dict[int, socket.socket] = field(default_factory=dict)
    """The status sockets of the commands that were forked and not yet reaped, by process id."""
    reported: set[int] = field(default_factory=set)
    """Those of them whose end the client knows."""

    def serve(self) -> list[str] | None:
        """Fork until the client has gone, then return None; in a forked process, return the words of its command."""
        awake, waker = socket.socketpair()
        waker.setblocking(False)
        # The handler also runs while modules load: an end is reported without waiting for them.
        signal.signal(signal.SIGCHLD, lambda *_: self._report())
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        while True:
            sources = [self.requests, awake, *self.statuses.values()]
            ready, _, _ = select.select(sources, [], [], 0 if self.ahead else None)
            if not ready:
                self._prepare(self.ahead.popleft())
            if awake in ready:
                awake.recv(4096)
                self._report()  # those that ended before they were in `statuses`
            for closed in [pid for pid, status in self.statuses.items() if status in ready]:
                self.statuses.pop(closed).close()
                self.reported.discard(closed)
                os.waitpid(closed, 0)
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
                    # Closed without a line: the client sees that nothing was started.
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
        # The command itself reports what is wrong with it.
        with contextlib.suppress(Exception):
            self.prepare(words)

    def _report(self) -> None:
        for pid in self.statuses.keys() - self.reported:
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                self.reported.add(pid)
                code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
                with contextlib.suppress(OSError):  # the client has gone
                    self.statuses[pid].sendall(b"=%d\n" % code)


def _fork() -> int | None:
    gc.freeze()  # What is loaded stays loaded: collections in the forked process need not visit it.
    try:
        return os.fork()
    except OSError:
        return None


def _become(message: dict[str, Any], output: int, status: socket.socket) -> None:
    """Give the forked process the session, outputs, folder and environment of a new one."""
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
    """Return the next message and its descriptors; None for the message once the client has gone."""
    length, descriptors, _, _ = socket.recv_fds(requests, LENGTH_BYTES, 2, socket.MSG_WAITALL)
    size = int.from_bytes(length, "big")
    body = requests.recv(size, socket.MSG_WAITALL) if len(length) == LENGTH_BYTES else b""
    # A message shorter than its length is the last of a client that has gone.
    return (json.loads(body) if body and len(body) == size else None), descriptors


def _main() -> None:
    requests = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    gc.set_threshold(50_000)  # as in pipelines.__main__
    commands = importlib.import_module(sys.argv[1])
    words = ForkServer(requests, commands.prepare).serve()
    _leave(0 if words is None else _run(commands.main, words[1:]))


def _run(command: Callable[[list[str]], int], words: list[str]) -> int:
    """Run a command and return the exit code that Python would end with."""
    code: object = 1
    try:
        code = command(words)
    except SystemExit as error:
        code = error.code
    except BaseException:  # noqa: BLE001  # nothing above handles it
        sys.excepthook(*sys.exc_info())
    if isinstance(code, int | None):
        return code or 0
    sys.stderr.write(f"{code}\n")
    return 1


def _leave(code: int) -> NoReturn:
    """End as Python does, but keep the modules: clearing them would copy all memory shared with the server, 25 ms."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _main()
