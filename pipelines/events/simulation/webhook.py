"""The event that Argo's EventSource puts on the bus for a webhook's body."""

from __future__ import annotations

from typing import Any

from pipelines.errors import Misuse, Refused
from pipelines.events.event import Sender
from pipelines.events.simulation import go_json

MOST_BYTES = 1048576
"""Of a body, unless the EventSource sets another limit (argo-events: v1alpha1/webhook_context.go)."""
MOST_BYTES_BY_HAND = 65536
SOURCES = {
    Sender.GITHUB: ("shipway-webhooks", "github"),
    Sender.GITEA: ("shipway-webhooks", "gitea"),
    Sender.GITLAB: ("shipway-webhooks", "gitlab"),
    Sender.WEBHOOK: ("shipway-webhooks", "manual"),
    Sender.CALENDAR: ("shipway-calendar", "nightly"),
}
"""For each sender its EventSource, and the event's name there."""


def event(source: Sender, payload: bytes, header: str) -> dict[str, Any]:
    """Return a payload as the Sensor gets it. Raises Refused if the EventSource would answer with an error.

    `header` is the value of `X-GitHub-Event`: Argo adds it to the body, where no filter reads it. The payload of the
    calendar is the whole event.
    """
    most = MOST_BYTES_BY_HAND if source is Sender.WEBHOOK else MOST_BYTES
    if len(payload) > most:
        raise Refused(
            "the event source refuses the payload",
            seen=f"{len(payload)} bytes, of which it takes {most}",
            todo="nothing: the next reconcile finds the commit",
        )
    body = go_json.loads(payload)
    if not isinstance(body, dict):
        raise Misuse(
            "the payload is not a JSON object", seen=type(body).__name__, todo="save the body that the forge sent"
        )
    match source:
        case Sender.CALENDAR:
            return body
        case Sender.WEBHOOK:
            return {"header": {}, "body": body}
        case Sender.GITLAB:
            return {"headers": {}, "body": body}
        case _:
            return {"headers": {}, "body": body | {"X-GitHub-Event": header, "X-GitHub-Delivery": ""}}
