"""Ends the process groups of a process that was killed.

This is a program of its own. pipelines.tools.processes.child_process.Reaper starts it and writes to its standard input
which process groups run: `+PID` and `-PID`, one a line, and `.` at an orderly end. When that input ends, every group
left gets SIGTERM and, after the seconds of the first argument, SIGKILL. Without a `.`, the reaper also looks in /proc
for processes with the environment variable NAME=VALUE of the second argument, since some groups may not have been
reported.

It imports only the modules of the standard library that load fastest, so that it runs before the first command starts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable

_POLL_SECONDS = 0.05


def reap(lines: Iterable[str], grace_seconds: float, mark: str) -> None:
    """Read the lines to their end, then end every group that is left."""
    groups: set[int] = set()
    is_orderly = False
    for line in lines:
        if line.startswith("."):
            is_orderly = True
        else:
            (groups.add if line.startswith("+") else groups.discard)(int(line[1:]))
    terminated: set[int] = set()
    # At least two searches: a process that is just loading its program has no environment to read.
    searches = 0 if is_orderly else 2
    deadline = time.monotonic() + grace_seconds
    while True:
        groups |= set() if is_orderly else _marked(mark)
        _signal(groups - terminated, signal.SIGTERM)
        terminated |= groups
        groups = {group for group in groups if _runs(group)}
        searches -= 1
        if searches <= 0 and (not groups or time.monotonic() >= deadline):
            break
        time.sleep(_POLL_SECONDS)
    _signal(groups, signal.SIGKILL)


def _marked(mark: str) -> set[int]:
    """Return the groups of the processes whose environment has that variable; empty without /proc."""
    found: set[int] = set()
    with contextlib.suppress(FileNotFoundError):
        for name in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208 - pathlib is slow to load
            # Processes that have ended, and those of other users, cannot be read.
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123
                if mark.encode() in file.read().split(b"\0"):
                    found.add(os.getpgid(int(name)))
    return found


def _signal(groups: Iterable[int], number: signal.Signals) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def _runs(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


if __name__ == "__main__":
    reap(sys.stdin, float(sys.argv[1]), sys.argv[2])
