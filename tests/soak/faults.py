"""What is broken in the middle of a run on a cluster, and how it is put right again."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.e2e.place import kubectl

# Kills everything in a container but its first process: what the kernel does when the memory does not suffice.
KILL_STEP = """
import os, pathlib
for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    if b"step" in path.read_bytes().split(b"\\0")[:4] and int(path.parent.name) != 1:
        os.kill(int(path.parent.name), 9)
"""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A run that is held in the middle of a container's work."""

    namespace: str
    pod: str
    container: str


Fault = Callable[[Target], None]


def delete(target: Target) -> None:
    """Delete the pod at once, as a node that is lost does."""
    kubectl(target.namespace, "delete", "pod", target.pod, "--grace-period=0", "--force", "--wait=false")


def evict(target: Target) -> None:
    """Ask for the pod's eviction, as draining a node does."""
    path = f"/api/v1/namespaces/{target.namespace}/pods/{target.pod}/eviction"
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": target.pod}}
    subprocess.run(
        ["kubectl", "create", "--raw", path, "-f", "-"],
        input=json.dumps(body),
        text=True,
        check=True,
        capture_output=True,
    )


def kill_step(target: Target) -> None:
    """Kill the step and all its programs with SIGKILL."""
    words = ("exec", target.pod, "-c", target.container, "--", "python3", "-c", KILL_STEP)
    subprocess.run(["kubectl", "-n", target.namespace, *words], check=False, capture_output=True)


def command(variable: str) -> Fault:
    """Return the fault that a command of the environment makes: it kills a server and starts it again."""

    def run(_: Target) -> None:
        subprocess.run(shlex.split(os.environ[variable]), check=True, capture_output=True)

    return run


def known() -> Mapping[str, Fault]:
    """Return the faults that can be made here, by name."""
    found: dict[str, Fault] = {"pod deleted": delete, "pod evicted": evict, "step killed": kill_step}
    for name, variable in (("controller killed", "SOAK_CONTROLLER"), ("registry killed", "SOAK_REGISTRY")):
        if os.environ.get(variable):
            found[name] = command(variable)
    return found
