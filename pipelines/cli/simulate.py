"""`shipway simulate PAYLOAD.json`: the triggers that a saved webhook fires, and the Workflow that each creates."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from pipelines import settings as setting
from pipelines.cli import json_output, running
from pipelines.cli import options as cli_options
from pipelines.cli.command import flag, flags, group, positional, switch
from pipelines.cli.options import SettingsFileOptions
from pipelines.declared import yaml_text
from pipelines.declared.yaml_text import KubernetesLoader
from pipelines.errors import Misuse, ShipwayError, reason
from pipelines.events.decode import LaneSettings, RunInputs, decode
from pipelines.events.event import Decoded, Sender
from pipelines.events.simulation import sensor, webhook
from pipelines.events.simulation.sensor import TriggerResult
from pipelines.step import results, signature

SENSOR = running.TEMPLATES / "sensors" / "sensor.yaml"


@flags
class SimulateOptions:
    """Which webhook to simulate, and with which Sensor."""

    payload: str = positional("the body that the forge sent; - for stdin", metavar="PAYLOAD.json")
    source: str = flag("who sent it", choices=[str(source) for source in webhook.SOURCES], default="github")
    event: str = flag("what the unsigned header X-GitHub-Event says; it changes nothing", metavar="NAME")
    sensor: Path = flag("the Sensor (default: the compiled one)", type=Path, default=SENSOR, metavar="FILE")
    settings: SettingsFileOptions = group(SettingsFileOptions)
    json: bool = switch("print one JSON object")


def run(options: SimulateOptions) -> int:
    """Run the compiled Sensor over the body of a webhook: print the Workflow that each trigger creates, with its lane
    and the reason, and for each that does not fire the filter that said no. What the Sensor does not use of Argo Events
    is refused by name. Which repositories a chart watches is the setting `repositories`.

    example: shipway simulate examples/payloads/github-push.json --source github --event push
    """
    source = Sender(options.source)
    path = cli_options.settings_file(options.settings)
    settings = setting.read(path) if path else {}
    payload = _payload(options.payload)
    event_source, name = webhook.SOURCES[source]
    results = sensor.run(
        _sensor(options.sensor), source=event_source, event=name, data=webhook.event(source, payload, options.event)
    )
    if not results:
        raise Misuse(
            f"no trigger of this Sensor waits for events of {source}",
            seen=str(options.sensor),
            todo="name another --source, or a Sensor that has one; an installed Sensor has an event of its own for "
            "each night's line",
        )
    triggers = [_trigger(result, settings) for result in results]
    if options.json:
        json_output.write({"source": source, "triggers": triggers})
    else:
        _print(triggers)
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
        document = yaml_text.load(path.read_text(encoding="utf-8"), str(path), KubernetesLoader)
    except (OSError, UnicodeError, ShipwayError) as error:
        raise Misuse(
            f"the Sensor {path} cannot be read",
            seen=reason(error.__cause__ if isinstance(error.__cause__, yaml.YAMLError) else error),
            todo="name a file that `shipway compile` or kubectl wrote",
        ) from error
    spec = document.get("spec") if isinstance(document, dict) and document.get("kind") == "Sensor" else None
    if not isinstance(spec, dict) or not {"dependencies", "triggers"} <= spec.keys():
        raise Misuse("this is not a Sensor", seen=str(path), todo="name a file that `shipway compile` wrote")
    return {"spec": spec}


def _trigger(result: TriggerResult, settings: dict[str, str]) -> dict[str, Any]:
    if result.workflow is None:
        return {"trigger": result.trigger, "fires": result.failed, "failed" if result.failed else "no": result.said_no}
    trigger: dict[str, Any] = {"trigger": result.trigger, "fires": True}
    try:
        decoded = _decoded(result.workflow, settings)
    except ShipwayError as error:
        trigger |= {"lane": "refused", "reason": str(error)}
    else:
        trigger |= {"lane": decoded.lane, "reason": decoded.reason}
        trigger["decoded"] = json.loads(results.text_of(decoded))
    return trigger | {"workflow": result.workflow}


def _decoded(workflow: dict[str, Any], settings: dict[str, str]) -> Decoded:
    """Return the result of the run's first step, with the settings that it would read."""
    rules = signature.from_settings(LaneSettings, settings)
    [event] = [p["value"] for p in workflow["spec"]["arguments"]["parameters"] if p["name"] == "event"]
    with contextlib.redirect_stderr(io.StringIO()):  # the answer has what the step logs
        return decode(inputs=RunInputs(event=event), rules=rules)


def _print(triggers: list[dict[str, Any]]) -> None:
    write = sys.stdout.write
    for trigger in triggers:
        if "no" in trigger:
            write(f"{trigger['trigger']}: does not fire: {trigger['no']}\n")
        elif "failed" in trigger:
            write(f"{trigger['trigger']}: fires and fails: {trigger['failed']}\n")
        else:
            reason = trigger["reason"].replace("\n", "\n  ")
            write(f"{trigger['trigger']}: fires\n  lane: {trigger['lane']}\n  reason: {reason}\n")
            for key in ("kind", "repo", "ref", "head", "revision"):
                if value := trigger.get("decoded", {}).get(key):
                    write(f"  {key}: {value}\n")
            text = yaml.safe_dump(trigger["workflow"], sort_keys=False, width=10_000)
            write("".join(f"  {line}\n" for line in ["workflow:", *(f"  {line}" for line in text.splitlines())]))
