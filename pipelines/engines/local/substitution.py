"""`{{…}}` in texts: the names in a text, and the text with their values.

Argo substitutes more than once: it evaluates a `{{` in a value, and a workflow fails if Argo's escaping cannot pass a
value through JSON (util/template/simple_template.go). Here such a value is refused.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping

from pipelines.bounds import read_json
from pipelines.step import texts

_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_AGE = re.compile(r"=now\(\)\.Unix\(\) - asInt\((inputs\.parameters\.[a-z]+)\) > (\d+)")
_ELEMENT = re.compile(r"=toJson\(jsonpath\((inputs\.parameters\.[a-z]+), '\$\[(\d)\]'\)\)")

Scope = Mapping[str, str | None]
"""Values by name; None for an output without a default of a task that was skipped or omitted."""


class Unresolvable(Exception):
    """A text whose names have no value here."""


class Absent(Unresolvable):
    """The text is just the output of a task that never ran."""


def names(text: str) -> tuple[str, ...]:
    """Return the names between braces, in order."""
    return tuple(tag.strip() for tag in _TAG.findall(text))


def is_expression(name: str) -> bool:
    """Whether a name is an expression, `{{=…}}`."""
    return name.startswith("=")


def read_by(name: str) -> str:
    """Return the input that an expression of one of our two forms reads, else an empty text.

    They are whether a time lies further back, `now().Unix() - asInt(inputs.parameters.x) > 15`, and an element of a
    list, `toJson(jsonpath(inputs.parameters.x, '$[0]'))`.
    """
    match = _AGE.fullmatch(name) or _ELEMENT.fullmatch(name)
    return match[1] if match else ""


def resolve(text: str, scope: Scope) -> str:
    """Return the text with the value of each name; raises Unresolvable.

    Raises Absent if the text is one name alone and its task never ran: Argo then leaves the argument out (scope.go,
    markAbsentOptionalArgs).
    """
    if "{{" not in text:
        return text
    found = names(text)
    if len(found) == 1 and _TAG.fullmatch(text) and found[0] in scope and scope[found[0]] is None:
        raise Absent(f"{text} has no value: its task was skipped or omitted, and the output has no default")
    return _TAG.sub(lambda tag: _value(tag[1].strip(), scope), text)


def replaced(text: str, value: str) -> str:
    """Return the text with one value in place of every name."""
    return _TAG.sub(lambda _: value, text)


def _value(name: str, scope: Scope) -> str:
    if match := _AGE.fullmatch(name):
        moment = _value(match[1], scope)
        if not moment.isdecimal():
            raise Unresolvable(f"{{{{{name}}}}} has no value: {moment!r} is not a time")
        return "true" if int(time.time()) - int(moment) > int(match[2]) else "false"
    if match := _ELEMENT.fullmatch(name):
        return _element(_value(match[1], scope), int(match[2]))
    if name not in scope:
        raise Unresolvable(f"{{{{{name}}}}} has no value; Argo would wait for it without end")
    value = scope[name]
    if value is None:
        raise Unresolvable(f"{{{{{name}}}}} has no value: its task was skipped or omitted")
    if why := texts.uncarried(value):
        raise Unresolvable(f"the value of {{{{{name}}}}} is refused: {why}")
    return value


def _element(text: str, index: int) -> str:
    try:
        element = read_json(text, "the list")[index]
        return json.dumps(element, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise Unresolvable(f"no element {index} of {text[:200]!r}: {error}") from error
