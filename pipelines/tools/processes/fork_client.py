"""The client of the fork server: starts this package's commands in a tenth of the time that a new Python takes.

The server, pipelines.tools.processes.fork_server, has loaded the commands' modules and forks. A command runs as
`process.start` would run it: a session of its own, the given environment and folder, an empty standard input, both
outputs in one pipe.
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
from pipelines.tools.processes.child_process import Program, StartedProgram, mark
from pipelines.tools.processes.fork_server import LENGTH_BYTES

_KILLED = -9


class ForkClient:
    """Starts a fork server and sends it commands."""

    def __init__(self, program: Path, module: str) -> None:
        """Start the server, which calls the module's function `prepare` before a fork and `main` after it.

        It runs the commands that PATH finds at `program`.
        """
        self._program = program
        self._environment = _read_by_python(os.environ)
        self._lock = threading.Lock()
        self._requests, server_end = socket.socketpair()
        with server_end:
            argv = [sys.executable, "-P", "-m", "pipelines.tools.processes.fork_server", module]
            # A forked process has the server's environment in /proc, where a reaper looks for the mark.
            self._process = process.start(argv, cwd=Path("/"), env={**os.environ, **mark()}, stdin=server_end.fileno())

    def prepare(self, commands: Iterable[Sequence[str]]) -> None:
        """Load what these commands need, in this order, while no command is to be started."""
        self._send({"prepare": [list(words) for words in commands]})

    def start(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Program:
        """Start a command; as a new process if it is another program or its environment changes how Python starts.

        Raises Misconfigured if it cannot be started.
        """
        if self._is_ours(argv[0], env):
            forked = self._fork({"argv": list(argv), "cwd": str(cwd), "env": dict(env)})
            if forked is not None:
                return forked
        return StartedProgram(process.start(argv, cwd=cwd, env=env))

    def close(self) -> None:
        """End the server; the commands that it forked go on."""
        self._requests.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _is_ours(self, name: str, env: Mapping[str, str]) -> bool:
        return (
            name == self._program.name
            and _read_by_python(env) == self._environment
            and shutil.which(name, path=env.get("PATH", os.defpath)) == str(self._program)
        )

    def _fork(self, command: Mapping[str, object]) -> Program | None:
        """Return the command's process, or None if the server has gone or could not fork."""
        output, write = os.pipe()
        status, server_end = socket.socketpair()
        is_sent = self._send(command, write, server_end.fileno())
        os.close(write)
        server_end.close()
        with status:
            lines = status.makefile("rb")
        line = lines.readline() if is_sent else b""
        if line.startswith(b"+"):
            return _ForkedProgram(int(line), output, lines)
        os.close(output)
        lines.close()
        return None

    def _send(self, message: Mapping[str, object], *descriptors: int) -> bool:
        body = json.dumps(message).encode()
        try:
            with self._lock:
                socket.send_fds(self._requests, [len(body).to_bytes(LENGTH_BYTES, "big")], descriptors)
                self._requests.sendall(body)
        except OSError:
            return False
        return True


class _ForkedProgram:
    """A command that the server forked."""

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
                line = self._status.readline()
                # An end without a line: the server has gone, and nobody else knows how the command ended.
                self._code = int(line[1:]) if line.startswith(b"=") else _KILLED
            return self._code

    def close(self) -> None:
        os.close(self.output)


def _read_by_python(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that change how Python starts."""
    return {
        name: value
        for name, value in environment.items()
        if name == "LANG" or name.startswith(("PYTHON", "LD_", "LC_"))
    }
