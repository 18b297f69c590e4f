"""A Sensor with one event: which dependencies accept it, and what their triggers create."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.events.simulation import go_json, go_template
from pipelines.events.simulation.go_template import TemplateError, not_simulated

_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_ARGUMENT = re.compile(r"spec\.arguments\.parameters\.(\d+)\.value")
_METADATA = re.compile(r"metadata\.(labels|annotations)\.((?:[a-z/-]|\\\.)+)")
# Syntax that means something else in Python than in RE2, which Argo uses.
_OTHER = re.compile(r"\(\?|\\(?![.\\+*?()|\[\]{}^$\-rnt/sS])|[*+?}]\+|\\s(?!\\S)")
_KNOWN: Mapping[str, frozenset[str]] = {
    "dependency": frozenset({"name", "eventName", "eventSourceName", "filters"}),
    "filters": frozenset({"data"}),
    "filter": frozenset({"path", "type", "value"}),
    "trigger": frozenset({"atLeastOnce", "retryStrategy", "dlqTrigger", "template"}),
    "template": frozenset({"name", "conditions", "k8s"}),
    "k8s": frozenset({"operation", "source", "parameters"}),
    "source": frozenset({"resource"}),
    "parameter": frozenset({"src", "dest", "operation"}),
    "src": frozenset({"dependencyName", "dataTemplate", "value"}),
}


@dataclass(frozen=True, kw_only=True)
class TriggerResult:
    """The result of one trigger for an event."""

    trigger: str
    workflow: dict[str, Any] | None
    """The Workflow that it creates, or None."""
    said_no: str
    """Why its filter rejected the event, or why it failed."""
    failed: bool = False
    """Whether it fired and could not create its Workflow; the event is then retried, and kept."""


def run(sensor: Mapping[str, Any], *, source: str, event: str, data: Mapping[str, Any]) -> list[TriggerResult]:
    """Return the results of the triggers for an event; raises Refused for anything that no compiled Sensor has."""
    dependencies = {dependency["name"]: dependency for dependency in sensor["spec"]["dependencies"]}
    results = []
    for trigger in sensor["spec"]["triggers"]:
        _only("trigger", trigger)
        _only("template", trigger["template"])
        name = trigger["template"]["name"]
        condition = trigger["template"].get("conditions", "")
        if condition not in dependencies:
            raise not_simulated(f"the condition of {name}", condition)
        dependency = dependencies[condition]
        _only("dependency", dependency)
        if (dependency["eventSourceName"], dependency["eventName"]) != (source, event):
            continue
        results.append(_result(name, dependency, trigger["template"]["k8s"], data))
    return results


def _result(name: str, dependency: Mapping[str, Any], k8s: Mapping[str, Any], data: Mapping[str, Any]) -> TriggerResult:
    if why := refusal(dependency.get("filters", {}), data):
        return TriggerResult(trigger=name, workflow=None, said_no=why)
    try:
        workflow = _created(k8s, dependency["name"], data)
    except TemplateError as error:
        return TriggerResult(trigger=name, workflow=None, said_no=str(error), failed=True)
    return TriggerResult(trigger=name, workflow=workflow, said_no="")


def refusal(filters: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Return which filter rejects an event and why, or an empty text."""
    _only("filters", filters)
    for entry in filters.get("data", []):
        _only("filter", entry)
        path, patterns = entry["path"], entry["value"]
        if entry.get("type") != "string" or not _PATH.fullmatch(path):
            raise not_simulated("a filter", f"{path} of type {entry.get('type')}")
        is_present, text = _value(path, data)
        if not is_present:
            return f"{path} is not in the payload"
        if not any(_expression(pattern).fullmatch(text) for pattern in patterns):
            shown = repr(text if len(text) <= 80 else f"{text[:77]}…")
            return f"{path} is {shown} and does not match {' or '.join(patterns)}"
    return ""


def _created(k8s: Mapping[str, Any], dependency: str, data: Mapping[str, Any]) -> dict[str, Any]:
    _only("k8s", k8s)
    _only("source", k8s["source"])
    if k8s["operation"] != "patch":
        raise not_simulated("an operation", k8s["operation"])
    workflow: dict[str, Any] = copy.deepcopy(k8s["source"]["resource"])
    for parameter in k8s["parameters"]:
        _only("parameter", parameter)
        _only("src", parameter["src"])
        if parameter["src"]["dependencyName"] != dependency:
            raise not_simulated("a value of another dependency", parameter["src"]["dependencyName"])
        value = _rendered(parameter["src"], data)
        operation, target = parameter.get("operation", ""), parameter["dest"]
        if operation not in {"", "append"}:
            raise not_simulated("an operation on a value", operation)
        argument, described = _ARGUMENT.fullmatch(target), _METADATA.fullmatch(target)
        holder, key = (workflow["metadata"], "name") if target == "metadata.name" else (None, "value")
        if described:
            holder = workflow["metadata"].setdefault(described[1], {})
            key = described[2].replace("\\.", ".")
        if argument:
            holder = workflow["spec"]["arguments"]["parameters"][int(argument[1])]
        if holder is None:
            raise not_simulated("a place for a value", target)
        holder[key] = (holder.get(key, "") if operation == "append" else "") + value
    return workflow


def _rendered(source: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    try:
        return go_template.render(source["dataTemplate"], {"Input": data})
    except TemplateError:
        if "value" not in source:
            raise
        return str(source["value"])


def _value(path: str, data: Any) -> tuple[bool, str]:
    """Return whether a path exists, and its value as the text that Argo matches."""
    value = data
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return False, ""
        value = value[key]
    if value is None:
        return True, ""
    if isinstance(value, float) and not value.is_integer():
        raise not_simulated("a fraction in the payload", path)
    if isinstance(value, int | float) and abs(value) > go_json.GREATEST:
        raise not_simulated("a number that Go writes in another way", path)
    if isinstance(value, str):
        return True, value
    return True, go_json.dumps(int(value) if isinstance(value, float) else value)


def _expression(pattern: str) -> re.Pattern[str]:
    if not (pattern.startswith("^") and pattern.endswith("$")) or _OTHER.search(pattern.replace(r"[\s\S]", ".")):
        raise not_simulated("a pattern", pattern)
    return re.compile(pattern[1:-1])


def _only(kind: str, value: Mapping[str, Any]) -> None:
    if unknown := sorted(value.keys() - _KNOWN[kind]):
        raise not_simulated(f"the field {unknown[0]} of a {kind}", str(value.get("name", "")))
