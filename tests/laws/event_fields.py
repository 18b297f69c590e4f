"""Finds unknown fields: the models accept them, the cluster stores them, and Argo ignores them."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from hera.events import models as m
from hera.events.models.io.k8s.api.core import v1 as core
from hera.workflows import models as workflows
from pydantic import BaseModel, RootModel

_WHOLE = {"apiVersion", "kind"}
# argo-events: pkg/apis/events/v1alpha1/jetstream_eventbus.go; Hera has no EventBus.
_OBJECT = {"metadata", "spec", *_WHOLE}
_BUSES: Mapping[str, frozenset[str]] = {
    "jetstream": frozenset(
        "version replicas containerTemplate reloaderContainerTemplate metricsContainerTemplate persistence metadata "
        "nodeSelector tolerations securityContext imagePullSecrets priorityClassName priority affinity "
        "serviceAccountName settings startArgs streamConfig maxPayload".split()
    ),
    "jetstreamExotic": frozenset("url accessSecret streamConfig tls".split()),
}
_INSIDE: Mapping[str, frozenset[str]] = {
    "persistence": frozenset("storageClassName accessMode volumeSize".split()),
    "accessSecret": frozenset("name key optional".split()),
    **dict.fromkeys(
        ("containerTemplate", "reloaderContainerTemplate", "metricsContainerTemplate"),
        frozenset("resources imagePullPolicy securityContext".split()),
    ),
}
"""Only the objects that our buses have."""
_MODELS: Mapping[str, type[BaseModel]] = {
    "EventSource": m.EventSource,
    "Sensor": m.Sensor,
    "Workflow": workflows.Workflow,
}
_CONFIG_MAP = {"metadata", "data", "binaryData", "immutable"}


def unknown(document: Mapping[str, Any]) -> list[str]:
    """Return the path of every field that Argo does not know, and of every value of a wrong type."""
    return list(_document(document, ""))


def _document(document: Mapping[str, Any], path: str) -> Iterator[str]:
    kind = str(document.get("kind"))
    if kind == "EventBus":
        yield from (str(key) for key in document.keys() - _OBJECT)
        yield from _value(document.get("metadata", {}), workflows.ObjectMeta, "metadata")
        for bus, spec in document["spec"].items():
            yield from (f"spec.{bus}.{key}" for key in spec.keys() - _BUSES.get(bus, frozenset()))
            for key, value in spec.items():
                if key == "securityContext":
                    yield from _value(value, core.PodSecurityContext, f"spec.{bus}.{key}")
                elif isinstance(value, dict | list):
                    # An object that is not listed has no known field.
                    known = _INSIDE.get(key, frozenset())
                    yield from (f"spec.{bus}.{key}.{inner}" for inner in sorted(set(value) - known))
                    if isinstance(value, dict) and "securityContext" in known:
                        rights = value.get("securityContext", {})
                        yield from _value(rights, core.SecurityContext, f"spec.{bus}.{key}.securityContext")
    elif kind == "ConfigMap":
        yield from (f"{path}.{key}" for key in document.keys() - _CONFIG_MAP - _WHOLE)
        yield from _value(document.get("metadata", {}), workflows.ObjectMeta, f"{path}.metadata")
    elif kind in _MODELS:
        rest = {key: value for key, value in document.items() if key not in _WHOLE}
        yield from _value(rest, _MODELS[kind], path)
    else:
        yield f"{path}.kind: {kind}"


def _value(value: Any, hint: Any, path: str) -> Iterator[str]:
    model, inner = _unwrap(hint)
    if model is m.K8SResource:
        yield from _document(value, path) if isinstance(value, dict) else [path]
    elif model in {m.Amount, m.Int64OrString}:
        if isinstance(value, dict | list):
            yield path
    elif isinstance(value, dict) and model is not None:
        fields = _fields(model)
        for key, child in value.items():
            place = f"{path}.{key}".lstrip(".")
            if key in fields:
                yield from _value(child, fields[key], place)
            else:
                yield place
    elif isinstance(value, dict | list) and inner is not None:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in items:
            yield from _value(child, inner, f"{path}.{key}")


@functools.cache
def _fields(model: type[BaseModel]) -> Mapping[str, Any]:
    """Return the hint of each field that a model has, by its name in a document."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if model is m.WebhookEventSource and name == "webhook_context":
            fields |= _fields(m.WebhookContext)  # inline in Argo's type
        else:
            fields[field.alias or name] = field.annotation
    return fields


@functools.cache
def _unwrap(hint: Any) -> tuple[type[BaseModel] | None, Any]:
    """Return the model that a hint allows, or the hint of a list's or a map's items."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _unwrap(args[0])
    if origin in {typing.Union, types.UnionType}:
        options = [_unwrap(arg) for arg in args if arg is not type(None)]
        return next((option for option in options if option != (None, None)), (None, None))
    if origin in {list, dict}:
        return None, args[-1]
    if isinstance(hint, type) and issubclass(hint, RootModel):
        root: Any = hint.model_fields["root"].annotation
        return _unwrap(root)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint, None
    return None, None
