"""`shipway simulate PAYLOAD.json`: which triggers a saved webhook fires, and the Workflow that each creates; no cluster needed."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from pipelines.cli import options, running
from pipelines.errors import Misuse, ShipwayError, reason
from pipelines.events.decode import decode
from pipelines.events.event import Decoded, Sender
from pipelines.events.simulation import sensor, webhook
from pipelines.events.simulation.sensor import TriggerResult
from pipelines.step import signature

SENSOR = running.TEMPLATES / "sensors" / "sensor.yaml"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = (
        "Run the compiled Sensor over the body of a webhook: print the Workflow that each trigger creates, with its lane "
        "and the reason, and for each that does not fire the filter that said no. What the Sensor does not use of Argo "
        "Events is refused by name. Which repositories a chart watches is the setting `repositories`."
    )
    parser.epilog = "example: shipway simulate examples/payloads/github-push.json --source github --event push"
    parser.add_argument("payload", metavar="PAYLOAD.json", help="the body that the forge sent; - for stdin")
    parser.add_argument(
        "--source", choices=[str(source) for source in webhook.SOURCES], default="github", help="who sent it"
    )
    parser.add_argument(
        "--event", default="", metavar="NAME", help="what the unsigned header X-GitHub-Event says; it changes nothing"
    )
    parser.add_argument(
        "--sensor", type=Path, default=SENSOR, metavar="FILE", help="the Sensor (default: the compiled one)"
    )
    options.settings(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(given: argparse.Namespace) -> int:
    """Print what happens; the exit code is 0 also where nothing fires."""
    source = Sender(given.source)
    settings = options.read_settings(given, embedded=False)
    payload = _payload(given.payload)
    event_source, name = webhook.SOURCES[source]
    found = sensor.run(
        _sensor(given.sensor),
        source=event_source,
        event=name,
        data=webhook.event(source, payload, given.event),
    )
    if not found:
        raise Misuse(
            f"no trigger of this Sensor waits for events of {source}",
            seen=str(given.sensor),
            todo="name another --source, or a Sensor that has one; an installed Sensor has an event of its own for each night's line",
        )
    told = [_told(outcome, settings) for outcome in found]
    if given.json:
        sys.stdout.write(json.dumps({"source": source, "triggers": told}, indent=2, ensure_ascii=True) + "\n")
    else:
        _print(told)
    return 0


def _payload(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Misuse(
            f"the payload {name} cannot be read", seen=reason(error), todo="name a file that holds the body, or -"
        ) from error


def _sensor(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise Misuse(
            f"the Sensor {path} cannot be read",
            seen=reason(error),
            todo="name a file that `shipway compile` or kubectl wrote",
        ) from error
    spec = document.get("spec") if isinstance(document, dict) and document.get("kind") == "Sensor" else None
    if not isinstance(spec, dict) or not {"dependencies", "triggers"} <= spec.keys():
        raise Misuse("this is no Sensor", seen=str(path), todo="name a file that `shipway compile` wrote")
    return {"spec": spec}


def _told(outcome: TriggerResult, settings: dict[str, str]) -> dict[str, Any]:
    if outcome.workflow is None:
        return {
            "trigger": outcome.trigger,
            "fires": outcome.failed,
            "failed" if outcome.failed else "no": outcome.said_no,
        }
    told: dict[str, Any] = {"trigger": outcome.trigger, "fires": True}
    try:
        decoded = _decoded(outcome.workflow, settings)
    except ShipwayError as error:
        told |= {"lane": "refused", "reason": str(error)}
    else:
        told |= {"lane": decoded.lane, "reason": decoded.reason}
        told["decoded"] = json.loads(signature.text_of(decoded))
    return told | {"workflow": outcome.workflow}


def _decoded(workflow: dict[str, Any], settings: dict[str, str]) -> Decoded:
    """Return what the first step of the run says, with the settings that it would read."""
    step = signature.describe("decode")
    chosen = {a.field: a.parse(settings[a.setting]) for a in step.arguments if a.setting and a.setting in settings}
    [event] = [p["value"] for p in workflow["spec"]["arguments"]["parameters"] if p["name"] == "event"]
    with contextlib.redirect_stderr(io.StringIO()):  # what the step says to its log stands in the answer
        return decode(event=event, **chosen)


def _print(told: list[dict[str, Any]]) -> None:
    write = sys.stdout.write
    for one in told:
        if "no" in one:
            write(f"{one['trigger']}: does not fire: {one['no']}\n")
        elif "failed" in one:
            write(f"{one['trigger']}: fires and fails: {one['failed']}\n")
        else:
            reason = one["reason"].replace("\n", "\n  ")
            write(f"{one['trigger']}: fires\n  lane: {one['lane']}\n  reason: {reason}\n")
            for key in ("kind", "repo", "ref", "head", "revision"):
                if value := one.get("decoded", {}).get(key):
                    write(f"  {key}: {value}\n")
            text = yaml.safe_dump(one["workflow"], sort_keys=False, width=10_000)
            write("".join(f"  {line}\n" for line in ["workflow:", *(f"  {line}" for line in text.splitlines())]))
