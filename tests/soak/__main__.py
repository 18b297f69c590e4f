"""Breaks runs of clone-build-push on a cluster, many times over, and counts what came of them.

    KUBECONFIG=… REGISTRY=… SOAK_CONTROLLER='…' python -m tests.soak --runs 10 > soak.json

Each run is held in `clone`, `build` or `main` by a server that does not answer yet, then a fault strikes, then the
server answers. Asked for is: the run completes, or fails and the same run started again completes; each time with the
digest of an undisturbed run, and with the branch's tag naming it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.engines.embedded import deployment
from tests.e2e.installation import FINAL, Installation, Run
from tests.e2e.place import kubectl, lacking, place
from tests.git_repositories import Repository
from tests.soak import faults
from tests.soak.faults import CONTAINERS, Fault, Target
from tests.soak.git_process import GitProcess

TEMPLATE = "clone-build-push"
PATIENCE_SECONDS = 900.0


@dataclass(frozen=True, kw_only=True)
class Count:
    """What came of some runs with one fault in one container."""

    fault: str
    container: str
    runs: int
    completed: int
    """By themselves."""
    rerun: int
    """Failed, and completed when they were started again."""
    lost: int
    """Neither."""
    wrong: int
    """Ended with another digest than the undisturbed run."""
    median_seconds: float
    """From the fault to the end."""
    worst_seconds: float


class Soak:
    """One installation, one repository, and the digest it gives when nothing happens."""

    def __init__(self, installation: Installation, git: GitProcess, gate: GitProcess) -> None:
        """Break nothing yet."""
        self.installation, self.git, self.gate = installation, git, gate
        self.expected = ""

    def prepare(self, fault: Fault) -> None:
        """Install what a fault needs, and build once undisturbed."""
        self.installation.configure(fault.values, builder=fault.builder)
        self.gate.open()
        fault.before(self.installation.namespace)
        self.expected = self._digest(self.installation.run(TEMPLATE, **self._arguments()))
        assert self.expected, "the undisturbed run failed"

    def strike(self, name: str, fault: Fault, container: str) -> tuple[str, bool, float]:
        """Hold a run in a container, let the fault strike, and return
        what came of it, whether the digest was right, and when.
        """
        fault.before(self.installation.namespace)
        server = self.gate if container == "build" else self.git
        (self.gate if container == "main" else server).close()
        run = self.installation.start(TEMPLATE, **self._arguments())
        if container == "main":
            assert self.gate.holds(PATIENCE_SECONDS)
            server.close()
            self.gate.open()
        assert server.holds(PATIENCE_SECONDS), f"{name} in {container}: the run never came so far"
        pods = sorted(self.installation.pods(run), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
        pod = pods[-1]["metadata"]["name"]
        fault.strike(Target(namespace=self.installation.namespace, pod=pod, container=container, git=self.git))
        began = time.monotonic()
        server.open()
        ended = self._ended(run)
        took = time.monotonic() - began
        if ended.phase == "Succeeded":
            return "completed", self._digest(ended) == self.expected, took
        sys.stderr.write(f"{run} {ended.phase}: {ended.attempts}\n")
        fault.before(self.installation.namespace)
        again = self.installation.run(TEMPLATE, **self._arguments())
        return ("rerun" if again.phase == "Succeeded" else "lost"), self._digest(again) == self.expected, took

    def _arguments(self) -> dict[str, str]:
        return {"repo": f"{self.git.url}/app", "revision": "main", "path": ".", "name": "soak"}

    def _ended(self, run: str) -> Run:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(AssertionError):  # the API server, too, may be away for a moment
                seen = self.installation.look(run)
                if seen.phase in FINAL:
                    return seen
            time.sleep(0.5)
        raise SystemExit(f"{run} did not end in {PATIENCE_SECONDS:.0f} s")

    def _digest(self, run: Run) -> str:
        return run.outputs.get("digest", "")


@contextlib.contextmanager
def _installed() -> Iterator[Soak]:
    where, namespace = place(), f"shipway-soak-{secrets.token_hex(3)}"
    deployment.publish_base(where.registry)
    kubectl(namespace, "create", "namespace", namespace)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        stack.callback(_forget, namespace)
        folder = Path(name)
        (folder / "git").mkdir()
        servers = []
        for control in ("control", "gate"):
            servers.append(GitProcess(folder / "git", where.host, folder / control))
            stack.callback(servers[-1].kill)
        git, gate = servers
        made = Repository(folder / "git" / "app")
        made.write("Dockerfile", f"FROM shipway.local/busybox:static\nRUN wget -q -O /dev/null {gate.url}/x || true\n")
        made.commit()
        yield Soak(Installation(where, namespace), git, gate)


def _forget(namespace: str) -> None:
    subprocess.run(["kubectl", "delete", "namespace", namespace, "--wait=false"], capture_output=True, check=False)


def main() -> int:
    """Run all faults and print the counts as JSON, a line each."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--runs", type=int, default=10, help="runs of each fault in each container (default: 10)")
    parser.add_argument("--only", default=[], action="append", help="a fault's name; may be repeated")
    parser.add_argument("--container", default="", choices=["", *CONTAINERS])
    given = parser.parse_args()
    if why := lacking():
        sys.stdout.write(f"skipped: {why}\n")
        return 0
    bad = 0
    with _installed() as soak:
        for name, fault in faults.known().items():
            if given.only and name not in given.only:
                continue
            soak.prepare(fault)
            for container in fault.containers:
                if given.container in {"", container}:
                    count = _count(soak, name, fault, container, given.runs)
                    bad += count.lost + count.wrong
                    sys.stdout.write(json.dumps(asdict(count)) + "\n")
                    sys.stdout.flush()
    return 1 if bad else 0


def _count(soak: Soak, name: str, fault: Fault, container: str, runs: int) -> Count:
    seen = []
    for number in range(runs):
        seen.append(soak.strike(name, fault, container))
        sys.stderr.write(f"{name} in {container}, {number + 1} of {runs}: {seen[-1][0]} after {seen[-1][2]:.0f} s\n")
    seconds = sorted(took for _, _, took in seen)
    outcomes = [outcome for outcome, _, _ in seen]
    return Count(
        fault=name,
        container=container,
        runs=runs,
        completed=outcomes.count("completed"),
        rerun=outcomes.count("rerun"),
        lost=outcomes.count("lost"),
        wrong=sum(not right for outcome, right, _ in seen if outcome != "lost"),
        median_seconds=round(seconds[len(seconds) // 2], 1),
        worst_seconds=round(seconds[-1], 1),
    )


if __name__ == "__main__":
    raise SystemExit(main())
