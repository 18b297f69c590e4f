"""The part of Go's templates and sprig's functions that compiled Sensors use. Anything else is refused by name."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pipelines.errors import Refused
from pipelines.events import run_labels
from pipelines.events.simulation import go_json

_TOKEN = re.compile(
    r'\s*(?:(?P<text>"(?:[^"\\]|\\(?:["\\nrt]|u[0-9a-f]{4}))*")|(?P<number>\d+)'
    r"|(?P<field>(?:\.[A-Za-z_][A-Za-z0-9_]*)+)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>[()|]))"
)
_ACTION = re.compile(r"\{\{ (?P<body>.*) \}\}", re.DOTALL)


class TemplateError(Exception):
    """A template that fails in Go."""


@dataclass(frozen=True)
class Constant:
    """A text or a number."""

    value: str | int


@dataclass(frozen=True)
class Field:
    """A path from the top of the data."""

    path: tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """A function with its arguments."""

    name: str
    arguments: tuple[Operand, ...]


@dataclass(frozen=True)
class Pipeline:
    """Commands; each gets the result of the one before as its last argument."""

    commands: tuple[Call | Constant | Field | Pipeline, ...]


class Int64(int):
    """An integer that `int64` returned. The payload's own numbers are floats to Go, which formats them differently."""


Operand: TypeAlias = Constant | Field | Call | Pipeline


@functools.lru_cache(maxsize=512)
def parse(template: str) -> Pipeline:
    """Return the one action of a template. Raises Refused for anything that no compiled Sensor has."""
    action = _ACTION.fullmatch(template)
    if not action:
        raise not_simulated("a template that is more than one action", template)
    tokens = []
    body, at = action["body"].strip(), 0
    while at < len(body):
        match = _TOKEN.match(body, at)
        if not match:
            raise not_simulated("a sign in a template", body[at : at + 20])
        assert match.lastgroup
        tokens.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    pipeline, rest = _pipeline(tokens)
    if rest:
        raise not_simulated("a template", template)
    return pipeline


def evaluate(operand: Operand, data: Mapping[str, Any]) -> Any:
    """Return an expression's value; raises TemplateError where Go would fail, Refused for what is not simulated."""
    match operand:
        case Constant():
            return operand.value
        case Field():
            return _field(operand.path, data)
        case Call():
            return _call(operand, [evaluate(argument, data) for argument in operand.arguments])
        case Pipeline():
            value = evaluate(operand.commands[0], data)
            for command in operand.commands[1:]:
                if not isinstance(command, Call):
                    raise not_simulated("a pipe into something that is not a function", str(command))
                value = _call(command, [*(evaluate(argument, data) for argument in command.arguments), value])
            return value


def render(template: str, data: Mapping[str, Any]) -> str:
    """Return the text that a template makes of data. Raises what `parse` and `evaluate` raise."""
    value = evaluate(parse(template), data)
    if not isinstance(value, str):
        raise not_simulated("a template whose result is not text", template)
    if not value:
        raise TemplateError("the template makes an empty text")
    return value


Tokens: TypeAlias = list[tuple[str, str]]


def _pipeline(tokens: Tokens) -> tuple[Pipeline, Tokens]:
    commands: list[Call | Constant | Field | Pipeline] = []
    while True:
        operands, tokens = _operands(tokens)
        first = operands[0]
        if isinstance(first, Call):
            commands.append(Call(first.name, tuple(operands[1:])))
        elif len(operands) == 1:
            commands.append(first)
        else:
            raise not_simulated("a call of something that is not a function", str(first))
        if not tokens or tokens[0] != ("sign", "|"):
            return Pipeline(tuple(commands)), tokens
        tokens = tokens[1:]


def _operands(tokens: Tokens) -> tuple[list[Operand], Tokens]:
    operands: list[Operand] = []
    while tokens and tokens[0] not in {("sign", "|"), ("sign", ")")}:
        (kind, text), tokens = tokens[0], tokens[1:]
        match kind:
            case "text":
                operands.append(Constant(json.loads(text, strict=False)))
            case "number":
                operands.append(Constant(int(text)))
            case "field":
                operands.append(Field(tuple(text[1:].split("."))))
            case "name":
                if text not in _FUNCTIONS:
                    raise not_simulated("a function of templates", text)
                operands.append(Call(text, ()))
            case _:
                inner, tokens = _pipeline(tokens)
                if not tokens or tokens[0] != ("sign", ")"):
                    raise not_simulated("a template", "a parenthesis that stays open")
                tokens = tokens[1:]
                operands.append(inner)
    if not operands:
        raise not_simulated("a template", "a command without words")
    return operands, tokens


def _field(path: tuple[str, ...], data: Any) -> Any:
    """Return the value of a path, None if the last key is missing."""
    value = data
    for key in path:
        if not isinstance(value, dict):
            raise TemplateError(f".{'.'.join(path)}: nothing has a field {key}")
        value = value.get(key)
    return value


def _call(call: Call, arguments: list[Any]) -> Any:
    function, count = _FUNCTIONS[call.name]
    if count is not None and len(arguments) != count:
        raise not_simulated(f"{call.name} with {len(arguments)} arguments", "")
    return function(*arguments)


def _dict(*items: Any) -> dict[str, Any]:
    if len(items) % 2:
        raise not_simulated("dict with a key that has no value", "")
    return dict(zip(items[::2], items[1::2], strict=True))


def _to_string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Int64):
        return str(int(value))
    raise not_simulated(f"{type(value).__name__} where the payload should have a text", "")


def _int64(value: Any) -> Int64:
    if isinstance(value, str) and value:
        raise not_simulated("a text where the payload should have a number", value)
    if isinstance(value, int | float) and abs(value) > go_json.GREATEST:
        raise not_simulated("a number that Go reads as another one", str(value))
    return Int64(value if isinstance(value, int | float) else 0)


def _get(data: Any, key: str) -> Any:
    if not isinstance(data, dict):
        raise TemplateError("get: no map")
    return data.get(key, "")


def _last(items: Any) -> Any:
    if not isinstance(items, list):
        raise TemplateError("last: no list")
    return items[-1] if items else None


def _printf(form: str, *values: Any) -> str:
    kinds = re.findall("%(.)", form)
    wanted = [{"s": str, "d": Int64}.get(kind) for kind in kinds]
    if len(kinds) != len(values) or not all(kind and type(v) is kind for kind, v in zip(wanted, values, strict=True)):
        raise not_simulated("printf with values of other types", form)
    return form % values


def _ascii(value: Any) -> str:
    if not _string(value).isascii():
        raise not_simulated("lower of letters beyond ASCII", value)
    return str(value)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"a text is expected, not {type(value).__name__}")
    return value


_FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int | None]] = {
    "dict": (_dict, None),
    "default": (lambda other, value: value or other, 2),
    "toString": (_to_string, 1),
    "int64": (_int64, 1),
    "get": (_get, 2),
    "list": (lambda *items: list(items), None),
    "last": (_last, 1),
    "printf": (_printf, None),
    "regexReplaceAll": (lambda pattern, text, by: run_labels.replaced(pattern, _string(text), by), 3),
    "trimAll": (lambda characters, text: _string(text).strip(characters), 2),
    "trimSuffix": (lambda ending, text: _string(text).removesuffix(ending), 2),
    "lower": (lambda text: _ascii(text).lower(), 1),
    "trunc": (lambda longest, text: go_json.cut(_string(text), longest), 2),
    "toJson": (go_json.dumps, 1),
    "b64enc": (lambda text: base64.b64encode(go_json.as_bytes(_string(text))).decode(), 1),
    "sha256sum": (lambda text: hashlib.sha256(go_json.as_bytes(_string(text))).hexdigest(), 1),
}


def not_simulated(what: str, seen: str) -> Refused:
    """Return the error that names what no compiled Sensor has."""
    return Refused(
        f"this is not simulated: {what}", seen=seen[:200], todo="simulate the Sensor that `shipway compile` writes"
    )
