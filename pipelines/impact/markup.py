"""Texts that stand in a text: where they begin and end, and those of XML."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable
from typing import Any

from pipelines.impact.secret_names import is_secret

_MARKUP = re.compile(
    # What does not end goes on to the end: a search that failed there would start again at each of them.
    r"<!--(?P<comment>.*?)(?:-->|\Z)|<!\[CDATA\[(?P<cdata>.*?)(?:\]\]>|\Z)|<\?(?P<instruction>.*?)(?:\?>|\Z)|"
    r"<![^>]*(?:>|\Z)|"
    r"<(?P<end>/?)(?P<tag>[\w:.-]+)(?P<attributes>(?:\s+[\w:.-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*)\s*(?P<empty>/?)>",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"(?P<name>[\w:.-]+)\s*=\s*(?P<quote>[\"'])(?P<value>.*?)(?P=quote)", re.DOTALL)
_LABELS = frozenset({"name", "key", "id", "property", "parameter"})
_VALUES = frozenset({"value", "string"})


class Text(str):
    """A text that knows where it stands in another one, and what is written there instead."""

    __slots__ = ("end", "masked", "start", "style")

    def __new__(cls, value: str, *_: int, style: str = "") -> Text:  # noqa: ARG004 - of __init__
        """Return it."""
        return super().__new__(cls, value)

    def __init__(self, value: str, start: int, end: int, *, style: str = "") -> None:
        """Take the place of it, and how YAML writes it: `"`, `'`, `|`, `>` or plain."""
        self.start, self.end, self.style = start, end, style
        self.masked = str(value)

    def written(self, text: str) -> str:
        """Return what is written in place of it; as it was where nothing of it is masked."""
        raw = text[self.start : self.end]
        if self.masked == self:
            return raw
        if self.style in {"|", ">"}:
            body = raw.partition("\n")[2]
            first = next((line for line in body.split("\n") if line.strip()), "")
            indented = textwrap.indent(self.masked.rstrip("\n"), first[: len(first) - len(first.lstrip())])
            return f"|\n{indented}{raw[len(raw.rstrip()) :]}"
        if self.style == "'":
            return "'" + self.masked.replace("'", "''") + "'"
        is_plain = self.style != '"' and "\n" not in self.masked
        return self.masked if is_plain else json.dumps(self.masked, ensure_ascii=False)


def elements(text: str, mask: Callable[..., Any]) -> str | None:
    """Return XML with its values masked by `mask(value, secret=…)`, or None if its elements do not close as they open.

    The name of a value is that of its element or attribute, that of an element around it, or what the attribute or the
    element beside it says, as in `<property name="password" value="…"/>`.
    """
    parts: list[str] = []
    open_tags: list[tuple[str, bool]] = [("", False)]
    label, end = False, 0
    for match in _MARKUP.finditer(text):
        before = text[end : match.start()]
        end = match.end()
        if "<" in before or (before.strip() and len(open_tags) == 1):
            return None
        tag, secret = open_tags[-1]
        parts.append(_masked(before, mask, secret=secret))
        if _last_word(tag) in _LABELS and before.strip():
            label = is_secret(before.strip())
        written = match[0]
        for group in ("comment", "cdata", "instruction"):
            if match[group]:
                inside = mask(match[group], secret=secret and group == "cdata")
                written = written.replace(match[group], inside)
        if match["end"]:
            if match["tag"] != tag or len(open_tags) == 1:
                return None
            open_tags.pop()
        elif match["tag"]:
            pairs = {item["name"].lower(): item["value"] for item in _ATTRIBUTE.finditer(match["attributes"])}
            named = any(is_secret(value) for name, value in pairs.items() if name in _LABELS)
            inner = secret or named or is_secret(match["tag"]) or (label and _last_word(match["tag"]) in _VALUES)
            label = label and _last_word(match["tag"]) not in _VALUES
            written = _attributes(match, mask, secret=inner)
            if not match["empty"]:
                open_tags.append((match["tag"], inner))
        parts.append(written)
    if len(open_tags) != 1 or text[end:].strip():
        return None
    return "".join([*parts, text[end:]])


def _last_word(tag: str) -> str:
    """Return `value` of `param-value`."""
    return tag.lower().rpartition("-")[2]


def _attributes(tag: re.Match[str], mask: Callable[..., Any], *, secret: bool) -> str:
    def written(item: re.Match[str]) -> str:
        name = item["name"].lower()
        hidden = is_secret(name) or (secret and name in {"value", "content", "default"})
        return f"{item['name']}={item['quote']}{mask(item['value'], secret=hidden)}{item['quote']}"

    attributes: str = _ATTRIBUTE.sub(written, tag["attributes"])
    return f"<{tag['tag']}{attributes}{tag['empty'] and ' /'}>"


def _masked(text: str, mask: Callable[..., Any], *, secret: bool) -> str:
    """Return the text of an element, which keeps the space around it."""
    inside = text.strip()
    if not inside:
        return text
    at = text.index(inside)
    return f"{text[:at]}{mask(inside, secret=secret)}{text[at + len(inside) :]}"
