"""Variables in a Dockerfile's words, expanded as BuildKit's lexer does it (frontend/dockerfile/shell/lex.go)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.errors import Misuse

_LONGEST = 1 << 16
"""Characters of an expanded text: ten variables, each made of ten of the one before, would have 10 GB."""
_LONGEST_MATCH = 256
"""Characters of what a pattern is compared with, and of the pattern."""
_DEEPEST = 50
_NAME = re.compile(r"[0-9]+|[@*#?$!-]|\w*")
_PIECE = re.compile(r"\\(?P<sign>[}/*?\\])|(?P<wild>[*?])|(?P<plain>[^\\])", re.DOTALL)


def expand(text: str, scope: Mapping[str, str], where: str, *, escape: str = "\\") -> tuple[str, tuple[str, ...]]:
    """Return a text as BuildKit reads it in FROM, ARG or ENV, and the variables in it without a value: they are empty.

    Raises Misuse if a variable is written as no builder reads it, if `${NAME:?text}` asks for a value, or if the text
    grows beyond what a name, a path or an address has.
    """
    word = _Word(text=text, scope=scope, where=where, escape=escape)
    found = word.read("")
    if len(found) > _LONGEST and len(found) > len(text):
        raise word.wrong(f"variables make it longer than {_LONGEST} characters", "let fewer variables stand in others")
    return found, tuple(word.unset)


def no_value(name: str, text: str, where: str, said: str = "") -> Misuse:
    """Return the error for a variable without the value that it needs."""
    return Misuse(
        f"{where}: the variable {name} has no value",
        seen=": ".join(filter(None, (repr(text[:200]), said))),
        todo=f"give it a default (ARG {name}=… before the first FROM) or a build argument",
    )


@dataclass(kw_only=True)
class _Word:
    text: str
    scope: Mapping[str, str]
    where: str
    escape: str
    unset: dict[str, None] = field(default_factory=dict)
    at: int = 0
    depth: int = 0

    def wrong(self, what: str, todo: str = "write it as docker reads it") -> Misuse:
        return Misuse(f"{self.where}: {what}", seen=repr(self.text[:200]), todo=todo)

    def read(self, stop: str, *, raw: bool = False, pattern: bool = False, in_quotes: bool = False) -> str:
        """Return what comes before `stop`, or the whole rest, and step over it.

        `raw` keeps escapes, `pattern` also doubles those in quotes: a pattern is read again.
        """
        parts: list[str] = []
        while sign := self._next():
            if sign == stop:
                return "".join(parts)
            if sign == "$":
                sign = self._variable()
            elif sign == '"' and not in_quotes:
                sign = self.read('"', raw=raw, in_quotes=True)
            elif sign == "'" and not in_quotes:
                sign, quote, rest = self.text[self.at :].partition("'")
                self.at = len(self.text) - len(rest)
                if not quote:
                    raise self.wrong("a quote is not closed")
                sign = sign.replace(self.escape, self.escape * 2) if pattern else sign
            elif sign == self.escape:
                is_taken = not in_quotes or self.text[self.at : self.at + 1] in {"", '"', "$", self.escape}
                sign = (sign if raw else "") + self._next() if is_taken else sign * (2 if raw else 1)
            parts.append(sign)
        if stop:
            raise self.wrong(f"a variable or a quote is not closed by {stop}")
        return "".join(parts)

    def _next(self) -> str:
        self.at += 1
        return self.text[self.at - 1 : self.at]

    def _name(self) -> str:
        match = _NAME.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return match[0] if match else ""

    def _value(self, name: str) -> str | None:
        if name not in self.scope:
            self.unset[name] = None
        return self.scope.get(name)

    def _variable(self) -> str:
        begin = self.text[self.at : self.at + 2]
        if not begin.startswith("{"):
            name = self._name()
            return (self._value(name) or "") if name else "$"
        self.at, self.depth = self.at + 1, self.depth + 1
        name, sign = ("", "") if begin in {"{", "{{", "{}", "{:"} else (self._name(), self._next())
        is_set_by_nothing = sign != ":"
        sign = sign if is_set_by_nothing else self._next()
        if not sign or sign not in ("}-+?#%/" if is_set_by_nothing else "-+?") or self.depth > _DEEPEST:
            raise self.wrong("a variable is written in a way that is not read")
        is_pattern = sign in "#%/"
        if sign == "/" and (is_all := self.text.startswith("/", self.at)):
            self.at += 1
        word = "" if sign == "}" else self.read("/" if sign == "/" else "}", raw=is_pattern, pattern=is_pattern)
        new = self.read("}", raw=True) if sign == "/" else ""
        self.depth -= 1
        value = self._value(name)
        has = value is not None and (value != "" or is_set_by_nothing)
        if sign == "?" and not has:
            raise no_value(name, self.text, self.where, word)
        if sign in "+-" and has == (sign == "+"):
            return word
        value = "" if sign == "+" else value or ""
        if not is_pattern:
            return value
        is_longest = sign == "/" or word.startswith(sign)
        pieces = self._pieces(word[1:] if is_longest and sign != "/" else word, value)
        if sign == "/":
            if "$" in new:
                raise self.wrong("a variable is replaced by a text with $, which is not read")
            # After a match with a star in it there is no other.
            return re.sub(_pattern(pieces, is_longest=True), lambda _: new, value, count=not is_all or "*" in pieces)
        if sign == "#":
            return re.sub(f"^{_pattern(pieces, is_longest=is_longest)}", "", value, count=1)
        return re.sub(f"^{_pattern(pieces[::-1], is_longest=is_longest)}", "", value[::-1], count=1)[::-1]

    def _pieces(self, pattern: str, value: str) -> list[str]:
        """Return the parts of a pattern: each a star, a question mark, or a character as a regular expression."""
        if max(len(pattern), len(value)) > _LONGEST_MATCH:
            raise self.wrong(f"a pattern is compared with more than {_LONGEST_MATCH} characters")
        matches = list(_PIECE.finditer(pattern))
        if sum(len(match[0]) for match in matches) < len(pattern):
            raise self.wrong("a pattern holds an escape that is none")
        return [match["wild"] or re.escape(match["sign"] or match["plain"]) for match in matches]


def _pattern(pieces: Sequence[str], *, is_longest: bool) -> str:
    """Return a regular expression that fits as early as possible before its last star: it never goes back there."""
    texts = [""]
    for piece in pieces:
        if piece == "*":
            texts.append("")
        else:
            texts[-1] += "." if piece == "?" else piece
    first, *others = texts
    last = f".*{others.pop()}" if others and is_longest else ""
    return first + "".join(f"(?>.*?{text})" for text in others) + last
