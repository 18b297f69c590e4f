"""Which of two runs is newer: one order, both for who stops whom and for whose report counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.events.event import FIRST_ANNOTATION


def run_age(metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Return what runs are ordered by, from their metadata: by name within one second.

    A retry is as old as its first run, and newer than that one. So the retry of an old run yields to a run that has
    begun since.
    """
    created, first = str(metadata["creationTimestamp"]), (metadata.get("annotations") or {}).get(FIRST_ANNOTATION)
    return (f"{first}+{created}" if first else created), str(metadata["name"])
