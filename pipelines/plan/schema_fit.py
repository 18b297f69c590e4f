"""Whether a value is surely as a JSON Schema wants it.

Nearly every file is, and jsonschema, which can also say what is wrong, takes longer to load than many commands take for all the
rest. Only keywords that the schemas of this project use are known, in the meaning of JSON Schema 2020-12.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any] | bool
_WORDS = frozenset({"$schema", "$defs", "title", "description"})
_TYPES: Mapping[str, Collection[type]] = {
    "object": {dict},
    "array": {list},
    "string": {str},
    "boolean": {bool},
    "number": {int, float},
}


def _is(value: object, kinds: str | list[str]) -> bool:
    return any(type(value) in _TYPES.get(kind, ()) for kind in ([kinds] if isinstance(kinds, str) else kinds))


_RULES: Mapping[str, tuple[type | types.UnionType, Callable[[Any, Any], bool]]] = {
    "enum": (object, lambda value, known: any(value == one for one in known)),
    "maxLength": (str, lambda value, most: len(value) <= most),
    "minLength": (str, lambda value, least: len(value) >= least),
    "minimum": (int | float, lambda value, least: value >= least),
    "pattern": (str, lambda value, form: re.search(form, value) is not None),
    "required": (dict, lambda value, names: all(name in value for name in names)),
    "type": (object, _is),
}
"""What a keyword asks of values of one Python type; it asks nothing of others."""
_PARTS = frozenset({"$ref", "additionalProperties", "items", "properties", "propertyNames"})
"""Keywords with schemas of their own."""


def fits(value: Any, schema: Schema, *, whole: Mapping[str, Any], skip: Collection[str] = ()) -> bool:
    """Whether a value is surely as a part of a `whole` schema wants it, keywords to `skip` aside."""
    if isinstance(schema, bool):
        return schema
    for keyword, rule in schema.items():
        if keyword in _WORDS or keyword in skip:
            continue
        if keyword in _RULES:
            kind, holds = _RULES[keyword]
            if isinstance(value, kind) and not holds(value, rule):
                return False
        elif keyword not in _PARTS or not all(
            fits(item, part, whole=whole, skip=skip) for item, part in _parts(keyword, value, schema, whole)
        ):
            return False
    return True


def _parts(
    keyword: str, value: Any, schema: Mapping[str, Any], whole: Mapping[str, Any]
) -> Iterator[tuple[Any, Schema]]:
    """Give what a keyword asks of a value or of what is in it, each with its own schema."""
    rule = schema[keyword]
    if keyword == "$ref":
        yield value, whole["$defs"][rule.removeprefix("#/$defs/")]
    elif keyword == "items" and isinstance(value, list):
        yield from ((item, rule) for item in value)
    elif keyword == "propertyNames" and isinstance(value, dict):
        yield from ((name, rule) for name in value)
    elif keyword == "properties" and isinstance(value, dict):
        yield from ((value[name], part) for name, part in rule.items() if name in value)
    elif keyword == "additionalProperties" and isinstance(value, dict):
        yield from ((item, rule) for name, item in value.items() if name not in schema.get("properties", ()))
