"""Masks texts that nothing reads: from the first name of a secret to the end of its line, and on with its value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.impact.secret_names import HARMLESS, SECRET_WORD, is_secret

_WORD = re.compile(r"[\w.-]{0,80}")
_WORD_BEFORE = re.compile(r"[\w.-]{0,80}$")
_SEPARATOR = re.compile(r"[\"'\])}]*(?:%3[aAdD]|\s*(?:=>|:=|\+=|[=:,>(：＝])|\s)[\s\"'=:(,>：＝]*")  # noqa: RUF001
_ASSIGNS = re.compile(r"[=:：＝]|%3")  # noqa: RUF001
_HARMLESS_PART = re.compile(
    rf"(?:{HARMLESS.pattern})[\"']?(?:[;&}})\]]|\s*$|\s+(?=-|[\w.-]+[=:]|[;&|<>#]))", re.IGNORECASE
)
_COLUMNS = re.compile(r"[\w .\"-]+(?:[,;|\t][\w .\"-]+)+")
_LABEL_LINE = re.compile(r"(?:name|key|id|variable)[\"']?\s*[:=]\s*[\"']?(?P<name>[\w.-]+)[\"',\s]*$", re.IGNORECASE)
_VALUE_LINE = re.compile(r"(?P<before>\s*[\"']?(?:value|val|default|content)[\"']?\s*[:=]\s*)(?P<value>\S.*)", re.I)
_SECTION = re.compile(r"\s*+\[++[\"']?(?P<name>[^\]\"']++)[\"']?\]++\s*$")
_HEREDOC = re.compile(r"<<[-~]?\s*[\"']?(\w+)")
_WRITTEN = re.compile(r"(?:>|\btee\b)\s*[\"']?(?:[^\s\"'<>|]*/)?(?P<name>[^\s/\"'<>|]+)")
_NIX = re.compile(r"^\s*'';\s*$", re.MULTILINE)
"""The end of a text of several lines in Nix."""
_NEVER = re.compile(r"(?!)")
_NEAR = 3
"""Characters before a name that tell a path or a variable."""


@dataclass(frozen=True)
class _Line:
    shown: str
    value: str | None = None
    """What is masked of it; None for nothing."""
    separator: str = ""
    """Between the name and the value."""


def mask(text: str, hide: Callable[[str], str], read: Callable[[str], str | None], *, prose: bool = True) -> str:
    """Return a text with everything masked by `hide` that can be a part of a secret.

    A line that `read` reads is taken as it returns it. Without `prose`, a value is only what a name is assigned.
    """
    found: list[str] = []
    until: re.Pattern[str] | None = None
    deeper, is_labelled, in_section = -1, False, False
    is_head = True  # nothing but comments so far: what comes next may be a row of names
    for text_line in text.split("\n"):
        was_head, indent = is_head, len(text_line) - len(text_line.lstrip())
        header, label = _SECTION.match(text_line), _LABEL_LINE.search(text_line)
        in_section = is_secret(header["name"]) if header else in_section
        goes_on = until is not None or (deeper >= 0 and (not text_line.strip() or indent > deeper))
        if goes_on or (in_section and not header):
            found.append(text_line[:indent] + hide(text_line[indent:]))
            until = None if until and until.search(text_line) else until
            continue
        labelled = _VALUE_LINE.match(text_line) if is_labelled else None
        is_head = is_head and (not text_line.strip() or text_line.lstrip().startswith("#"))
        if was_head and _has_secret_column(text_line):
            line, until = _Line(text_line), _NEVER
        elif labelled:
            line = _Line(labelled["before"] + hide(labelled["value"]), labelled["value"], ":")
        else:
            line = _line(text_line, hide, read, prose=prose)
        found.append(line.shown)
        is_labelled = is_secret(label["name"]) if label else is_labelled and not labelled and bool(text_line.strip())
        deeper = indent if line.value is not None and _ASSIGNS.search(line.separator) else -1
        if line.value is not None:
            until = _end_of_value(line.value, line.separator, indent)
            if line.separator.endswith("''") and not line.value and _NIX.search(text):
                until = re.compile(r"^\s*''")
        elif (heredoc := _HEREDOC.search(text_line)) and any(
            is_secret(to["name"]) for to in _WRITTEN.finditer(text_line)
        ):
            until = re.compile(rf"^\s*{heredoc[1]}\s*$")
    return "\n".join(found)


def _line(line: str, hide: Callable[[str], str], read: Callable[[str], str | None], *, prose: bool) -> _Line:
    is_markup = line.lstrip()[:1] in {"{", "[", "<"} and SECRET_WORD.search(line)
    if is_markup and (found := read(line)) is not None:
        return _Line(found)
    for word in SECRET_WORD.finditer(line):
        before = _WORD_BEFORE.search(line, max(0, word.start() - 80), word.start())
        after = _WORD.match(line, word.end())
        assert before is not None
        assert after is not None
        start, end = before.start(), after.end()
        separator = _SEPARATOR.match(line, end)
        if separator is None or not is_secret(line[start:end].strip("-.")):
            continue
        rest, near = line[separator.end() :], line[max(0, start - _NEAR) : start]
        assigns = _ASSIGNS.search(separator[0]) is not None
        # /run/secrets/token, x/token:1.2, $(TOKEN)
        is_path = (
            near.endswith("/") if separator[0].isspace() else re.search(r"[\w.:/-]/$", near) and separator[0] == ":"
        )
        is_variable = not assigns and re.search(r"\$[({]?$", near)
        has_no_value = not rest and not (assigns or ">" in separator[0])
        if is_path or is_variable or has_no_value or _HARMLESS_PART.match(rest) or not (prose or assigns):
            continue
        return _Line(line[: separator.end()] + hide(rest), rest, separator[0])
    return _Line(line)


def _has_secret_column(line: str) -> bool:
    columns = line.strip(" |")
    return _COLUMNS.fullmatch(columns) is not None and any(map(is_secret, re.split(r"[,;|\t]", columns)))


def _end_of_value(value: str, separator: str, indent: int) -> re.Pattern[str] | None:
    """Return what the last line has of a value that goes on after its first line, or None."""
    value = value.rstrip()
    if heredoc := _HEREDOC.search(value):
        return re.compile(rf"^\s*{heredoc[1]}\s*$")
    opening = separator[len(separator.rstrip("\"'`")) :]
    for quote in ('"""', "'''", '"', "'", "`"):
        if (opening + value).count(quote) % 2:
            return re.compile(quote)
    if value.endswith("\\"):
        return re.compile(r"[^\\]\s*$|^$")
    if value.endswith(("[", "{", "(")):
        return re.compile(rf"^\s{{0,{indent}}}[\])}}]")
    return re.compile("</") if not value and ">" in separator else None
