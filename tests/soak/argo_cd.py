"""Breaks what Argo CD needs while it follows a commit to the environments repository, many times over, and counts.

    KUBECONFIG=… REGISTRY=… SOAK_REPO_SERVER='…' python -m tests.soak.argo_cd --runs 10

SOAK_REPO_SERVER is a command that kills Argo CD's repository server with SIGKILL, and starts it again. Asked for is: at
every moment a pod of the application is ready, and in the end Argo CD is Synced and Healthy at the commit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import secrets
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.engines.embedded import deployment
from tests import git_server
from tests.e2e import argo_cd
from tests.e2e.argo_cd import ArgoCd, at, state
from tests.e2e.place import kubectl, lacking, place

APPLICATION = "app"
REPO_SERVER = "SOAK_REPO_SERVER"
LATEST_SECONDS = 1.5
"""A fault strikes so soon after Argo CD was told of the commit."""
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class Count:
    """What came of some runs with one fault."""

    fault: str
    runs: int
    went_on: int
    """Runs in which a pod was ready whenever somebody looked."""
    arrived: int
    """Runs that ended Synced and Healthy at their commit."""
    median_seconds: float
    worst_seconds: float


class Watched:
    """One application, and whether it ever lacked a pod that is ready."""

    def __init__(self, argo: ArgoCd, image: str) -> None:
        """Bring it into being."""
        self.argo, self.image = argo, image
        self.went_on = True
        commit = self.write("first")
        argo.install(sync={"stages": False})
        argo.healthy(APPLICATION, commit)

    def write(self, text: str, version: str = "1.0.0") -> str:
        """Commit another text, or another version of the chart, tell Argo CD, and return the commit."""
        self.argo.write(APPLICATION, {"version": version}, {"image": self.image, "text": text})
        return self.argo.commit()

    def until(self, seen: Callable[[dict[str, Any]], bool]) -> bool:
        """Look at pods and application until it is as wanted, and return whether it came to that."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self.went_on = self.went_on and self._ready()
            if seen(self.argo.applications()[APPLICATION]):
                return True
            time.sleep(argo_cd.LOOK_SECONDS)
        return False

    def _ready(self) -> bool:
        found = self.argo.object("deployment", APPLICATION)["status"]
        return int(found.get("readyReplicas", 0)) > 0


def repo_server(watched: Watched) -> str:
    """F24: the repository server is killed while Argo CD looks at the commit."""
    commit = watched.write(f"text-{secrets.token_hex(3)}")
    time.sleep(random.uniform(0, LATEST_SECONDS))
    subprocess.run(shlex.split(os.environ[REPO_SERVER]), check=True, capture_output=True)
    return commit


def bad_chart(watched: Watched) -> str:
    """F24: a version of the chart that the registry does not have is deployed, told by Argo CD, and taken back."""
    text = f"text-{secrets.token_hex(3)}"
    watched.write(text, version="9.9.9")
    told = watched.until(lambda found: "9.9.9" in json.dumps(found.get("status", {}).get("conditions", [])))
    if not told:
        sys.stderr.write("Argo CD never told of the version that is not there\n")
    return watched.write(text)


def strike(watched: Watched, fault: Callable[[Watched], str]) -> tuple[bool, bool, float]:
    """Return whether pods went on, whether the commit arrived, and after how long."""
    watched.went_on = True
    began = time.monotonic()
    commit = fault(watched)
    arrived = watched.until(lambda found: state(found) == ("Synced", "Healthy") and at(found, commit))
    return watched.went_on, arrived, time.monotonic() - began


@contextlib.contextmanager
def _watched() -> Iterator[Watched]:
    where, namespace = place(), f"shipway-soak-{secrets.token_hex(3)}"
    deployment.publish_base(where.registry)
    kubectl(namespace, "create", "namespace", namespace)
    with tempfile.TemporaryDirectory(prefix="shipway-soak-") as name, contextlib.ExitStack() as stack:
        words = ["kubectl", "delete", "namespace", namespace, "--wait=false"]
        stack.callback(subprocess.run, words, capture_output=True, check=False)
        git = stack.enter_context(git_server.serving(Path(name), host=where.host))
        argo = ArgoCd(where, namespace, git, f"soak-{secrets.token_hex(3)}")
        stack.callback(argo.remove)
        yield Watched(argo, f"{where.registry}/{deployment.BASE}")


def main() -> int:
    """Run the faults and print the counts as JSON, a line each."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak.argo_cd", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--runs", type=int, default=10, help="runs of each fault (default: 10)")
    parser.add_argument("--only", choices=("repo-server", "bad-chart"), help="one fault")
    given = parser.parse_args()
    if why := lacking() or argo_cd.lacking():
        sys.stdout.write(f"skipped: {why}\n")
        return 0
    faults = {"bad-chart": bad_chart, **({"repo-server": repo_server} if os.environ.get(REPO_SERVER) else {})}
    bad = 0
    with _watched() as watched:
        for name, fault in faults.items():
            if given.only in {None, name}:
                seen = []
                for number in range(given.runs):
                    seen.append(strike(watched, fault))
                    sys.stderr.write(f"{name}, {number + 1} of {given.runs}: {seen[-1]}\n")
                seconds = [took for _, _, took in seen]
                count = Count(
                    fault=name,
                    runs=given.runs,
                    went_on=sum(went_on for went_on, _, _ in seen),
                    arrived=sum(arrived for _, arrived, _ in seen),
                    median_seconds=round(statistics.median(seconds), 1),
                    worst_seconds=round(max(seconds), 1),
                )
                bad += 2 * given.runs - count.went_on - count.arrived
                sys.stdout.write(json.dumps(asdict(count)) + "\n")
                sys.stdout.flush()
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
