"""No field that Kubernetes does not know, and no value of another type, by the models of its Python client."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kubernetes.client import models

_INSIDE = re.compile(r"(?:List\[(?P<item>.+)\]|Dict\[str, (?P<value>.+)\])")
_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "bool": (bool,), "int": (int,), "float": (int, float)}
MODELS = {
    ("v1", "ConfigMap"): "V1ConfigMap",
    ("v1", "PersistentVolumeClaim"): "V1PersistentVolumeClaim",
    ("v1", "Pod"): "V1Pod",
    ("v1", "Secret"): "V1Secret",
    ("v1", "Service"): "V1Service",
    ("v1", "ServiceAccount"): "V1ServiceAccount",
    ("apps/v1", "StatefulSet"): "V1StatefulSet",
    ("networking.k8s.io/v1", "NetworkPolicy"): "V1NetworkPolicy",
    ("rbac.authorization.k8s.io/v1", "Role"): "V1Role",
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): "V1RoleBinding",
}
"""The kinds that the chart may make: all of them live in a namespace."""


def unknown(value: Any, model: str, path: str = "") -> Iterator[str]:
    """Give each place that the model does not have, and each value that is not of its type."""
    if inside := _INSIDE.fullmatch(model):
        items = enumerate(value) if inside["item"] else value.items()
        for key, item in items:
            yield from unknown(item, inside["item"] or inside["value"], f"{path}[{key}]")
    elif model in _TYPES:
        if not isinstance(value, _TYPES[model]) or (model != "bool" and isinstance(value, bool)):
            yield f"{path}: {value!r} is no {model}"
    elif model not in {"object", "datetime"}:
        described = getattr(models, model)
        names = {written: name for name, written in described.attribute_map.items()}
        for key, item in value.items():
            if key in names:
                yield from unknown(item, described.openapi_types[names[key]], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
