"""Text from outside in a forge's Markdown: shown as it is, and never heeded, whatever stands in it.

Inside code neither GitHub nor Gitea makes links, images, headings or HTML, and nobody who is named there with an @ is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# Colours and cursor movements of terminals (ECMA-48), the controls, and what turns the direction of writing.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_FENCE = re.compile(r" {0,3}(`{3,})([a-z]*)[ \t]*")
_CODE = re.compile(r"(?<!`)(`+)(?!`)[^`]*(?<!`)\1(?!`)")
_DETAILS = re.compile(r"</?(?:details|summary)>")
_MEANING = re.compile(r"[@<>\[\]`\\]|://|^ {0,3}~~~|^(?: {4}|\t)|www\.", re.IGNORECASE)


def plain(text: str) -> str:
    """Return text without a terminal's escapes and without controls but tabs and line breaks."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def code(text: str, *, most: int = 200) -> str:
    """Return one line of text as code, also for a table's cell; empty text stays empty."""
    line = " ".join(plain(text).split())
    line = line if len(line) <= most else line[: most - 1] + "…"
    # A backtick would end the code, and no escape helps inside it; a bar would end the cell.
    line = line.replace("`", "'").replace("|", r"\|")
    # The backslash before a bar is taken away by the table; one that was there before would take its place.
    return f"`{line}`" if line else ""


def fenced(lines: Iterable[str]) -> str:
    """Return lines as a block of code behind a fence that is longer than any they have."""
    text = plain("\n".join(lines)).strip("\n")
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def tame(text: str) -> str:
    """Return Markdown that a pod of an untrusted run made, as code as a whole where it means more than it should.

    Outside of code it may have emphasis, lists, headings and details, and neither links, images, other HTML nor names to tell.
    """
    outside, fence = [], ""
    for line in text.split("\n"):
        ticks = _FENCE.fullmatch(line)
        if fence:
            if ticks and len(ticks[1]) >= len(fence) and not ticks[2]:
                fence = ""
        elif ticks:
            fence = ticks[1]
        else:
            outside.append(_CODE.sub("", _DETAILS.sub("", line)))
    if not fence and not any(_MEANING.search(line) for line in outside) and plain(text) == text:
        return text
    return fenced(text.split("\n"))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown of ours, texts from outside made by `code`."""
    written = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in written)
