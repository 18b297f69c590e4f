"""Ends the processes of a run whose engine was killed.

It runs as a program of its own, told on its standard input which process groups live: `+PID` and `-PID`, a line each, and `.` at an
orderly end. When that input ends, the engine is gone: every group left gets SIGTERM and, after the seconds given as first argument,
SIGKILL. Without a `.` those it was not told of any more are looked for in /proc, by the environment variable NAME=VALUE that is the
second argument.
Only the standard library's quickest modules are used, so that it is there before the first command.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable

_LOOK_SECONDS = 0.05


def keep(lines: Iterable[str], grace_seconds: float, mark: str) -> None:
    """Follow the lines to their end, then end what is left."""
    groups: set[int] = set()
    is_orderly = False
    for line in lines:
        if line.startswith("."):
            is_orderly = True
        else:
            (groups.add if line.startswith("+") else groups.discard)(int(line[1:]))
    asked: set[int] = set()
    # Looked for twice at least: a process whose program is just being loaded has no environment to read.
    looks = 0 if is_orderly else 2
    deadline = time.monotonic() + grace_seconds
    while True:
        groups |= set() if is_orderly else _marked(mark)
        _signal(groups - asked, signal.SIGTERM)
        asked |= groups
        groups = {group for group in groups if _lives(group)}
        looks -= 1
        if looks <= 0 and (not groups or time.monotonic() >= deadline):
            break
        time.sleep(_LOOK_SECONDS)
    _signal(groups, signal.SIGKILL)


def _marked(mark: str) -> set[int]:
    """Return the groups of the processes that were started with an environment variable; none where there is no /proc."""
    found: set[int] = set()
    with contextlib.suppress(FileNotFoundError):
        for name in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208 - pathlib is slow to load
            # Those that have ended, and those of others.
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123
                if mark.encode() in file.read().split(b"\0"):
                    found.add(os.getpgid(int(name)))
    return found


def _signal(groups: Iterable[int], number: signal.Signals) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


if __name__ == "__main__":
    keep(sys.stdin, float(sys.argv[1]), sys.argv[2])
