"""How large an event can become: its texts are cut, so the most is known before any event comes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipelines.events.event import MOST_BYTES

_TEXT = re.compile(r'\(\.Input\.[A-Za-z0-9_.]+ \| default "" \| toString \| trunc (\d+)\)')
_NUMBER = re.compile(
    r'\(\.Input\.[A-Za-z0-9_.]+ \| int64(?: \| toString)?\)|\(get \(\.Input\.[A-Za-z0-9_.]+ \| default \(dict\)\) "[a-z]+" \| int64\)'
)
_ESCAPED = 6
"""Bytes that JSON writes for one, at most: \\u003c, or \\ufffd for a byte that is no letter."""
_DIGITS = 20


def oversized(name: str, k8s: Mapping[str, Any]) -> list[str]:
    """Return, in words, what a trigger hands to a run's argument without a bound, or beyond what `decode` takes."""
    broken = []
    for parameter in k8s.get("parameters", []):
        template = parameter["src"].get("dataTemplate", "")
        if not parameter["dest"].startswith("spec.arguments."):
            continue
        texts, numbers = _TEXT.findall(template), _NUMBER.findall(template)
        rest = _NUMBER.sub("", _TEXT.sub("", template))
        most = _ESCAPED * sum(map(int, texts)) + _DIGITS * len(numbers) + len(rest)
        if ".Input" in rest:
            broken.append(f"{name}: a value of the event that is not cut")
        elif most > MOST_BYTES:
            broken.append(f"{name}: the event may be of {most} bytes, of which {MOST_BYTES} are taken")
    return broken
