"""Breaks what carries events, many times over, and counts what was lost and what was doubled.

    KUBECONFIG=… python -m tests.soak.events --runs 10 --events 50 > events.json

The machine must be the cluster's only node: pods are struck from outside. Each run sends a burst of signed pushes, each
of another commit, breaks something in its midst, and waits for the runs. Asked for is: whatever was answered with 2xx
is one run, and whatever was not is none, or one.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import secrets
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.events.event import Push, Sender, read
from tests.e2e import events as events_on
from tests.e2e.events import Events, changed
from tests.e2e.place import kubectl, lacking
from tests.soak import node

SENSOR = "sensor-name=shipway"
SOURCE = "eventsource-name=shipway-webhooks"
BUS = "eventbus-name=shipway"
_SENT: set[str] = set()
"""Runs of all bursts: one that was not taken may yet come, in the midst of the next burst."""
Fault = Callable[[Events], None]


@dataclass(frozen=True, kw_only=True)
class BurstResult:
    """What came of one burst."""

    fault: str
    sent: int
    taken: int
    """Answered with 2xx."""
    lost: int
    """Taken, and no run after the time that is waited for late ones."""
    untaken_and_run: int
    """Not answered with 2xx, and yet there is a run: the answer was lost, the event was not."""
    doubled: int
    """Runs that nothing was sent for."""
    median_seconds: float
    """From the webhook to its run."""
    worst_seconds: float
    slowest_answer_seconds: float


def burst(
    events: Events, count: int, fault: Fault, name: str, *, late_seconds: float, per_second: float = 20.0
) -> BurstResult:
    """Send a burst, strike after a third of it, and return what came of it."""
    bodies = [changed("github-push", after=secrets.token_hex(20)) for _ in range(count)]
    before = _SENT.copy()
    wanted = {events.simulated(Sender.GITHUB, body)[0]["metadata"]["name"]: body for body in bodies}
    _SENT.update(wanted)
    sent: dict[str, float] = {}
    answers: dict[str, int] = {}
    took: list[float] = []
    address = events.address

    def send(run: str) -> None:
        began = time.time()
        sent[run] = began
        try:
            answers[run] = events.send(Sender.GITHUB, wanted[run], address=address)
        except OSError:
            answers[run] = 0
        took.append(time.time() - began)

    striker = threading.Thread(target=fault, args=(events,))
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        for number, run in enumerate(wanted):
            if number == count // 3:
                striker.start()
            pool.submit(send, run)
            time.sleep(1 / per_second)
    striker.join()
    taken = {run for run, status in answers.items() if 200 <= status < 300}
    found = _until(events, taken, late_seconds)
    late = [_created(found[run]) - sent[run] for run in wanted if run in found]
    return BurstResult(
        fault=name,
        sent=count,
        taken=len(taken),
        lost=len(taken - found.keys()),
        untaken_and_run=len((wanted.keys() - taken) & found.keys()),
        doubled=len(found.keys() - wanted.keys() - before - _pings(found)),
        median_seconds=round(statistics.median(late), 1) if late else 0,
        worst_seconds=round(max(late, default=0), 1),
        slowest_answer_seconds=round(max(took), 2),
    )


def nothing(_: Events) -> None:
    """Leave everything as it is: what the other figures compare with."""


def sensor_killed(events: Events) -> None:
    """Kill the Sensor's process once."""
    node.strike(events.namespace, SENSOR, signal.SIGKILL)


def sensor_killed_often(events: Events) -> None:
    """Kill it ten times, the pod anew each time: Kubernetes would wait longer and longer for the same pod."""
    for _ in range(10):
        node.strike(events.namespace, SENSOR, signal.SIGKILL)
        kubectl(events.namespace, "delete", "pods", "-l", SENSOR, "--grace-period=0", "--force", "--wait=false")
        time.sleep(2)


def sensor_killed_while_retrying(events: Events) -> None:
    """Take the right to create runs away for 20 s, and kill the Sensor in its midst."""
    role = json.loads(kubectl(events.namespace, "get", "role", "shipway-sensor", "-o", "json"))
    fewer = [rule for rule in role["rules"] if "workflows" not in rule["resources"]]
    _rules(events, fewer)
    time.sleep(10)
    node.strike(events.namespace, SENSOR, signal.SIGKILL)
    time.sleep(10)
    _rules(events, role["rules"])


def source_killed(events: Events) -> None:
    """Kill what listens, with requests on their way."""
    node.strike(events.namespace, SOURCE, signal.SIGKILL)


def bus_killed(events: Events) -> None:
    """Kill the bus's server; its files stay."""
    node.strike(events.namespace, BUS, signal.SIGKILL, "nats-server")


def bus_lost(events: Events) -> None:
    """Remove the bus's server with its files: whatever was not handed on is gone."""
    kubectl(events.namespace, "delete", "pods", "-l", BUS, "--grace-period=0", "--force")


def bus_frozen(events: Events) -> None:
    """Let the bus answer nothing for a minute."""
    node.strike(events.namespace, BUS, signal.SIGSTOP, "nats-server")
    time.sleep(60)
    node.strike(events.namespace, BUS, signal.SIGCONT, "nats-server")


def sensor_changed(events: Events) -> None:
    """Roll the Sensor out anew in mid-burst: a label of its pod and a pattern of a dependency change."""
    sensor = json.loads(kubectl(events.namespace, "get", "sensor", "shipway", "-o", "json"))
    sensor["spec"]["template"]["metadata"]["labels"]["changed"] = secrets.token_hex(4)
    kubectl(events.namespace, "replace", "-f", "-", given=sensor)


def dependency_changed(events: Events) -> None:
    """Change a filter of the Sensor in mid-burst: Argo deletes the
    dependency's place in the stream and starts with what is new.
    """
    sensor = json.loads(kubectl(events.namespace, "get", "sensor", "shipway", "-o", "json"))
    for dependency in sensor["spec"]["dependencies"]:
        for entry in dependency.get("filters", {}).get("data", []):
            if entry["path"] == "body.repository.full_name":
                entry["value"] = [f"^(team/shop|team/{secrets.token_hex(4)})$"]
    kubectl(events.namespace, "replace", "-f", "-", given=sensor)


def workflow_changed(events: Events) -> None:
    """Change the installed WorkflowTemplate in mid-burst."""
    patch = {"metadata": {"annotations": {"changed": secrets.token_hex(4)}}}
    kubectl(events.namespace, "patch", "workflowtemplate", "release", "--type=merge", "-p", json.dumps(patch))


FAULTS: Mapping[str, Fault] = {
    "nothing": nothing,
    "F3 sensor killed": sensor_killed,
    "F3 sensor killed ten times": sensor_killed_often,
    "F3 sensor killed while it retries": sensor_killed_while_retrying,
    "F4 event source killed": source_killed,
    "F5 bus killed": bus_killed,
    "F5 bus lost with its files": bus_lost,
    "F6 bus frozen for 60 s": bus_frozen,
    "F22 sensor rolled out anew": sensor_changed,
    "F22 filter changed": dependency_changed,
    "F22 workflow template changed": workflow_changed,
}


def doubles(events: Events, count: int) -> BurstResult:
    """F14: send one push twenty times at once, and again after the run was deleted; return it as an outcome."""
    body = changed("github-push", after=secrets.token_hex(20))
    [run] = [made["metadata"]["name"] for made in events.simulated(Sender.GITHUB, body)]
    began = time.time()
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(lambda _: events.send(Sender.GITHUB, body), range(count)))
    found = _until(events, {run}, 60)
    time.sleep(events_on.QUIET_SECONDS)
    found = events.runs()
    return BurstResult(
        fault="F14 one push, twenty times at once",
        sent=count,
        taken=sum(200 <= answer < 300 for answer in answers),
        lost=0 if run in found else 1,
        untaken_and_run=0,
        doubled=len(found.keys() - {run}),
        median_seconds=round(_created(found[run]) - began, 1),
        worst_seconds=round(_created(found[run]) - began, 1),
        slowest_answer_seconds=0,
    )


def _rules(events: Events, rules: object) -> None:
    patch = json.dumps({"rules": rules})
    kubectl(events.namespace, "patch", "role", "shipway-sensor", "--type=merge", "-p", patch)


def _until(events: Events, names: set[str], late_seconds: float) -> dict[str, dict[str, Any]]:
    """Wait for runs, however late they are, and return all there are."""
    deadline = time.monotonic() + late_seconds
    found: dict[str, dict[str, Any]] = {}
    while time.monotonic() < deadline:
        with contextlib.suppress(AssertionError):
            found = events.runs()
            if names <= found.keys():
                break
        time.sleep(1)
    return found


def _pings(found: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return the runs of the pushes by which it is found out
    whether anything listens: their commits begin with zeros.
    """
    heads = {name: read(run["spec"]["arguments"]["parameters"][0]["value"]) for name, run in found.items()}
    return {name for name, event in heads.items() if isinstance(event, Push) and event.head.startswith("0" * 20)}


def _created(run: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(run["metadata"]["creationTimestamp"].replace("Z", "+00:00")).timestamp()


def _clean(events: Events) -> None:
    """Remove the runs and give the struck pods new ones, for which Kubernetes waits no longer after each kill."""
    kubectl(events.namespace, "delete", "workflows", "--all", "--wait=true")
    for selector in (BUS, SOURCE, SENSOR):
        old = node.processes(events.namespace, selector)
        kubectl(events.namespace, "delete", "pods", "-l", selector, "--grace-period=0", "--force")
        # A pod is gone from the API before its processes are: the others must not speak to the old bus.
        while any(Path(f"/proc/{process}").exists() for process in old):
            time.sleep(0.5)
    events_on.listen(events)
    kubectl(events.namespace, "delete", "workflows", "--all", "--wait=true")


def main() -> int:
    """Run all faults and print each outcome as JSON, a line each."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.events", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10, help="bursts with each fault (default: 10)")
    parser.add_argument("--events", type=int, default=50, help="webhooks of a burst, 20 a second (default: 50)")
    parser.add_argument("--late", type=float, default=600, help="seconds after which a run is lost (default: 600)")
    parser.add_argument("--only", default="", help="how a fault's name begins")
    parser.add_argument("--namespace", default=f"shipway-soak-{secrets.token_hex(3)}")
    given = parser.parse_args()
    if why := lacking():
        sys.stdout.write(f"skipped: {why}\n")
        return 0
    lost = 0
    with events_on.installed(given.namespace, schedule="0 3 * * *") as events:
        for name, fault in FAULTS.items():
            for _ in range(given.runs if name.startswith(given.only) else 0):
                _clean(events)
                lost += _tell(burst(events, given.events, fault, name, late_seconds=given.late))
        for _ in range(given.runs if "F14".startswith(given.only[:3]) else 0):
            _clean(events)
            lost += _tell(doubles(events, 20))
    return 1 if lost else 0


def _tell(outcome: BurstResult) -> int:
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
    sys.stdout.flush()
    return outcome.lost + outcome.doubled


if __name__ == "__main__":
    raise SystemExit(main())
