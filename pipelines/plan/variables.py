"""Variables of a Dockerfile, as BuildKit expands them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipelines.errors import Misuse

_VARIABLE = re.compile(
    r"\\(?P<escaped>.)|\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<operator>:?[-+])(?P<word>[^}]*))?\}|(?P<bad>.?))"
)


def expand(text: str, scope: Mapping[str, str], where: str) -> str:
    """Return `text` with $NAME, ${NAME}, ${NAME:-word} and ${NAME:+word} replaced; raises Misuse naming what has no value."""

    def value(match: re.Match[str]) -> str:
        if match["escaped"] is not None:
            return match["escaped"]
        name = match["plain"] or match["name"]
        if not name:
            raise Misuse(f"{where}: a variable is written in a way that is not read", seen=repr(text))
        operator, word = match["operator"] or "", match["word"] or ""
        has = name in scope and (scope[name] != "" or not operator.startswith(":"))
        if operator.endswith("+"):
            return expand(word, scope, where) if has else ""
        if has:
            return scope[name]
        if operator.endswith("-"):
            return expand(word, scope, where)
        raise Misuse(
            f"{where}: the variable {name} has no value",
            seen=repr(text),
            todo=f"give it a default (ARG {name}=… before the first FROM) or a build argument",
        )

    return unquoted(_VARIABLE.sub(value, text))


def unquoted(text: str) -> str:
    """Return a text without the quotes around it."""
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" else text
