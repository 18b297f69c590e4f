"""Ends the processes of a run whose engine was killed.

It runs as a program of its own, told on its standard input which process groups live: `+PID` and `-PID`, a line each. When that
input ends, the engine is gone: every group left gets SIGTERM and, after the seconds given as first argument, SIGKILL.
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


def keep(lines: Iterable[str], grace_seconds: float) -> None:
    """Follow the lines to their end, then end what is left."""
    groups: set[int] = set()
    for line in lines:
        (groups.add if line.startswith("+") else groups.discard)(int(line[1:]))
    _signal(groups, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while groups and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        groups = {group for group in groups if _lives(group)}
    _signal(groups, signal.SIGKILL)


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
    keep(sys.stdin, float(sys.argv[1]))
