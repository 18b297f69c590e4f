"""Starts commands of this package by forking a process that has loaded their modules: a tenth of the time that a new Python takes.

A command started so is what `process.start` makes of the same words: a session of its own, the given environment and folder, nothing
on standard input, both outputs in one pipe. See pipelines.tools.processes.forked for the other side.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from pipelines.tools.processes import process
from pipelines.tools.processes.child import Program, Started, mark
from pipelines.tools.processes.forked import LENGTH_BYTES

_KILLED = -9


class ForkServer:
    """A process to fork from, and what asks it to."""

    def __init__(self, program: Path, module: str) -> None:
        """Start it; a command that PATH finds at `program` calls the module's functions `prepare`, before the fork, and `main`."""
        self._program = program
        self._environment = _seen_at_start(os.environ)
        self._lock = threading.Lock()
        self._requests, theirs = socket.socketpair()
        with theirs:
            argv = [sys.executable, "-P", "-m", "pipelines.tools.processes.forked", module]
            # What /proc tells of a forked process is the environment of this one.
            self._process = process.start(argv, cwd=Path("/"), env={**os.environ, **mark()}, stdin=theirs.fileno())

    def prepare(self, commands: Iterable[Sequence[str]]) -> None:
        """Let commands be prepared, in this order, before they are started: where one is started first, that comes first."""
        self._ask({"prepare": [list(words) for words in commands]})

    def start(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Program:
        """Start a command; one that is not this program's, or whose Python would start otherwise, as a new process.

        Raises Misconfigured when it cannot be started.
        """
        if self._is_ours(argv[0], env):
            command = {"argv": list(argv), "cwd": str(cwd), "env": dict(env)}
            forked = self._fork(command)
            if forked is not None:
                return forked
        return Started(process.start(argv, cwd=cwd, env=env))

    def close(self) -> None:
        """End it; what it forked goes on."""
        self._requests.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _is_ours(self, name: str, env: Mapping[str, str]) -> bool:
        return (
            name == self._program.name
            and _seen_at_start(env) == self._environment
            and shutil.which(name, path=env.get("PATH", os.defpath)) == str(self._program)
        )

    def _fork(self, command: Mapping[str, object]) -> Program | None:
        """Return the command's process, or None where there is no server any more or it could not fork."""
        output, write = os.pipe()
        status, theirs = socket.socketpair()
        asked = self._ask(command, write, theirs.fileno())
        os.close(write)
        theirs.close()
        with status:
            lines = status.makefile("rb")
        told = lines.readline() if asked else b""
        if told.startswith(b"+"):
            return _Forked(int(told), output, lines)
        os.close(output)
        lines.close()
        return None

    def _ask(self, message: Mapping[str, object], *descriptors: int) -> bool:
        body = json.dumps(message).encode()
        try:
            with self._lock:
                socket.send_fds(self._requests, [len(body).to_bytes(LENGTH_BYTES, "big")], descriptors)
                self._requests.sendall(body)
        except OSError:
            return False
        return True


class _Forked:
    """A command that was forked."""

    def __init__(self, pid: int, output: int, status: BinaryIO) -> None:
        self.pid = pid
        self.output = output
        self._status = status
        self._lock = threading.Lock()
        self._code: int | None = None

    def until_ended(self) -> None:
        self._ended()

    def reap(self) -> int:
        code = self._ended()
        self._status.close()
        return code

    def _ended(self) -> int:
        with self._lock:
            if self._code is None:
                told = self._status.readline()
                # Without a word the server is gone, and what it forked has lost whoever could tell how it ended.
                self._code = int(told[1:]) if told.startswith(b"=") else _KILLED
            return self._code

    def close(self) -> None:
        os.close(self.output)


def _seen_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a Python reads as it starts."""
    return {
        name: value
        for name, value in environment.items()
        if name == "LANG" or name.startswith(("PYTHON", "LD_", "LC_"))
    }
