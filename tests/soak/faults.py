"""What is broken in the middle of a run on a cluster, and how it is put right again."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.place import kubectl
from tests.soak.git_process import GitProcess

CONTAINERS = ("clone", "build", "main")
AWAY_SECONDS = 2.0
EVICTION_SECONDS = 120.0
BUILDER = "shipway-buildkit-0"
# Kills everything in a container but its first process.
KILL_STEP = """
import os, pathlib
for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    if b"step" in path.read_bytes().split(b"\\0")[:4] and int(path.parent.name) != 1:
        os.kill(int(path.parent.name), 9)
"""
KILL_DAEMON = """
import os, pathlib
for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    if path.read_bytes().split(b"\\0")[0].endswith(b"buildkitd"):
        os.kill(int(path.parent.name), 9)
"""
# Memory that belongs to no process but counts for the container: the kernel kills one process after the other, the
# step and its programs first, until it has killed this one.
TAKE_MEMORY = """
import os
file = os.memfd_create("much")
while True:
    os.write(file, bytes(1 << 20))
"""
TAKE_DISK = """
with open("/tmp/much", "wb") as file:
    for _ in range(300):
        file.write(bytes(1 << 20))
"""
# Of the cluster's, so that a run is not held back for want of room.
ASKED = {"cpu": "20m", "memory": "128Mi"}


def asking(**limits: str) -> dict[str, Any]:
    """Return values with which the pods of a run ask for little,
    and may use at most what is given; names with _ for -.
    """
    most = {name.replace("_", "-"): amount for name, amount in limits.items()}
    return {"resources": {"clone-build-push": {name: {"requests": ASKED, "limits": most} for name in CONTAINERS}}}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A run that is held in the middle of a container's work."""

    namespace: str
    pod: str
    container: str
    git: GitProcess
    """The server of its repository."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that can be broken, and the installation in which it is."""

    strike: Callable[[Target], None]
    containers: tuple[str, ...] = CONTAINERS
    """Those in which it means something of its own."""
    values: Mapping[str, Any] = field(default_factory=asking)
    builder: str = "buildah"
    before: Callable[[str], None] = lambda _: None
    """Puts right, in a namespace, what the last one of its kind left."""


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


def fill_disk(target: Target) -> None:
    """Write more than the container may, and wait until the node has evicted the pod for it."""
    _python(target, TAKE_DISK)
    deadline = time.monotonic() + EVICTION_SECONDS
    while "Evicted" not in kubectl(
        target.namespace, "get", "pod", target.pod, "--ignore-not-found", "-o", "jsonpath={.status.reason}"
    ):
        assert time.monotonic() < deadline, "the node does not evict the pod"
        time.sleep(0.5)


def fill_memory(target: Target) -> None:
    """Take more memory than the container may, so that the kernel kills what is in it."""
    _python(target, TAKE_MEMORY)


def kill_step(target: Target) -> None:
    """Kill the step and all its programs with SIGKILL."""
    _python(target, KILL_STEP)


def kill_git(target: Target) -> None:
    """Kill the Git server, and start it again."""
    target.git.kill()
    time.sleep(AWAY_SECONDS)
    target.git.start()


def kill_builder(target: Target) -> None:
    """Kill the standing builder, which its node starts again."""
    words = ("exec", BUILDER, "--", "python3", "-c", KILL_DAEMON)
    subprocess.run(["kubectl", "-n", target.namespace, *words], check=False, capture_output=True)


def new_builder(namespace: str) -> None:
    """Give a builder with nothing in its cache, and whose node does not hold its restarts back yet."""
    kubectl(namespace, "delete", "pod", BUILDER, "--grace-period=0", "--force")
    kubectl(namespace, "rollout", "status", "statefulset/shipway-buildkit", "--timeout=300s")


def command(variable: str) -> Callable[[Target], None]:
    """Return the fault that a command of the environment makes: it kills a server and starts it again."""

    def run(_: Target) -> None:
        subprocess.run(shlex.split(os.environ[variable]), check=True, capture_output=True)

    return run


def known() -> Mapping[str, Fault]:
    """Return the faults that can be made here, by name."""
    standing = {"enabled": True, "persistent": False, "storageGiB": 5, "resources": {"requests": ASKED}}
    found = {
        "pod deleted": Fault(strike=delete),
        "pod evicted": Fault(strike=evict),
        "pod evicted by its node": Fault(strike=fill_disk, values=asking(ephemeral_storage="200Mi")),
        "out of memory": Fault(strike=fill_memory, values=asking(memory="384Mi")),
        "step killed": Fault(strike=kill_step),
        "Git server killed": Fault(strike=kill_git),
        "standing builder killed": Fault(
            strike=kill_builder, values={**asking(), "buildkit": standing}, builder="buildkit", before=new_builder
        ),
    }
    for name, variable in (("controller killed", "SOAK_CONTROLLER"), ("registry killed", "SOAK_REGISTRY")):
        if os.environ.get(variable):
            found[name] = Fault(strike=command(variable))
    return found


def _python(target: Target, script: str) -> None:
    words = ("exec", target.pod, "-c", target.container, "--", "python3", "-c", script)
    subprocess.run(["kubectl", "-n", target.namespace, *words], check=False, capture_output=True)
