"""Everything of Argo Events that the chart installs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sensors import checks, event_sources
from sensors.event_bus import event_bus
from sensors.sensor import sensor
from sensors.target import CONTRACT, TriggerTarget


def documents(workflows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return every document by the name of its file; raises ValueError for one that breaks a check.

    `workflows` are the compiled WorkflowTemplates, of which those in `sensors.target` are started.
    """
    made = {found["metadata"]["name"]: found for found in workflows}
    targets = tuple(TriggerTarget.of(made[known.name]) if known.name in made else known for known in CONTRACT)
    found = {
        "event-bus": event_bus(),
        "event-source-calendar": event_sources.calendar(),
        "event-source-webhooks": event_sources.webhooks(),
        "sensor": sensor({target.name: target for target in targets}),
    }
    checks.refuse(found.values(), targets)
    return found
