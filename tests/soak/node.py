"""Processes of pods, where this machine is the cluster's only node: a kill that no container sees coming."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

from tests.e2e.place import kubectl


def pods(namespace: str, selector: str) -> list[dict[str, str]]:
    """Return name and uid of the pods that a label selects."""
    items = json.loads(kubectl(namespace, "get", "pods", "-l", selector, "-o", "json"))["items"]
    return [{"name": item["metadata"]["name"], "uid": item["metadata"]["uid"]} for item in items]


def processes(namespace: str, selector: str, program: str = "") -> list[int]:
    """Return the processes of the pods that a label selects, but
    for the pause containers; a program's alone where one is named.
    """
    marks = [pod["uid"] for pod in pods(namespace, selector)]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            group, words = (folder / "cgroup").read_text(), (folder / "cmdline").read_text()
            ours = any(mark in group or mark.replace("-", "_") in group for mark in marks)
            if ours and words.strip("\0") != "/pause" and program in words:
                found.append(int(folder.name))
    return found


def strike(namespace: str, selector: str, kind: signal.Signals, program: str = "") -> int:
    """Send a signal to a pod's processes and return how many there were."""
    found = processes(namespace, selector, program)
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, kind)
    return len(found)
