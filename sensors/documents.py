"""All documents of Argo Events that the chart installs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sensors import event_sources
from sensors.event_bus import event_bus
from sensors.sensor import sensor
from sensors.target import CONTRACT, TriggerTarget


def documents(workflows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return every document by the name of its file.

    `workflows` are the compiled WorkflowTemplates; triggers start those that `sensors.target` names. Tests hold every
    document to tests/laws/event_checks.py.
    """
    compiled = {workflow["metadata"]["name"]: workflow for workflow in workflows}
    targets = tuple(TriggerTarget.of(compiled[known.name]) if known.name in compiled else known for known in CONTRACT)
    return {
        "event-bus": event_bus(),
        "event-source-calendar": event_sources.calendar(),
        "event-source-webhooks": event_sources.webhooks(),
        "sensor": sensor({target.name: target for target in targets}),
    }
