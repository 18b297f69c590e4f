"""Everything of Argo Events that the chart installs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sensors import checks, event_sources
from sensors.event_bus import event_bus
from sensors.sensor import sensor
from sensors.target import CONTRACT, NAME, Target


def documents(workflows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return every document by the name of its file; raises ValueError for one that breaks a check.

    `workflows` are the compiled WorkflowTemplates, of which the one named `release` is started.
    """
    target = next((Target.of(found) for found in workflows if found["metadata"]["name"] == NAME), CONTRACT)
    found = {
        "event-bus": event_bus(),
        "event-source-calendar": event_sources.calendar(),
        "event-source-webhooks": event_sources.webhooks(),
        "sensor": sensor(target),
    }
    checks.refuse(found.values(), target)
    return found
