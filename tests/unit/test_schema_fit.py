"""What is taken for valid without jsonschema: exactly what jsonschema takes for valid."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pytest

from pipelines.plan import environments, schema_fit, shipway_yaml

_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, [], {}, ["x"], ["x", 1], {"x": "y"}, {1: "y"}),
    *("", "x", "../x", "a/b", "a b", "X", "7d", "commit", "x\n", "x" * 63, "x" * 64, "x" * 250, "x" * 251),
)
_APPLICATION = {
    "chart": "team/web", "version": "1.0.0", "namespace": "shop", "stage": "database", "serverSideApply": True, "skipCrds": False,
}  # fmt: skip
_SOURCE = {"repo": "https://git.example.com/a.git", "path": "charts/web", "revision": "main", "namespace": "shop"}
_IMAGE = {
    "name": "web", "build": True, "version": "1.0", "target": "x", "build-args": {"A": "1", "B": 2, "C": False}, "secrets": ["npm"],
    "shared": ["libs"], "rebuild": 3, "max-age": "7d",
}  # fmt: skip
_REPOSITORY = {
    "ignore": ["docs"],
    "images": {"apps/web": _IMAGE, "apps/*": {"version": 2.0}},
    "charts": {"ignore": ["x"], "libraries": ["*"]},
    "deploy": {"branch": "main", "charts": "commit", "environments": {"dev": "pull-request"}},
    "values": [{"file": "web/values.yaml", "image": "web", "at": "image"}],
}


def altered(value: Any) -> Iterator[Any]:
    """Give a value with something odd in one place, or without it, for every place, and for every key."""
    yield from _ODD
    places = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, inner in list(places):
        for other in altered(inner):
            made = copy.copy(value)
            made[place] = other
            yield made
        if isinstance(value, dict):
            rest = {key: item for key, item in value.items() if key != place}
            yield rest
            for key in ("x", "../x", "A B", 1):
                yield {**rest, key: inner}


@pytest.mark.parametrize("valid", [_APPLICATION, _SOURCE, _REPOSITORY])
def test_it_is_what_jsonschema_says(valid: Mapping[str, Any]) -> None:
    """Of a file as it should be, and with anything wrong in any place."""
    schema, skip = (shipway_yaml.schema(), ()) if valid is _REPOSITORY else (environments.schema(), ("oneOf",))
    validator = jsonschema.Draft202012Validator(schema)
    assert schema_fit.fits(valid, schema, whole=schema, skip=skip)
    for value in altered(valid):
        wrong = any(error.validator not in skip for error in validator.iter_errors(value))
        assert schema_fit.fits(value, schema, whole=schema, skip=skip) is not wrong, value


def test_what_is_not_known_is_not_taken_for_valid() -> None:
    """A keyword or a type that a schema gets one day is jsonschema's to judge."""
    for schema in ({"multipleOf": 2}, {"type": "integer"}):
        assert not schema_fit.fits(4, schema, whole=schema)
