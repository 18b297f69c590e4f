"""What is wrong with a YAML file that a JSON Schema describes, each thing with its line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

import yaml

from pipelines.declared.finding import ERROR, Finding
from pipelines.declared.yaml_text import YamlText
from pipelines.errors import ShipwayError

MOST = 100
"""Violations of one file that are told: the line of each takes as long to find as the file has keys."""

_LONGEST = 500
"""Characters of what is said of one: it quotes the file."""


def finding(path: str, line: int, text: str, todo: str = "", *, rule: str) -> Finding:
    """Return an error at a line of a file."""
    return Finding(path=path, line=line, level=ERROR, rule=rule, text=text[:_LONGEST], todo=todo)


def unreadable(path: str, error: ShipwayError, *, rule: str) -> Finding:
    """Return what `yaml_text.read` refused as a finding at the line that it names."""
    where, _, rest = error.what.partition(": ")
    number = where.rpartition(":")[2]
    text = f"{rest or error.what}: {error.seen}".removesuffix(": ")
    return finding(path, int(number) if number.isdigit() else 1, text, error.todo, rule=rule)


def repeated(path: str, node: yaml.Node | None, *, rule: str) -> Iterator[Finding]:
    """Find keys that occur twice in one mapping: for YAML the last one counts."""
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in first:
                text = f"{key.value!r} stands here and in line {first[key.value]}"
                yield finding(path, line, text, "take one out", rule=rule)
            first.setdefault(str(key.value), line)
            yield from repeated(path, value, rule=rule)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from repeated(path, item, rule=rule)


def violations(
    text: YamlText, value: Any, schema: Mapping[str, Any], *, rule: str, skip: Collection[str] = ()
) -> Iterator[Finding]:
    """Find what a schema forbids of a file's value, up to MOST times.

    `skip` are keywords whose violations the caller reports.
    """
    return islice(_violations(text, value, schema, rule=rule, skip=skip), MOST)


def _violations(
    text: YamlText, value: Any, schema: Mapping[str, Any], *, rule: str, skip: Collection[str]
) -> Iterator[Finding]:
    import jsonschema  # noqa: PLC0415 - takes longer to load than most plans, and most repositories have no such file

    for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
        if error.validator in skip:
            continue
        path = tuple(error.absolute_path)
        where = ".".join(map(str, path)) or "the file"
        unknown = (
            [key for key in error.instance if key not in error.schema.get("properties", {})]
            if (error.validator == "additionalProperties" and isinstance(error.instance, dict))
            else []
        )
        for key in unknown:
            known = ", ".join(error.schema["properties"])
            line = text.key_line(*path, key)
            yield finding(text.where, line, f"{where} has no {key!r}", f"it has {known}", rule=rule)
        description = error.schema.get("description", "") if error.validator != "required" else ""
        if "propertyNames" in error.absolute_schema_path:
            line = text.key_line(*path, error.instance)
            yield finding(text.where, line, f"{where}: {error.instance!r} cannot be a key here", description, rule=rule)
        elif not unknown:
            # A regular expression says less than the words beside it.
            is_worded = error.validator == "pattern" and description
            words = f"{error.instance!r} is not what is wanted here" if is_worded else error.message
            yield finding(text.where, text.line(*path), f"{where}: {words}", description, rule=rule)
