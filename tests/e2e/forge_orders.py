"""The orders in which webhooks, pushes and kills meet: each returns the commits whose authors wait for an answer."""

from __future__ import annotations

import json
import random
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from tests.e2e.forge_circle import ForgeCircle
from tests.e2e.forge_hooks import Delivery
from tests.e2e.place import kubectl

Order = Callable[[ForgeCircle], Sequence[str]]


def one_push(circle: ForgeCircle) -> list[str]:
    """Push once; the webhook of Shipway's own commit comes as soon as the forge sends it."""
    return [circle.push(secrets.token_hex(4))]


def own_webhook_late(circle: ForgeCircle) -> list[str]:
    """Push once; the webhook of Shipway's own commit comes after the run has ended."""
    commit = circle.push(secrets.token_hex(4))
    circle.until(lambda: circle.of(commit), "no run")
    circle.relay.is_holding = True
    circle.settled()
    circle.relay.release()
    return [commit]


def two_pushes(circle: ForgeCircle) -> list[str]:
    """Push twice; the second comes while the first one's run works."""
    first = circle.push(secrets.token_hex(4))
    circle.until(lambda: any(run.pods("clone-build-push") for run in circle.of(first)), "nothing is built")
    return [first, circle.push(secrets.token_hex(4))]


def two_pushes_told_in_reverse(circle: ForgeCircle) -> list[str]:
    """Push twice at once; the forge tells of the second first."""
    circle.relay.is_holding = True
    commits = [circle.push(secrets.token_hex(4)), circle.push(secrets.token_hex(4))]
    circle.until(lambda: {*commits} <= {one.head for one in circle.relay.held}, "no webhooks")

    def reverse(held: Sequence[Delivery]) -> Sequence[Delivery]:
        return sorted(held, key=lambda one: commits.index(one.head), reverse=True)

    circle.relay.release(reverse)
    return commits


def a_persons_push(circle: ForgeCircle) -> list[str]:
    """Push twice; the second changes no image, and comes while the first is deployed."""
    first = circle.push(secrets.token_hex(4))
    circle.until(lambda: any(run.pods("clone-build-push") for run in circle.of(first)), "nothing is built")
    return [first, circle.shop.push({"README.md": secrets.token_hex(4)}, "Explain it")]


def a_kill(circle: ForgeCircle) -> list[str]:
    """Push once; the pod that builds is deleted."""
    commit = circle.push(secrets.token_hex(4))
    circle.until(lambda: any(run.pods("clone-build-push") for run in circle.of(commit)), "nothing is built")
    kill(circle, random.Random(0))
    return [commit]


def told_twice(circle: ForgeCircle) -> list[str]:
    """Push once; the forge tells of it twice."""
    commit = circle.push(secrets.token_hex(4))
    circle.until(lambda: any(one.head == commit for one in circle.relay.arrived), "no webhook")
    [delivery, *_] = [one for one in circle.relay.arrived if one.head == commit]
    circle.relay.again(delivery)
    return [commit]


ORDERS: Mapping[str, Order] = {
    order.__name__.replace("_", "-"): order
    for order in (
        one_push,
        own_webhook_late,
        two_pushes,
        two_pushes_told_in_reverse,
        a_persons_push,
        a_kill,
        told_twice,
    )
}


def at_random(circle: ForgeCircle, seed: int) -> tuple[list[str], list[str]]:
    """Push up to three times, with webhooks late, doubled and out of order, and kills; return commits and a story."""
    chance = random.Random(seed)
    story: list[str] = []

    def delays(delivery: Delivery) -> list[float]:
        times = 2 if chance.random() < 0.2 else 1
        held = [chance.choice((0.0, 0.0, chance.uniform(0, 5), chance.uniform(5, 40))) for _ in range(times)]
        story.append(f"told of {delivery.head[:8]} after {' and '.join(f'{one:.0f}' for one in held)} s")
        return held

    circle.relay.decide = delays
    commits: list[str] = []
    for _ in range(chance.choice((1, 1, 2, 2, 3))):
        if chance.random() < 0.7:
            commits.append(circle.push(secrets.token_hex(4)))
            story.append(f"pushed {commits[-1][:8]}, an image")
        else:
            commits.append(circle.shop.push({"README.md": secrets.token_hex(4)}, "Explain it"))
            story.append(f"pushed {commits[-1][:8]}, no image")
        time.sleep(chance.choice((0, chance.uniform(0, 10), chance.uniform(10, 60))))
        if chance.random() < 0.4 and (killed := kill(circle, chance)):
            story.append(f"killed {killed}")
    circle.settled()
    circle.relay.decide = None
    return commits, story


def kill(circle: ForgeCircle, chance: random.Random) -> str:
    """Delete a running pod of a run at once, as a node's loss does, and return its name; empty if there is none."""
    namespace = circle.installation.namespace
    words = (
        "get",
        "pods",
        "-l",
        "workflows.argoproj.io/workflow",
        "--field-selector=status.phase=Running",
        "-o",
        "json",
    )
    names = [str(pod["metadata"]["name"]) for pod in json.loads(kubectl(namespace, *words))["items"]]
    if not names:
        return ""
    name = chance.choice(sorted(names))
    deletion = ["kubectl", "-n", namespace, "delete", "pod", name, "--grace-period=0", "--force", "--ignore-not-found"]
    subprocess.run(deletion, capture_output=True, check=True)
    return name
