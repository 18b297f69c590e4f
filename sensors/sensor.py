"""The Sensor: from a payload to a run of the target, exactly one for each state of a ref.

A run's name ends in a hash of the whole event it gets, and it is created by `patch`, which creates what is absent and
leaves alone what is there: an event that is sent or delivered twice starts one run. `create` would fail on the second,
and burn its retries. Without `atLeastOnce` Argo never retries, and with it alone it tries once (argo-events:
pkg/sensors/listener.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hera.events import models as m

from pipelines.events.event import REF_LABEL, Sender
from sensors import event_bus, event_sources, manifest, payloads, pods
from sensors.shape import Shape
from sensors.target import ARGUMENT, TriggerTarget

NAME = "shipway"
HASH = 32
"""Hexadecimal digits of the hash by which runs of a ref find each other: 128 bits."""
DOT = r"\."
"""A dot in a key, in a path of Argo Events."""
UNKNOWN = "unknown"
"""The value of a label or an annotation whose template fails."""
LOST = 65536
"""Bytes of an event's body that are kept if it could start no run."""
_FORGES = (Sender.GITHUB, Sender.GITEA, Sender.GITLAB)


def sensor(targets: Mapping[str, TriggerTarget]) -> dict[str, Any]:
    """Return the Sensor with a dependency and a trigger for every shape of payload; `targets` are by name."""
    spec = m.SensorSpec(
        event_bus_name=event_bus.NAME,
        template=pods.template(account="shipway-sensor", component="shipway-sensor", speaks_to_api=True),
        dependencies=[_dependency(shape) for shape in payloads.SHAPES],
        triggers=[_trigger(shape, targets[shape.target]) for shape in payloads.SHAPES],
    )
    return manifest.document("Sensor", NAME, spec)


def _dependency(shape: Shape) -> m.EventDependency:
    calendar = shape.source is Sender.CALENDAR
    filters = [m.DataFilter(path=path, type="string", value=[pattern]) for path, pattern in shape.patterns.items()]
    return m.EventDependency(
        name=shape.id,
        event_source_name=event_sources.CALENDAR if calendar else event_sources.WEBHOOKS,
        event_name=str(shape.source) if shape.source in _FORGES else shape.name,
        filters=m.EventDependencyFilter(data=filters) if filters else None,
    )


def _trigger(shape: Shape, target: TriggerTarget) -> m.Trigger:
    workflow = target.workflow(f"{shape.runs or shape.name}-")
    parameters = [
        m.TriggerParameter(src=_source(shape, shape.run_name), dest="metadata.name", operation="append"),
        m.TriggerParameter(src=_source(shape, f"{shape.expression} | b64enc"), dest=target.path(workflow, ARGUMENT)),
    ]
    if shape.ref_expression:
        hashed = _source(shape, f"{shape.ref_expression} | sha256sum | trunc {HASH}")
        parameters.append(m.TriggerParameter(src=hashed, dest=f"metadata.labels.{REF_LABEL}"))
    for place, texts in (("labels", shape.labels), ("annotations", shape.notes)):
        for key, expression in texts.items():
            # A payload that a forge writes in another way costs a text, not the event.
            source = _source(shape, expression, otherwise=UNKNOWN)
            parameters.append(m.TriggerParameter(src=source, dest=f"metadata.{place}.{key.replace('.', DOT)}"))
    return m.Trigger(
        at_least_once=True,
        # Waits of 2, 4, 8 … 64 seconds: a restart of the cluster's API passes within.
        retry_strategy=m.Backoff(steps=7, duration=manifest.duration("2s"), factor=manifest.amount(2)),
        dlq_trigger=_lost(shape),
        template=m.TriggerTemplate(
            name=shape.id,
            conditions=shape.id,
            k8s=m.StandardK8STrigger(operation="patch", source=manifest.resource(workflow), parameters=parameters),
        ),
    )


def _lost(shape: Shape) -> m.Trigger:
    """Return the trigger that keeps an event that could start no run, in a ConfigMap for people."""
    record = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "generateName": "shipway-lost-event-",
            "labels": {"app.kubernetes.io/name": "shipway", "app.kubernetes.io/component": "lost-event"},
        },
        "data": {"trigger": shape.id, "body": ""},
    }
    path = ".Input" if shape.source is Sender.CALENDAR else ".Input.body"  # headers may hold a token
    source = _source(shape, f"{path} | toJson | trunc {LOST} | b64enc")
    return m.Trigger(
        at_least_once=True,
        retry_strategy=m.Backoff(steps=7, duration=manifest.duration("2s"), factor=manifest.amount(2)),
        template=m.TriggerTemplate(
            name=f"{shape.id}-lost",
            k8s=m.StandardK8STrigger(
                operation="create",
                source=manifest.resource(record),
                parameters=[m.TriggerParameter(src=source, dest="data.body")],
            ),
        ),
    )


def _source(shape: Shape, expression: str, otherwise: str | None = None) -> m.TriggerParameterSource:
    return m.TriggerParameterSource(dependency_name=shape.id, data_template=f"{{{{ {expression} }}}}", value=otherwise)
