"""What people know a run by: its name, its labels, its title and its description.

Each is a list of operations that takes any text and cannot fail. It is read twice: `apply` is it in Python, and
`expression` is it in Go's templates, for the Sensors. An invalid label would lose an event, so whatever comes in, a
label comes out. Two texts may have one label: nothing is decided by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pipelines.events.simulation import go_json

OURS = "shipway.io/"
"""What the labels begin with."""
REPOSITORY_LABEL = "shipway.io/repository"
REF_LABEL = "shipway.io/ref"
COMMIT_LABEL = "shipway.io/commit"
PULL_REQUEST_LABEL = "shipway.io/pull-request"
LANE_LABEL = "shipway.io/lane"
TITLE = "workflows.argoproj.io/title"
DESCRIPTION = "workflows.argoproj.io/description"
"""Annotations that the Argo UI shows as Markdown."""


@dataclass(frozen=True)
class Replace:
    """Write `by` for each match of a pattern, which means the same in RE2."""

    pattern: str
    by: str


@dataclass(frozen=True)
class Cut:
    """Keep the first bytes."""

    longest: int


@dataclass(frozen=True)
class Trim:
    """Remove these characters from both ends."""

    characters: str


@dataclass(frozen=True)
class Without:
    """Remove an ending once."""

    ending: str


@dataclass(frozen=True)
class Lower:
    """Write letters of ASCII small; whatever else there was has been replaced."""


@dataclass(frozen=True)
class Default:
    """Write this for an empty text."""

    text: str


Operation: TypeAlias = Replace | Cut | Trim | Without | Lower | Default
Operations: TypeAlias = Sequence[Operation]

PATH: Operations = (
    Replace("^([A-Za-z][A-Za-z0-9+.-]*://[^/]*|[^/:]*:)", ""),
    Trim("/"),
    Without(".git"),
    Trim("/"),
)
"""From a repository's address to its path below the host, such as team/shop."""
SHORT: Operations = (Replace("^refs/(heads/|tags/)?", ""),)
"""From a ref to what people call it."""
LABEL: Operations = (Replace("[^A-Za-z0-9._-]+", "-"), Cut(63), Trim("-._"), Default("none"))
"""A valid value of a label."""
NOTE: Operations = (
    Cut(200),
    Replace(r"[\r\n][\s\S]*", ""),
    # Controls, braces, backticks, and what cannot be seen or turns the direction of writing; Go reads a byte that is
    # no UTF-8 as U+FFFD.
    Replace("[\x00-\x1f`{}\x7f-\xa0\xad\u061c\u180e\u200b-\u200f\u2028-\u202f\u205f-\u206f\ufeff\ufff0-\uffff]+", " "),
    Trim(" "),
    Default("(none)"),
)
"""The first line, as it may stand between two backticks: no Markdown, and no template, whoever reads it."""
_SLUG: Operations = (Replace("[^A-Za-z0-9]+", "-"), Lower())
SLUGS: tuple[Operations, Operations] = (
    (*PATH, Replace("^[\\s\\S]*/", ""), *_SLUG, Cut(12), Trim("-"), Default("x")),
    (*SHORT, *_SLUG, Cut(14), Trim("-"), Default("x")),
)
"""Of a repository's address and of a ref, as parts of a run's name; 27 characters with the dash between them."""


def apply(operations: Operations, text: str) -> str:
    """Return the text after all operations."""
    text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    for operation in operations:
        match operation:
            case Replace(pattern, by):
                text = replaced(pattern, text, by)
            case Cut(longest):
                text = go_json.cut(text, longest)
            case Trim(characters):
                text = text.strip(characters)
            case Without(ending):
                text = text.removesuffix(ending)
            case Lower():
                text = text.lower()
            case Default(other):
                text = text or other
    return text


def replaced(pattern: str, text: str, by: str) -> str:
    """Return a text with `by` for each match. As in Go, what is left of a character that was cut matches as U+FFFD."""
    readable, parts, at = re.sub("[\udc80-\udcff]", "\ufffd", text), [], 0
    for match in re.finditer(pattern, readable):
        parts += [text[at : match.start()], by]
        at = match.end()
    return "".join([*parts, text[at:]])


def expression(operations: Operations, operand: str) -> str:
    """Return the operations on an operand as an expression of Go's templates with sprig's functions."""
    for operation in operations:
        match operation:
            case Replace(pattern, by):
                operand = f"(regexReplaceAll {quoted(pattern)} {operand} {quoted(by)})"
            case Cut(longest):
                operand = f"(trunc {longest} {operand})"
            case Trim(characters):
                operand = f"(trimAll {quoted(characters)} {operand})"
            case Without(ending):
                operand = f"(trimSuffix {quoted(ending)} {operand})"
            case Lower():
                operand = f"(lower {operand})"
            case Default(other):
                operand = f"(default {quoted(other)} {operand})"
    return operand


def quoted(text: str) -> str:
    """Return a text as a constant of Go's templates, in printable ASCII."""
    return json.dumps(text).replace("\x7f", "\\u007f")


def slug(repo: str, ref: str) -> str:
    """Return the middle of a run's name."""
    return "-".join(apply(operations, text) for operations, text in zip(SLUGS, (repo, ref), strict=True))


def labels(repo: str, ref: str, *, commit: str = "", number: int = 0, lane: str = "") -> dict[str, str]:
    """Return the labels of a run by key; what is not known has none."""
    texts = {
        REPOSITORY_LABEL: apply(PATH, repo),
        REF_LABEL: apply(SHORT, ref),
        COMMIT_LABEL: commit,
        PULL_REQUEST_LABEL: str(number or ""),
        LANE_LABEL: lane,
    }
    return {key: apply(LABEL, text) for key, text in texts.items() if text}


def notes(repo: str, ref: str, why: str) -> Mapping[str, str]:
    """Return the annotations of a run; `why` is ours, and says what started it."""
    names = (apply((*operations, *NOTE), text) for operations, text in ((PATH, repo), (SHORT, ref)))
    return {TITLE: " ".join(f"`{name}`" for name in names), DESCRIPTION: why}
