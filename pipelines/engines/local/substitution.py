"""`{{…}}` in texts: the names in a text, and the text with their values.

Argo substitutes more than once: it evaluates a `{{` in a value, and a workflow fails if Argo's escaping cannot pass a
value through JSON (util/template/simple_template.go). Here such a value is refused.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from pipelines.step import texts

_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_AGE = re.compile(r"=now\(\)\.Unix\(\) - asInt\((inputs\.parameters\.[A-Za-z0-9_-]+)\) > (\d+)")

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


def aged(name: str) -> str:
    """Return the input whose age an expression asks, `now().Unix() - asInt(inputs.parameters.x) > 15`, else empty."""
    match = _AGE.fullmatch(name)
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
    if name not in scope:
        raise Unresolvable(f"{{{{{name}}}}} has no value; Argo would wait for it without end")
    value = scope[name]
    if value is None:
        raise Unresolvable(f"{{{{{name}}}}} has no value: its task was skipped or omitted")
    if why := texts.uncarried(value):
        raise Unresolvable(f"the value of {{{{{name}}}}} is refused: {why}")
    return value
