"""Races deployments against other writers of the same branches, many times over, and counts what was lost: nothing may
be.

    python -m tests.soak.deployments --times 100 > soak.json

Each time somebody commits a new version of an application, which is built; then two deployments and two people push at
once, to the chart's repository and to the environments repository.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from pipelines.errors import ShipwayError
from tests.deployments import Remote, World, world
from tests.registry_process import registry

NOTES = 5
"""Commits of each person in a round."""
MOST_PAUSE_SECONDS = 0.8


def main() -> None:
    """Run the rounds and print what came of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.deployments")
    parser.add_argument("--times", type=int, default=100, help="rounds (default: %(default)s)")
    given = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shipway-soak-") as name:
        folder = Path(name)
        (folder / "work").mkdir()
        os.chdir(folder / "work")
        with registry(folder) as address:
            shop = world(folder, address, deploy={"charts": "commit", "environments": {"dev": "commit"}})
            lost: list[str] = []
            raced = 0
            for number in range(given.times):
                raced += play(shop, number, lost)
                sys.stderr.write(f"round {number + 1}: {raced} pushes waited out, {len(lost)} lost\n")
    told = {"rounds": given.times, "raced": raced, "lost": lost, "seconds": round(time.monotonic() - begin)}
    sys.stdout.write(json.dumps(told) + "\n")
    raise SystemExit(1 if lost else 0)


def play(shop: World, number: int, lost: list[str]) -> int:
    """Play one round, add what was lost, and return how many pushes of others were waited out."""
    shop.shop.commit({"page": f"page {number}"})
    shop.build()
    raced: list[int] = []
    threads = [
        *(threading.Thread(target=write, args=(remote, number)) for remote in (shop.shop, shop.environments)),
        *(threading.Thread(target=deploy, args=(shop, lost, raced)) for _ in range(2)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deploy(shop, lost, raced)
    digest = shop.digest()
    for remote, file in ((shop.shop, "charts/web/values.yaml"), (shop.environments, "dev/web/values.yaml")):
        if digest not in remote.file(file):
            lost.append(f"round {number}: {file} does not name {digest}")
        notes = remote.git("log", "--format=%s", "main").count(f"Note {number}-")
        if notes != NOTES or remote.file("notes").strip() != f"{number}-{NOTES - 1}":
            lost.append(f"round {number}: {notes} of {NOTES} notes of {remote.bare.name}")
        trees = remote.git("log", "--format=%T", "main").splitlines()
        if any(one == other for one, other in itertools.pairwise(trees)):
            lost.append(f"round {number}: an empty commit in {remote.bare.name}")
    return sum(raced)


def write(remote: Remote, number: int) -> None:
    """Commit as a person does: again from the new head where somebody was faster."""
    for turn in range(NOTES):
        # Spread over what a deployment takes, so that some fall between its look at the head and its push.
        time.sleep(random.uniform(0, MOST_PAUSE_SECONDS))
        for _ in range(200):
            try:
                remote.commit({"notes": f"{number}-{turn}"}, f"Note {number}-{turn}")
                break
            except AssertionError:
                continue


def deploy(shop: World, lost: list[str], raced: list[int]) -> None:
    """Deploy once, and note what failed and how many pushes were waited out."""
    try:
        raced.append(sum(target.attempts - 1 for target in shop.deploy().targets))
    except ShipwayError as error:
        lost.append(str(error))


if __name__ == "__main__":
    main()
