"""What a step logs: lines on stderr, beside its result."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Write a line to the log."""
    sys.stderr.write(f"{text}\n")
