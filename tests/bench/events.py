"""`python -m tests.bench.events`: from a webhook to a container and to a digest, against the same thing by hand.

Everything runs on the cluster that KUBECONFIG names, in a namespace of its own. The figures are printed and saved under
.shipway/bench; no test depends on them.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import copy
import json
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from pipelines.engines.embedded import deployment
from pipelines.events.event import Sender
from tests.bench import cluster_pods
from tests.bench.clone_build_push import DOCKERFILE
from tests.bench.cluster import STANDING
from tests.bench.measure import compare, interleave, save
from tests.e2e import shop as shops
from tests.e2e.place import kubectl, lacking, place
from tests.e2e.shop import ZEROS, Shop
from tests.shipway_process import Images
from tests.soak import node

_STATE = ".status.containerStatuses[*].state"
# A container that has ended was running before, also where the watch was away just then.
_COLUMNS = f"custom-columns=N:.metadata.name,R:{_STATE}.running.startedAt,T:{_STATE}.terminated.startedAt"
_BY_HAND = cluster_pods.STANDING.replace("buildkitd.sock /work/source ", "buildkitd.sock /work/source/page ")
_COMPONENTS = {
    "sensor": "sensor-name=shipway",
    "webhooks' event source": "eventsource-name=shipway-webhooks",
    "calendar's event source": "eventsource-name=shipway-calendar",
    "one server of the bus": "eventbus-name=shipway",
}


class Started:
    """When a container of each pod was first seen running, as a watch tells of it."""

    def __init__(self, namespace: str) -> None:
        """Begin to watch."""
        self.seen: dict[str, float] = {}
        self.changed = threading.Condition()
        self.words = ["kubectl", "-n", namespace, "get", "pods", "--watch", "--no-headers", "-o", _COLUMNS]
        self.over = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while not self.over.is_set():  # a watch ends now and then
            with subprocess.Popen(self.words, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout
                for line in process.stdout:
                    name, *states = line.split()
                    if self.over.is_set():
                        process.terminate()
                    elif states != ["<none>", "<none>"]:
                        with self.changed:
                            self.seen.setdefault(name, time.perf_counter())
                            self.changed.notify_all()

    def wait(self, run: str) -> float:
        """Return the moment at which a run's first container ran."""
        with self.changed:
            while not (found := [moment for name, moment in self.seen.items() if name.startswith(run)]):
                assert self.changed.wait(300), f"{run} never ran"
            return min(found)


def first_container(shop: Shop, runs: int) -> dict[str, object]:
    """Compare a webhook with `kubectl create` of the very Workflow
    that it starts; both runs are of late events, which are ignored.
    """
    started = Started(shop.installation.namespace)
    late = shop.repository.git("rev-parse", "main")
    shop.repository.write("page/page", "1").commit()

    def webhook() -> None:
        body = shop.push("refs/heads/main", late, secrets.token_hex(20))
        [made] = shop.events.simulated(Sender.GITEA, body)
        assert shop.events.send(Sender.GITEA, body) == 200
        started.wait(made["metadata"]["name"])

    def create() -> None:
        [made] = shop.events.simulated(Sender.GITEA, shop.push("refs/heads/main", late, secrets.token_hex(20)))
        kubectl(shop.installation.namespace, "create", "-f", "-", given=copy.deepcopy(made))
        started.wait(made["metadata"]["name"])

    webhook()
    create()
    names = ("webhook", "kubectl create")
    ours, theirs = interleave(lambda: _quiet(shop), webhook, create, runs, names)
    started.over.set()
    found = compare("webhook to first running container: at most 1 s more", ours, theirs)
    sys.stdout.write(f"  worst {max(ours.seconds):.2f} s against {max(theirs.seconds):.2f} s\n\n")
    return found


def digest(shop: Shop, pairs: int) -> dict[str, object]:
    """Compare a webhook with `git clone` and `buildctl` typed
    into a pod that runs, until the image is in the registry.
    """
    url = f"{shop.git.url}/team/shop"
    target = f"{shop.installation.where.registry}/{shop.installation.namespace}"
    registry = shop.installation.where.registry
    base = f"{registry}/{deployment.BASE}"
    dockerfile = DOCKERFILE.replace("{registry}/library/busybox:static", base)
    cluster_pods.stand(shop.installation)
    shop.repository.write("page/Dockerfile", dockerfile).write("page/data/text", "some text\n" * 100_000)
    head = [ZEROS]

    def change() -> None:
        # Until the run before has ended, its verdict holds the mutex that the next one needs.
        _quiet(shop)
        shop.repository.write("page/source.txt", secrets.token_hex(20))
        head.append(shop.repository.commit())

    def webhook() -> None:
        assert shop.events.send(Sender.GITEA, shop.push("refs/heads/main", head[-1], head[-2])) == 200
        images = Images(registry, shop.installation.namespace)
        wanted = images.reference("page", f"git-{head[-1]}")
        deadline = time.monotonic() + 600
        while images.client.resolve(wanted) is None:
            assert time.monotonic() < deadline, "no digest"
            time.sleep(0.05)

    def hand() -> None:
        cluster_pods.type_in(shop.installation, _BY_HAND, url, f"{target}/by-hand:latest")

    for _ in range(2):
        change()
        webhook()
        hand()
    return compare(
        "webhook to published digest: at most 10 s more",
        *interleave(change, webhook, hand, pairs, ("webhook", "clone and buildctl in a pod")),
    )


def _quiet(shop: Shop) -> None:
    """Wait until every run has ended."""
    shop.until(lambda: all(run["status"].get("phase") == "Succeeded" for run in shop.events.runs().values()))


def burst(shop: Shop, commits: int, webhooks: int) -> dict[str, object]:
    """Send many webhooks at 20 a second for fewer commits, each
    on a protected branch of its own; count what was built.
    """
    heads = {}
    for number in range(commits):
        ref = f"refs/heads/burst/{number}"
        heads[ref] = shop.repository.write("page/source.txt", f"burst {number} {secrets.token_hex(8)}").commit()
        shop.repository.git("update-ref", ref, heads[ref])
    bodies = [shop.push(ref, head) for ref, head in heads.items()]
    seconds: list[float] = []
    statuses: Counter[int] = Counter()
    address = shop.events.address

    def send(body: bytes) -> None:
        began = time.perf_counter()
        statuses[shop.events.send(Sender.GITEA, body, address=address)] += 1
        seconds.append(time.perf_counter() - began)

    before = shop.events.runs().keys()
    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        for number in range(webhooks):
            pool.submit(send, bodies[number % commits])
            time.sleep(1 / 20)
    shop.until(lambda: len(shop.events.runs().keys() - before) >= commits)
    created = time.perf_counter() - began
    runs = {name: shop.ended(name) for name in shop.events.runs().keys() - before}
    took = time.perf_counter() - began
    tags = Images(shop.installation.where.registry, shop.installation.namespace).tags("page")
    built = Counter(
        next((p["value"] for p in node.get("inputs", {}).get("parameters", ()) if p["name"] == "revision"), "")
        for run in runs.values()
        for node in run.pods("clone-build-push")
    )
    found: dict[str, object] = {
        "title": f"{webhooks} webhooks at 20/s for {commits} commits",
        "answers": dict(statuses),
        "slowest answer": max(seconds),
        "runs": len(runs),
        "succeeded": sum(run.phase == "Succeeded" for run in runs.values()),
        "built once": sum(built[head] == 1 for head in heads.values()),
        "built more than once": sum(built[head] > 1 for head in heads.values()),
        "lost": sum(f"git-{head}" not in tags for head in heads.values()),
        "all runs made after seconds": created,
        "all runs ended after seconds": took,
    }
    sys.stdout.write(json.dumps(found, indent=2) + "\n\n")
    return found


def idle(shop: Shop) -> dict[str, object]:
    """Tell what the pods that always stand hold in memory when nothing happens."""
    found: dict[str, object] = {"title": "memory of idle pods, MB"}
    time.sleep(20)
    for name, selector in _COMPONENTS.items():
        processes = node.processes(shop.installation.namespace, selector)
        pages = [int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in processes]
        found[name] = round(sum(pages) * 4096 / 1e6)
    sys.stdout.write(json.dumps(found, indent=2) + "\n\n")
    return found


@contextlib.contextmanager
def _standing() -> Iterator[Shop]:
    where, namespace = place(), f"shipway-bench-{secrets.token_hex(3)}"
    deployment.publish_base(where.registry)
    settings = {"builder": "buildkit", "protected_branches": "main,burst/*"}
    try:
        with tempfile.TemporaryDirectory() as folder:
            values = {**STANDING, "imagePullPolicy": "IfNotPresent"}
            with shops.opened(where, namespace, Path(folder), values, **settings) as shop:
                kubectl(namespace, "rollout", "status", "statefulset/shipway-buildkit", "--timeout=300s")
                yield shop
    finally:
        cluster_pods.forget(namespace)


def main() -> int:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.events")
    parser.add_argument("--runs", type=int, default=20, help="webhooks of the first part (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=7, help="builds of each side (default: %(default)s)")
    parser.add_argument("--commits", type=int, default=40, help="commits of the burst (default: %(default)s)")
    parser.add_argument("--webhooks", type=int, default=200, help="webhooks of the burst (default: %(default)s)")
    parser.add_argument("--only", choices=["first", "digest", "burst", "idle"], help="one part (default: all)")
    given = parser.parse_args()
    if why := lacking():
        sys.stdout.write(f"skipped: {why}\n")
        return 0
    with _standing() as shop:
        parts: dict[str, Callable[[], dict[str, object]]] = {
            "idle": lambda: idle(shop),
            "first": lambda: first_container(shop, given.runs),
            "digest": lambda: digest(shop, given.pairs),
            "burst": lambda: burst(shop, given.commits, given.webhooks),
        }
        results = [part() for name, part in parts.items() if given.only in {None, name}]
    save(results, Path(".shipway/bench/events.json"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
