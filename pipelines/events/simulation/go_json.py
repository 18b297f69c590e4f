"""JSON as Go writes and reads it: a run's name is a hash of it, so each byte counts.

A string of Go is bytes. Here it is a `str` in which a byte that is not UTF-8 is a lone surrogate (PEP 383).
"""

from __future__ import annotations

import json
import re
from typing import Any

from pipelines import bounds
from pipelines.bounds import NotJson
from pipelines.errors import Misuse

GREATEST = 2**53
"""Up to here Go, which reads numbers of JSON as floats, keeps integers exact."""
# encoding/json escapes what HTML or JavaScript could misread, and bytes that are not UTF-8.
_ESCAPED = re.compile("[<>&\u2028\u2029\udc80-\udcff]")


def dumps(value: Any) -> str:
    """Return a value as json.Marshal writes it: keys sorted, no spaces."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return _ESCAPED.sub(lambda match: _escape(match[0]), text)


def loads(data: bytes) -> Any:
    """Return what json.Unmarshal reads from a body: invalid UTF-8 and lone surrogates become U+FFFD. Raises Misuse."""
    try:
        return _replaced(bounds.parsed(data.decode("utf-8", "replace"), "the payload"))
    except NotJson as error:
        raise Misuse(
            "the payload is not JSON",
            seen=error.seen,
            todo="save the body that the forge sent, of type application/json",
        ) from error


def cut(text: str, longest: int) -> str:
    """Return the first bytes of a text."""
    return as_bytes(text)[:longest].decode("utf-8", "surrogateescape")


def as_bytes(text: str) -> bytes:
    """Return the bytes of a text."""
    return text.encode("utf-8", "surrogateescape")


def _escape(character: str) -> str:
    return "\\ufffd" if character >= "\ud800" else f"\\u{ord(character):04x}"


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    if isinstance(value, dict):
        return {_replaced(key): _replaced(item) for key, item in value.items()}
    return value
