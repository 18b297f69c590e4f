"""Pushes, webhooks and kills in random order, with a forge's own webhooks: what each commit's author was told.

    KUBECONFIG=… REGISTRY=… python -m tests.soak.circle --runs 20 > circle.json

Asked for is: every commit on the branch, Shipway's own included, ends with one true status, a success where what it
declares is published; the pod runs the newest image; and one pull request stays open, the same one.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.engines.embedded import deployment
from tests.e2e import argo_cd, forge_circle, forge_orders
from tests.e2e.forge_circle import ForgeCircle
from tests.e2e.place import lacking, place


@dataclass(frozen=True, kw_only=True)
class OrderResult:
    """What came of one order."""

    seed: int
    commits: int
    """Of people and of Shipway."""
    runs: int
    seconds: float
    problems: tuple[str, ...]
    story: tuple[str, ...]
    """What was done, in this order."""


def result(circle: ForgeCircle, seed: int) -> OrderResult:
    """Play one order, and return what came of it."""
    began, before, head = time.monotonic(), len(circle.runs()), circle.shop.head()
    proposed = [one.number for one in circle.proposals()]
    commits, story = forge_orders.at_random(circle, seed)
    every = circle.shop.commits(head)
    problems = circle.problems(every)
    problems += [f"{commit[:12]} is not on the branch" for commit in commits if commit not in every]
    digests = circle.digests()
    if circle.running() != digests:
        problems.append(f"the pods run {circle.running()}, and the values name {digests}")
    if [one.number for one in circle.proposals()] != proposed:
        problems.append(f"the pull request was {proposed}, and is {[one.number for one in circle.proposals()]}")
    return OrderResult(
        seed=seed,
        commits=len(every),
        runs=len(circle.runs()) - before,
        seconds=round(time.monotonic() - began, 1),
        problems=tuple(problems),
        story=tuple(story),
    )


def main() -> int:
    """Play orders and print what came of each as JSON, a line each."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.circle", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20, help="orders to play (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one (default: another each time)")
    given = parser.parse_args()
    if why := lacking() or argo_cd.lacking():
        sys.stdout.write(f"skipped: {why}\n")
        return 0
    where, bad = place(), 0
    deployment.publish_base(where.registry)
    first = given.seed or random.randrange(10**6)
    with tempfile.TemporaryDirectory() as folder, forge_circle.opened(where, Path(folder)) as circle:
        for seed in range(first, first + given.runs):
            found = result(circle, seed)
            bad += bool(found.problems)
            sys.stdout.write(json.dumps(asdict(found)) + "\n")
            sys.stdout.flush()
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
