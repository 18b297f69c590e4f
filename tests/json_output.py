"""What a command printed with --json, judged by the schema in the package."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator

SCHEMA: dict[str, Any] = json.loads((resources.files("pipelines") / "schemas/json-output.schema.json").read_text())


def read(command: str, text: str) -> dict[str, Any]:
    """Return the one object of a command's output; it has the form that the schema promises, and no other field."""
    value: dict[str, Any] = json.loads(text)
    Draft202012Validator({"$ref": f"#/$defs/{command}", "$defs": SCHEMA["$defs"]}).validate(value)
    named = {name for kind in _kinds(SCHEMA["$defs"][command]) for name in kind["properties"]}
    assert value.keys() <= named, "fields that the schema does not have"
    return value


def _kinds(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the forms of an object that a schema allows."""
    if "$ref" in schema:
        return _kinds(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    return [kind for inner in schema["anyOf"] for kind in _kinds(inner)] if "anyOf" in schema else [schema]
