"""Fan-outs: the items of withItems and withParam, and the outputs of their nodes gathered into lists.

The texts are the same as Argo's for the same values (item.go; operator.go, processItem and
processAggregateNodeOutputs), in Go's JSON: sorted keys, `<`, `>` and `&` as escapes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.bounds import read_json
from pipelines.engines.local.nodes import Node, Phase


class _Number(str):
    """A number in the form of its text."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item of a fan-out."""

    label: str
    """The end of its node's name."""
    values: Mapping[str, str]
    """The names `item` and `item.<key>`."""


class NotAList(Exception):
    """A text that is not a JSON list."""


def of_param(text: str) -> tuple[Item, ...]:
    """Return the items of a JSON list; raises NotAList."""
    try:
        read_json(text, "the list")
        value = json.loads(text, parse_int=_Number, parse_float=_Number)
    except ValueError as error:
        raise NotAList(f"withParam value could not be parsed as a JSON list: {text.strip()[:200]}: {error}") from error
    if not isinstance(value, list):
        raise NotAList(f"withParam value could not be parsed as a JSON list: {text.strip()[:200]}")
    return tuple(_item(index, item) for index, item in enumerate(value))


def of_values(values: Iterable[Any]) -> tuple[Item, ...]:
    """Return the items of a list that a document writes out; raises NotAList."""
    return of_param(to_json(list(values)))


def to_json(value: Any, *, is_sorted: bool = True) -> str:
    """Return the JSON that Go writes for a value."""
    match value:
        case _Number():
            return str(value)
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 1e21:
            return str(int(value))
        case str():
            text = json.dumps(value, ensure_ascii=False)
            for character in "<>&\u2028\u2029":
                text = text.replace(character, f"\\u{ord(character):04x}")
            return text
        case list():
            return "[" + ",".join(to_json(item, is_sorted=is_sorted) for item in value) + "]"
        case dict():
            pairs = sorted(value.items()) if is_sorted else value.items()
            inside = (f"{to_json(str(key))}:{to_json(item, is_sorted=is_sorted)}" for key, item in pairs)
            return "{" + ",".join(inside) + "}"
        case _:
            return json.dumps(value)


def gathered(task: str, outputs: Sequence[str], nodes: Sequence[Node]) -> dict[str, str]:
    """Return a fan-out's outputs by name, without those of failed and skipped nodes."""
    kept = [node.outputs for node in nodes if node.phase is Phase.SUCCEEDED and node.outputs]
    found = {f"tasks.{task}.outputs.parameters": to_json(list(kept))}
    for name in outputs:
        values = [one[name] for one in kept if name in one]
        if values:
            found[f"tasks.{task}.outputs.parameters.{name}"] = to_json(_as_lists_or_maps(values) or values)
    return found


def _item(index: int, value: Any) -> Item:
    if isinstance(value, dict):
        parts = {str(key): _text(part) for key, part in value.items()}
        whole = "{" + ",".join(f"{to_json(k)}:{to_json(value[k], is_sorted=False)}" for k in sorted(value)) + "}"
        label = ",".join(sorted(f"{key}:{part}" for key, part in parts.items()))
        return Item(label=_label(index, label), values={"item": whole} | {f"item.{k}": v for k, v in parts.items()})
    if isinstance(value, list) or value is None:  # Argo names the node of a null as that of a list (item.go, GetType)
        label = "[" + " ".join(map(_text, value or ())) + "]"
        return Item(label=_label(index, label), values={"item": to_json(value, is_sorted=False)})
    return Item(label=_label(index, _text(value)), values={"item": value if isinstance(value, str) else _text(value)})


def _text(value: Any) -> str:
    # Argo prints a text in a map as JSON without its quotes, so quotes and backslashes in it stay escaped.
    text = to_json(value, is_sorted=False)
    if text.startswith('"'):
        text = text[1:-1]
    for character in "<>&":
        text = text.replace(f"\\u{ord(character):04x}", character)
    return text


def _label(index: int, text: str) -> str:
    return f"({index}:{text.replace('(', '').replace(')', '')})"


def _as_lists_or_maps(values: Sequence[str]) -> list[Any] | None:
    found = []
    for value in values:
        try:
            parsed = read_json(value, "the value")
        except ValueError:
            return None
        if not isinstance(parsed, list | dict):
            return None
        found.append(parsed)
    return found
