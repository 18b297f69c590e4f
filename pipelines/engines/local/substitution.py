"""`{{…}}` in texts: which names a text holds, and the text with their values.

Argo substitutes more than once, so a value that itself holds `{{` is evaluated there, and a value that its escaping cannot
carry through JSON makes the workflow fail (util/template/simple_template.go). Neither is ever substituted here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_AGE = re.compile(r"=now\(\)\.Unix\(\) - asInt\((inputs\.parameters\.[A-Za-z0-9_-]+)\) > (\d+)")
# What Go's strconv.Quote writes in a form that is no JSON: \a, \v and \x…; it knows \b \f \n \r \t as JSON does.
_UNCARRIED = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f\ud800-\udfff]")

Scope = Mapping[str, str | None]
"""Name and value; None is the output of a task that was skipped or omitted, without a default."""


class Unresolvable(Exception):
    """A text whose names have no value here."""


class Absent(Unresolvable):
    """The whole text is the output of a task that never ran."""


def names(text: str) -> tuple[str, ...]:
    """Return the names between braces, in order."""
    return tuple(tag.strip() for tag in _TAG.findall(text))


def is_expression(name: str) -> bool:
    """Whether a name is an expression, `{{=…}}`."""
    return name.startswith("=")


def aged(name: str) -> str:
    """Return the name of the time that an expression asks the age of, as `now().Unix() - asInt(inputs.parameters.x) > 15`; empty for any other."""
    match = _AGE.fullmatch(name)
    return match[1] if match else ""


def resolve(text: str, scope: Scope) -> str:
    """Return the text with the value of each name; raises Unresolvable.

    Raises Absent when the text is one name alone and the task it speaks of never ran: Argo then takes an
    argument for not given (scope.go, markAbsentOptionalArgs).
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


def fault(value: str) -> str:
    """Return why a value may not travel through a workflow, or an empty text."""
    if "{{" in value:
        return "it holds `{{`, which Argo would evaluate"
    if match := _UNCARRIED.search(value):
        return f"it holds the character {match[0]!r}, which Argo cannot pass on"
    return ""


def _value(name: str, scope: Scope) -> str:
    if match := _AGE.fullmatch(name):
        moment = _value(match[1], scope)
        if not moment.isdecimal():
            raise Unresolvable(f"{{{{{name}}}}} has no value: {moment!r} is no time")
        return "true" if int(time.time()) - int(moment) > int(match[2]) else "false"
    if name not in scope:
        raise Unresolvable(f"{{{{{name}}}}} has no value; Argo would wait for it without end")
    value = scope[name]
    if value is None:
        raise Unresolvable(f"{{{{{name}}}}} has no value: its task was skipped or omitted")
    if why := fault(value):
        raise Unresolvable(f"the value of {{{{{name}}}}} is refused: {why}")
    return value
