"""Turns Hera's models of Argo Events into documents for a cluster.

The models leave `apiVersion` and `kind` out, know no EventBus, and write four things in another way than Argo reads
them (argo-events: pkg/apis/events/v1alpha1, the types' own UnmarshalJSON and `inline` tags). All of that is mended
here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from hera.events import models as m
from pydantic import BaseModel, RootModel

API = "argoproj.io/v1alpha1"
LABELS = {"app.kubernetes.io/name": "shipway", "app.kubernetes.io/component": "events"}


def document(kind: str, name: str, spec: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole document."""
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, "labels": dict(LABELS)}, "spec": plain(spec)}


def resource(value: Mapping[str, Any]) -> m.ArtifactLocation:
    """Return a document as the resource that a trigger creates."""
    encoded = base64.b64encode(json.dumps(value).encode()).decode()
    return m.ArtifactLocation(resource=m.K8SResource(value=encoded))


def amount(value: float) -> m.Amount:
    """Return a number in the form of a backoff."""
    return m.Amount(value=base64.b64encode(json.dumps(value).encode()).decode())


def duration(text: str) -> m.Int64OrString:
    """Return a time such as 2s in the form of a backoff."""
    return m.Int64OrString(type="1", str_val=text)


def plain(value: Any) -> Any:
    """Return a model as plain values with Argo's names, without fields that are not set."""
    if isinstance(value, m.K8SResource | m.Amount):
        return json.loads(value.value or "null")
    if isinstance(value, m.Int64OrString):
        return value.str_val
    if isinstance(value, m.WebhookEventSource):
        return {**plain(value.webhook_context), **({"filter": plain(value.filter)} if value.filter else {})}
    if isinstance(value, RootModel):
        return plain(value.root)
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {
            field.alias or name: plain(getattr(value, name))
            for name, field in fields.items()
            if getattr(value, name) is not None
        }
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
