"""The one place where programs start.

A command is a list of words, never a shell line, and has a time limit. A command that is echoed for people is quoted as
a shell needs it. Callers pass secrets in files or in the environment, never in a command, so nothing here masks any.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from pipelines.errors import Misconfigured, Refused, ShipwayError, Transient

TAIL_LINES = 40
PIPE = subprocess.PIPE


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A process that has ended: its exit code, a signal's number below zero, its output, and the end of its stderr."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    def check(self, what: str, *, todo: str = "") -> Completed:
        """Return this result; raise a ShipwayError naming `what` when the process failed."""
        if self.code != 0:
            seen = self.stderr.strip() or self.stdout.strip() or "no output"
            raise ShipwayError(what, seen=f"{self.argv[0]} exited with {self.code}: {seen}", todo=todo)
        return self


def run(
    argv: Sequence[str | Path],
    *,
    timeout_seconds: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    stream: bool = False,
    echo: bool = False,
    umask: int = -1,
    into: Path | None = None,
    memory_bytes: int = 0,
    most_output: int = 0,
    offline: bool = False,
) -> Completed:
    """Run a command to its end and return how it ended; the caller judges an exit code other than 0.

    With `stream`, both outputs go to this process's stderr line by line while the command runs, and the result's
    `stdout` and `stderr` hold their last lines. With `into`, standard output goes into that file byte for byte, and the
    result's `stdout` is empty. `env` replaces the whole environment. On Linux, `memory_bytes` bounds the memory that
    the command may map; `most_output` bounds the characters of each output; 0 sets no bound. With `offline`, the
    command has no network where the kernel allows that. The command does not outlive this process, however that ends.

    Raises Misconfigured if the program does not exist, Transient if the time limit passes, Refused for too much output.
    """
    words = tuple(str(word) for word in argv)
    if echo:
        sys.stderr.write(f"$ {shlex.join(words)}\n")
        sys.stderr.flush()
    starting, call = _ending_with_parent(words, env)
    starting = (*(_without_network() if offline else ()), *starting)
    # The child has its own descriptor of the file.
    with into.open("wb") if into else contextlib.nullcontext() as output:
        child = _in_own_session(
            starting,
            program=words[0],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL if stdin is None else PIPE,
            stdout=output or PIPE,
            stderr=PIPE,
            text=True,
            errors="replace",
            umask=umask,
            preexec_fn=call,  # one system call, on a function looked up before the fork
        )
    with _ended(child):
        # Set from outside, right after the start: a program that sets it and then runs the command costs another 2 ms.
        if memory_bytes and sys.platform == "linux":
            with contextlib.suppress(ProcessLookupError):  # it has ended already
                resource.prlimit(child.pid, resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        try:
            if stream:
                stdout, stderr = _stream(child, timeout_seconds)
            elif most_output:
                stdout, stderr = _bounded(child, timeout_seconds, most_output)
            else:
                stdout, stderr = _collect(child, stdin, timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise Transient(
                f"{words[0]} did not finish", seen=f"still running after {timeout_seconds:g} s", todo="run it again"
            ) from error
    if most_output and max(len(stdout), len(stderr)) > most_output:
        raise Refused(
            f"{words[0]} prints too much", seen=f"more than {most_output} characters", todo="let it print less"
        )
    return Completed(argv=words, code=child.returncode, stdout=stdout or "", stderr=stderr)


def start_daemon(argv: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None) -> int:
    """Start a command that outlives this process, its output appended to `log`, and return its process id."""
    with log.open("ab") as output:
        child = _in_own_session(tuple(map(str, argv)), env=env, stdout=output, stderr=output)
    # It is meant to go on: without this, Python would warn that nobody waited for it.
    child.returncode = 0
    return child.pid


Running: TypeAlias = "subprocess.Popen[bytes]"
"""A process whose starter reads its output and waits for it: see pipelines.tools.processes.child_process."""


def start(
    argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
) -> Running:
    """Start a command in a session of its own, both outputs in one pipe, and return it at once.

    `stdin` is a descriptor, or PIPE. Raises Misconfigured if the program cannot be started.
    """
    words = tuple(map(str, argv))
    return _in_own_session(words, env=env, cwd=cwd, caught=OSError, stdin=stdin, stdout=PIPE, stderr=subprocess.STDOUT)


def until_ended(pid: int) -> None:
    """Wait until a child process has ended; no other process gets its id until somebody reaps it."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@contextlib.contextmanager
def background(
    argv: Sequence[str | Path], *, log: Path, env: Mapping[str, str], holding: int
) -> Iterator[Callable[[], bool]]:
    """Run a command while the block runs, its output in `log`; yield a function that says whether it still runs.

    It inherits the file descriptor `holding`, so a lock on that file lasts as long as the command. Where the system has
    setpriv, the command also ends when this process is killed.
    """
    words = (*_setpriv("TERM", os.environ.get("PATH", os.defpath)), *map(str, argv))
    with log.open("wb") as output:
        child = _in_own_session(words, env=env, stdout=output, stderr=output, pass_fds=(holding,), umask=0o022)
    with _ended(child):
        yield lambda: child.poll() is None


def _in_own_session(
    words: tuple[str, ...],
    *,
    program: str = "",
    env: Mapping[str, str] | None,
    stdin: int = subprocess.DEVNULL,
    caught: type[OSError] = FileNotFoundError,
    **options: Any,
) -> subprocess.Popen[Any]:
    """Start a command in a session of its own, with further options of Popen; raises Misconfigured for `program`."""
    environment = None if env is None else dict(env)
    try:
        return subprocess.Popen(words, env=environment, stdin=stdin, start_new_session=True, **options)
    except caught as error:
        program = program or words[0]
        raise Misconfigured(
            f"cannot start {program}", seen=str(error), todo=f"install {program} or put it on PATH"
        ) from error


def _ending_with_parent(
    words: tuple[str, ...], env: Mapping[str, str] | None
) -> tuple[tuple[str, ...], Callable[[], None] | None]:
    """Return the command to start, and the function its process calls first, so that it is killed when this process is.

    With setpriv there is no call between fork and exec, so Python forks without copying its page tables: 3 ms a command
    instead of 7 ms. Without setpriv, a function makes the system call; on a system without that call, nothing does.
    """
    path = (os.environ if env is None else env).get("PATH", os.defpath)
    program, setpriv = shutil.which(words[0], path=path), _setpriv("KILL", os.environ.get("PATH", os.defpath))
    if setpriv and program and Path(program).is_absolute():
        return (*setpriv, program, *words[1:]), None
    return words, _death_signal()


@functools.cache
def _without_network() -> tuple[str, ...]:
    """Return the words that give the command after them a network without an interface; empty where that is forbidden.

    It takes a namespace of users, too, which many pods may not make.
    """
    program = shutil.which("unshare")
    words = (program, "--user", "--net", "--") if program else ()
    if words:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            tried = subprocess.run((*words, "true"), capture_output=True, timeout=5, check=False)
            return words if tried.returncode == 0 else ()
    return ()


@functools.cache
def _setpriv(name: str, path: str) -> tuple[str, ...]:
    """Return the words that let a command after them get a signal when its parent dies; none if PATH has no setpriv."""
    program = shutil.which("setpriv", path=path)
    return (program, "--pdeathsig", name, "--") if program else ()


@functools.cache
def _death_signal() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    set_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)

    def call() -> None:
        prctl(set_death_signal, signal.SIGKILL)

    return call


@contextlib.contextmanager
def _ended(child: subprocess.Popen[str] | subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave no process of the child's session behind, however the block ends."""
    try:
        yield
    finally:
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def _collect(child: subprocess.Popen[str], stdin: str | None, timeout_seconds: float) -> tuple[str, str]:
    try:
        return child.communicate(stdin, timeout=timeout_seconds)
    except BaseException:
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        raise


def _bounded(child: subprocess.Popen[str], timeout_seconds: float, most: int) -> tuple[str, str]:
    """Return both outputs, one character more of what is longer: its pipe is closed then, which ends the command."""
    texts = ["", ""]

    def pump(source: IO[str], number: int) -> None:
        with source:
            texts[number] = source.read(most + 1)

    _pumped(child, timeout_seconds, pump)
    return texts[0], texts[1]


def _stream(child: subprocess.Popen[str], timeout_seconds: float) -> tuple[str, str]:
    tails: tuple[deque[str], deque[str]] = (deque(maxlen=TAIL_LINES), deque(maxlen=TAIL_LINES))
    lock = threading.Lock()

    def pump(source: IO[str], number: int) -> None:
        with source:
            for line in source:
                tails[number].append(line)
                with lock:
                    sys.stderr.write(line)
                    sys.stderr.flush()

    _pumped(child, timeout_seconds, pump)
    return "".join(tails[0]), "".join(tails[1])


def _pumped(child: subprocess.Popen[str], timeout_seconds: float, pump: Callable[[Any, int], None]) -> None:
    """Read both outputs of a command in threads until it has ended; raises TimeoutExpired."""
    pumps = [
        threading.Thread(target=pump, args=(source, number), daemon=True)
        for number, source in enumerate((child.stdout, child.stderr))
    ]
    # Popen.wait with a time limit polls every 50 ms; waitid returns at once.
    ended = threading.Thread(target=until_ended, args=(child.pid,), daemon=True)
    for thread in (*pumps, ended):
        thread.start()
    ended.join(timeout_seconds)
    if ended.is_alive():
        raise subprocess.TimeoutExpired(child.args, timeout_seconds)
    child.wait()
    for thread in pumps:
        thread.join(timeout=5)
