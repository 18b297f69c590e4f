"""The schemas of Argo's own kinds, from checkouts of its projects where the environment names them."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

_SOURCES = {
    "ARGO_WORKFLOWS_SRC": "manifests/base/crds/full/argoproj.io_*.yaml",
    "ARGO_EVENTS_SRC": "manifests/base/crds/argoproj.io_*.yaml",
    "ARGO_CD_SRC": "manifests/crds/*-crd.yaml",
}
"""What names a checkout, and where in it the CRDs lie."""
LACKING = ", ".join(name for name in _SOURCES if not os.environ.get(name))
GROUP = "argoproj.io/v1alpha1"


def errors(document: Any) -> list[str]:
    """Return what the schema of a document's kind finds in it, unknown fields too."""
    found = jsonschema.Draft202012Validator(_schema(document["kind"])).iter_errors(document)
    return [f"{document['kind']}: {error.json_path}: {error.message[:300]}" for error in found]


@cache
def _schema(kind: str) -> dict[str, Any]:
    for name, pattern in _SOURCES.items():
        for path in Path(os.environ[name]).glob(pattern):
            text = path.read_text(encoding="utf-8")
            if f"\n    kind: {kind}\n" in text:
                crd = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
                schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
                _close(schema)
                return schema
    raise AssertionError(f"no CRD of {kind}")


def _close(schema: Any) -> None:
    """Let a schema refuse fields that it does not name, as the server does when it is strict."""
    if isinstance(schema, dict):
        if schema.pop("x-kubernetes-int-or-string", False):
            schema.clear()
        named = "properties" in schema and schema["properties"].keys() - {"metadata"}
        if named and "kind" not in schema["properties"] and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        for value in list(schema.values()):
            _close(value)
    elif isinstance(schema, list):
        for item in schema:
            _close(item)
