"""`make bench-cluster`: clone-build-push on Argo against `buildctl` typed in a pod, and against the system it replaces.

Everything runs on the cluster that KUBECONFIG names, in a namespace of its own, warm: one line of the image's source
changed before each run. The figures are printed and saved under .shipway/bench; no test depends on them.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipelines.engines.embedded import deployment
from tests import git_server
from tests.bench import cluster_history, cluster_pods, cluster_trace
from tests.bench.clone_build_push import DOCKERFILE
from tests.bench.measure import compare, interleave, save
from tests.e2e.installation import Installation
from tests.e2e.place import kubectl, lacking, place
from tests.git_repositories import Repository

STANDING = {
    "buildkit": {
        "enabled": True,
        "persistent": False,
        "storageGiB": 10,
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
    }
}


class Bench:
    """An installation with a standing builder, a pod to type in, and a repository whose source changes."""

    def __init__(self, installation: Installation, repository: Repository, url: str) -> None:
        """Use what stands."""
        self.installation, self.repository, self.url = installation, repository, url
        self.changes = 0
        self.began = 0.0
        self.running: subprocess.Popen[str] | None = None
        self.said: list[str] = []
        self.ends: list[float] = []
        """Seconds until the command ended, of each run of ours."""
        self.last: dict[str, Any] = {}
        self.claim: dict[str, Any] = {}

    @property
    def target(self) -> str:
        """The project of the registry."""
        return f"{self.installation.where.registry}/{self.installation.namespace}"

    def change(self) -> None:
        """Wait for the end of the last run, and commit a change of one line."""
        self.settle()
        self.changes += 1
        self.repository.write("source.txt", f"change {self.changes}\n" * 100).commit()

    def ours(self) -> None:
        """Submit with Shipway and wait until the step `push` tells the digest."""
        to = ["--engine", "argo", "--namespace", self.installation.namespace]
        parameters = ["-p", f"repo={self.url}", "-p", "revision=main", "-p", "name=ours"]
        argv = [sys.executable, "-m", "pipelines", "submit", "clone-build-push", *to, *parameters]
        self.began = time.perf_counter()
        self.running = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.running.stdout
        for line in self.running.stdout:
            self.said.append(line)
            if line.startswith("push |") and "@sha256:" in line:
                return

    def settle(self) -> None:
        """Wait until the command that tells the digest has ended,
        too; raises RuntimeError with what it said when it failed.
        """
        if self.running is None:
            return
        self.said += self.running.communicate()[0].splitlines(keepends=True)
        self.ends.append(time.perf_counter() - self.began)
        if self.running.returncode != 0:
            raise RuntimeError("".join(self.said)[-4000:])
        self.running = None
        self.said.clear()

    def ours_to_the_end(self) -> None:
        """Submit with Shipway and wait until the command ends."""
        self.ours()
        self.settle()

    def by_hand(self) -> None:
        """Clone, and build in the standing builder, in a pod that runs."""
        cluster_pods.type_in(self.installation, cluster_pods.STANDING, self.url, f"{self.target}/by-hand:latest")

    def change_and_claim(self) -> None:
        """Do the same, and have a volume at hand for the next run of the replaced system."""
        self.change()
        self.claim = cluster_pods.claim(self.installation.namespace)

    def replaced(self) -> None:
        """Run the workflow that Shipway replaces, with a volume that stands."""
        self._replaced(None)

    def replaced_with_a_volume(self) -> None:
        """Run it as it is: each run makes a volume, and waits for it, before all else."""
        self._replaced(self.claim)

    def _replaced(self, claim: dict[str, Any] | None) -> None:
        image, cache = f"{self.target}/replaced:latest", f"{self.target}/cache/replaced:latest"
        document = cluster_pods.replaced(self.installation, self.url, image, cache, claim)
        self.last = cluster_trace.finished(self.installation.namespace, document)


def main() -> int:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(prog="make bench-cluster ARGS=…")
    parser.add_argument("--pairs", type=int, default=7, help="runs of each side (default: %(default)s)")
    parser.add_argument("--histories", type=int, default=3, help="histories of six commits (default: %(default)s)")
    parser.add_argument(
        "--megabytes",
        type=int,
        default=10,
        help="the image's size, before five files are made of it (default: %(default)s)",
    )
    parser.add_argument("--only", choices=list(_PARTS), help="one part (default: all)")
    options = parser.parse_args()
    if why := lacking():
        sys.stdout.write(f"skipped: {why}\n")
        return 0
    results: list[dict[str, object]] = []
    with _standing(options.megabytes) as bench:
        for part in [options.only] if options.only else _PARTS:
            results += _PARTS[part](bench, options)
            # A part takes minutes: its figures are there, also in a file, before the next one begins.
            sys.stdout.flush()
            save(results, Path(".shipway/bench/cluster.json"))
    return 0


def _by_hand(bench: Bench, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    _warm(bench.change, bench.ours_to_the_end, bench.by_hand)
    bench.ends.clear()
    pair = interleave(bench.change, bench.ours, bench.by_hand, options.pairs, ("shipway submit", "buildctl in a pod"))
    bench.settle()
    yield compare("from submit to digest, warm, one line changed: at most 6 s more", *pair)
    more = statistics.median(ended - told for ended, told in zip(bench.ends, pair[0].seconds, strict=True))
    sys.stdout.write(f"  the command itself ends {more:.2f} s later, with the run (median)\n\n")
    traces = []
    for _ in range(min(options.pairs, 5)):
        bench.change()
        traces.append(cluster_trace.trace(bench.installation.namespace, bench.ours_to_the_end))
    sys.stdout.write(cluster_trace.tell("where each second goes", traces))
    yield {"title": "where each second goes", "traces": traces, "to the end": list(bench.ends)}


def _replaced(bench: Bench, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    title = f"from submit to the run's end, warm, one line changed, image of {5 * options.megabytes} MB"
    sides = {"a volume for each run": bench.replaced_with_a_volume, "a volume that stands": bench.replaced}
    for which, theirs in sides.items():
        _warm(bench.change_and_claim, bench.ours_to_the_end, theirs)
        names = ("shipway submit", "the replaced system")
        pair = interleave(bench.change_and_claim, bench.ours_to_the_end, theirs, options.pairs, names)
        yield compare(f"{title}, {which}: at most 0.4 x", *pair)
        sys.stdout.write(f"the replaced system's pods, in its last run\n{cluster_trace.steps(bench.last)}\n")


def _history(bench: Bench, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    figures = cluster_history.measure(bench.installation, bench.repository.path.parent, bench.url, options.histories)
    sys.stdout.write(cluster_history.tell(figures))
    ratio = statistics.median(
        sum(standing) / sum(cached) for standing, cached in zip(figures.standing, figures.registry, strict=True)
    )
    yield {"title": "six commits, standing builder against registry cache", "ratio": ratio, **figures.document()}


_PARTS: dict[str, Callable[[Bench, argparse.Namespace], Iterator[dict[str, object]]]] = {
    "by-hand": _by_hand,
    "replaced": _replaced,
    "history": _history,
}


def _warm(change: Callable[[], object], *sides: Callable[[], object]) -> None:
    """Let each side fill its cache, and have it use it once."""
    for _ in range(2):
        change()
        for side in sides:
            side()


@contextlib.contextmanager
def _standing(megabytes: int) -> Iterator[Bench]:
    where, namespace = place(), f"shipway-bench-{secrets.token_hex(3)}"
    deployment.publish_base(where.registry)
    kubectl(namespace, "create", "namespace", namespace)
    try:
        with tempfile.TemporaryDirectory() as folder, git_server.serving(Path(folder), host=where.host) as git:
            installation = Installation(where, namespace)
            installation.configure({**STANDING, "imagePullPolicy": "IfNotPresent"}, builder="buildkit")
            cluster_pods.stand(installation)
            kubectl(namespace, "rollout", "status", "statefulset/shipway-buildkit", "--timeout=300s")
            yield Bench(installation, _repository(Path(folder) / "app", where.registry, megabytes), f"{git.url}/app")
    finally:
        subprocess.run(["kubectl", "delete", "namespace", namespace, "--wait=false"], capture_output=True, check=False)
        cluster_pods.forget(namespace)


def _repository(path: Path, registry: str, megabytes: int) -> Repository:
    made = Repository(path)
    made.write("Dockerfile", DOCKERFILE.replace("{registry}/library/busybox:static", f"{registry}/{deployment.BASE}"))
    text = "".join(f"{n * 2654435761 % 2**32:010d} line {n}\n" for n in range(megabytes * 8_600))
    made.write("data/text", text).write("source.txt", "first\n").commit()
    return made


if __name__ == "__main__":
    raise SystemExit(main())
