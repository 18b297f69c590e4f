"""How large and how deep a text from outside may be, and JSON read within that.

Every reader of one kind of file has its bound from here, so that what one of them refuses, all refuse.
"""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate
from pathlib import Path
from typing import Any

from pipelines.errors import Refused, ShipwayError

LARGEST = 1 << 20
"""Bytes of a file that people write for Shipway or Helm, and that is read whole: YAML, values, a Dockerfile."""
TOO_LARGE = bytes(LARGEST + 1)
"""In place of such a file that was left unread: its readers refuse it, and none takes it for absent."""
DEEPEST = 200
"""Mappings and lists inside each other: three times what the deepest definitions of Kubernetes have.

Python's own limit is 1000 calls, and a walk takes up to three a level.
"""
LONGEST_NUMBER = 1000
"""Characters of a number: reading and writing longer ones takes time that grows with the square."""
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, also one without an end: a search that fails there would start again at each quote in it."""
_BRACKETS = re.compile(r"[^\[\]{}]+")
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_file(path: Path, what: str, *, most: int = LARGEST) -> bytes:
    """Return the content of a file; raises Refused if it has more than `most` bytes, and OSError."""
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise too_large(what, path.stat().st_size, most=most)
    return data


def text_of(data: bytes, what: str, *, errors: str = "strict") -> str:
    """Return a file's text; raises Refused if it has more than LARGEST bytes, ShipwayError if it is not UTF-8.

    `errors` are those of `bytes.decode`, for files whose readers take any bytes.
    """
    if len(data) > LARGEST:
        raise too_large(what, len(data))
    try:
        return data.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise ShipwayError(f"{what} is not UTF-8 text", seen=str(error)[:200], todo="save it as UTF-8") from None


def too_large(what: str, size: int, *, most: int = LARGEST) -> Refused:
    """Return the error about a file of `size` bytes, where at most `most` are read."""
    return Refused(f"{what} is too large", seen=f"{size} bytes", todo=f"keep it below {most} bytes")


class NotJson(ShipwayError, ValueError):
    """A text that is not JSON, or is beyond the bounds; also a ValueError, for callers that say it in their words."""

    def __init__(self, what: str, *, seen: str, todo: str = "correct it", line: int = 1) -> None:
        super().__init__(what, seen=seen, todo=todo)
        self.line = line
        """Where, from 1, as far as that is known."""


def read_json(data: bytes | str, what: str) -> Any:
    """Return what a JSON text says; raises NotJson, in which `what` names the text.

    Refused are nesting beyond DEEPEST, numbers beyond LONGEST_NUMBER and those that JSON does not have, halves of
    characters, and bytes that are not UTF-8. Of equal keys the last one counts.
    """
    try:
        text = (data.encode() if isinstance(data, str) else data).decode()
        value = parsed(text, what)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise NotJson(f"{what} is not JSON", seen=f"it is not UTF-8: {error}"[:200]) from None
    return value


def parsed(text: str, what: str) -> Any:
    """Return what `read_json` does of a text that may hold halves of characters."""
    if _is_too_deep(text):
        seen = f"more than {DEEPEST} objects and lists inside each other"
        raise NotJson(f"{what} is nested too deeply", seen=seen, todo="make it flatter")
    try:
        return json.loads(text, parse_int=_integer, parse_float=_float, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        seen, line = str(getattr(error, "msg", error))[:200], getattr(error, "lineno", 1)
        raise NotJson(f"{what} is not JSON", seen=seen, line=line) from None


def _is_too_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= DEEPEST:
        return False
    brackets = _BRACKETS.sub("", _STRING.sub("", text))
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEEPEST


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if len(text) > LONGEST_NUMBER or not math.isfinite(number):
        raise ValueError(f"the number {text[:20]}")
    return number


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")
