"""Pushes that are missed, late or too quick, many times over, with the real release behind them: what became of each.

    KUBECONFIG=… REGISTRY=… python -m tests.soak.order --runs 10 > order.json

Asked for is: every branch and tag names the image of the commit that it is at, whatever was told of it, and no commit
is built twice.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.engines.embedded import deployment
from pipelines.events.event import Nightly, Sender, write
from tests.e2e import shop as shops
from tests.e2e.installation import Run
from tests.e2e.place import kubectl, lacking, place
from tests.e2e.shop import ZEROS, Shop
from tests.soak.events import SOURCE

Wanted = Mapping[str, str]
"""By tag of the image, the commit that it should be of."""


@dataclass(frozen=True, kw_only=True)
class FaultResult:
    """What came of some runs with one fault."""

    fault: str
    runs: int
    lost: int
    """Tags that do not name their commit's image."""
    built: int
    """Images that were built, in pods of their own."""
    doubled: int
    """Commits that were built in more than one pod."""
    stopped: int
    """Runs that were overtaken while they worked or waited."""
    ignored: int
    """Runs whose event came late."""
    median_seconds: float
    """From the first push to the end of the last run."""
    worst_seconds: float


Came = tuple[Wanted, list[Run]]
"""What is wanted, and the runs that have ended."""


def again(shop: Shop) -> Came:
    """F14: tell of a push once more, after its run was removed as old ones are."""
    head = _commit(shop)
    first = shop.ended(shop.tell("refs/heads/main", head))
    kubectl(shop.installation.namespace, "delete", "workflow", first.document["metadata"]["name"])
    return {"main": head}, [first, shop.ended(shop.tell("refs/heads/main", head))]


def late(shop: Shop) -> Came:
    """F16: tell of the second push first, and of the first while its run works."""
    old, new = _commit(shop), _commit(shop)
    names = [shop.tell("refs/heads/main", new)]
    time.sleep(5)
    return {"main": new}, _ended(shop, [*names, shop.tell("refs/heads/main", old)])


def quick(shop: Shop) -> Came:
    """F17: push twice within a second, and tell of both at once."""
    old = _commit(shop)
    time.sleep(0.5)
    new = _commit(shop)
    return {"main": new}, _ended(shop, [shop.tell("refs/heads/main", old), shop.tell("refs/heads/main", new)])


def overtaken(shop: Shop) -> Came:
    """F17: push again while the first push's run works."""
    first = shop.tell("refs/heads/main", _commit(shop))
    shop.until(lambda: "clone-build-push" in {node.get("templateName") for node in shop.installation.look(first).nodes})
    new = _commit(shop)
    return {"main": new}, _ended(shop, [first, shop.tell("refs/heads/main", new)])


def missed(shop: Shop) -> Came:
    """F15: five pushes while nothing listens, a tag and a deletion among them; then the night."""
    namespace, number = shop.installation.namespace, secrets.token_hex(3)
    [listens] = json.loads(kubectl(namespace, "get", "deployments", "-l", SOURCE, "-o", "json"))["items"]
    scale = ("scale", "deployment", listens["metadata"]["name"])
    kubectl(namespace, *scale, "--replicas=0")
    kubectl(namespace, "wait", "--for=delete", "pods", "-l", SOURCE, "--timeout=120s")
    pushes = {}
    for ref in (
        "refs/heads/main",
        "refs/heads/main",
        f"refs/heads/release/{number}",
        f"refs/heads/release/{number}-gone",
    ):
        pushes[ref] = _commit(shop)
        shop.repository.git("update-ref", ref, pushes[ref])
        _untold(shop, ref, pushes[ref])
    shop.repository.git("update-ref", "-d", f"refs/heads/release/{number}-gone")
    _untold(shop, f"refs/heads/release/{number}-gone", ZEROS)
    version = f"{int(time.time()) % 10**8}.0.0"
    tag = pushes["refs/heads/main"]
    shop.repository.git("update-ref", f"refs/tags/v{version}", _tag(shop, version, tag))
    _untold(shop, f"refs/tags/v{version}", tag)
    kubectl(namespace, *scale, "--replicas=1")
    before = shop.events.runs("nightly-").keys()
    night = Nightly(source="calendar", repo=f"{shop.git.url}/team/shop", ref="refs/heads/main", time=number)
    started = shop.installation.run("reconcile", event=write(night))
    assert started.phase == "Succeeded", shop.installation.story(started)
    # Every commit of this repository is made on main.
    found = sorted(shop.events.runs("nightly-").keys() - before)
    return {"main": shop.repository.git("rev-parse", "main"), version: tag}, _ended(shop, found)


FAULTS: Mapping[str, Callable[[Shop], Came]] = {
    "F14 told again when its run is gone": again,
    "F15 missed": missed,
    "F16 out of order": late,
    "F17 two within a second": quick,
    "F17 overtaken": overtaken,
}


def outcome(shop: Shop, fault: str, runs: int) -> FaultResult:
    """Break it so many times, and return what was counted."""
    lost = made = doubled = stopped = ignored = 0
    seconds = []
    for _ in range(runs):
        began = time.monotonic()
        wanted, ended = FAULTS[fault](shop)
        seconds.append(time.monotonic() - began)
        lost += sum(
            shop.digest(tag) != shop.digest(f"git-{commit}") or not shop.digest(tag) for tag, commit in wanted.items()
        )
        built = Counter(commit for run in ended for commit in _built(run))
        made += built.total()
        doubled += sum(count > 1 for count in built.values())
        stopped += sum("shipway/superseded-by" in run.document["metadata"].get("annotations", {}) for run in ended)
        ignored += sum("ignored" in _lanes(run) for run in ended)
    return FaultResult(
        fault=fault,
        runs=runs,
        lost=lost,
        built=made,
        doubled=doubled,
        stopped=stopped,
        ignored=ignored,
        median_seconds=round(statistics.median(seconds), 1),
        worst_seconds=round(max(seconds), 1),
    )


def _ended(shop: Shop, names: list[str]) -> list[Run]:
    return [shop.ended(name) for name in names]


def _commit(shop: Shop) -> str:
    return shop.repository.write("page/page", secrets.token_hex(8)).commit()


def _tag(shop: Shop, version: str, commit: str) -> str:
    """Store an annotated tag made now, and return its id."""
    words = f"object {commit}\ntype commit\ntag v{version}\ntagger Ada <ada@x> {int(time.time())} +0000\n\nNew\n"
    return shop.repository.git("mktag", stdin=words.encode())


def _untold(shop: Shop, ref: str, head: str) -> None:
    """Send a webhook that nobody takes."""
    with contextlib.suppress(OSError):
        assert shop.events.send(Sender.GITEA, shop.push(ref, head)) >= 400


def _built(run: Run) -> set[str]:
    """Return the keys of the images that a run built in pods of their own."""
    return {
        parameter["value"]
        for node in run.pods("clone-build-push")
        if node["phase"] == "Succeeded"
        for parameter in node.get("inputs", {}).get("parameters", ())
        if parameter["name"] == "key"
    }


def _lanes(run: Run) -> set[str]:
    return {
        parameter["value"]
        for node in run.nodes
        for parameter in node.get("outputs", {}).get("parameters", ())
        if parameter["name"] == "lane"
    }


def main() -> int:
    """Run all faults and print the counts as JSON, a line each."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.order", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10, help="runs of each fault (default: 10)")
    parser.add_argument("--only", default="", help="how a fault's name begins")
    given = parser.parse_args()
    if why := lacking():
        sys.stdout.write(f"skipped: {why}\n")
        return 0
    where, namespace, bad = place(), f"shipway-order-{secrets.token_hex(3)}", 0
    deployment.publish_base(where.registry)
    with (
        tempfile.TemporaryDirectory() as folder,
        shops.opened(where, namespace, Path(folder), protected_branches="main,release/*") as shop,
    ):
        for name in FAULTS:
            if name.startswith(given.only):
                found = outcome(shop, name, given.runs)
                bad += found.lost + found.doubled
                sys.stdout.write(json.dumps(asdict(found)) + "\n")
                sys.stdout.flush()
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
