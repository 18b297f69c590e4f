"""What a release or a check says of each part of a commit, for the commands that ran it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from pipelines.engines.local.nodes import RunResult
from pipelines.release import summary as outcomes
from pipelines.release.outcome import Part
from pipelines.step import signature


def summary(outcome: RunResult) -> dict[str, Any]:
    """Return what the verdict of a run put out, whether it failed or not; nothing where it did not come to it."""
    for node in outcome.root.walk():
        if node.display_name == "verdict" and node.outputs.get("summary"):
            found: dict[str, Any] = json.loads(node.outputs["summary"])
            return found
    return {}


def show(told: Mapping[str, Any]) -> None:
    """Print a line a part, and what failed."""
    parts: tuple[Part, ...] = signature.typed(tuple[Part, ...], told["parts"])
    if parts:
        sys.stdout.write(outcomes.table(parts))
    for part in parts:
        if part.lines and not part.is_good:
            sys.stdout.write(f"\n{part.name}:\n" + "".join(f"  {line}\n" for line in part.lines))
    if told["left_out"]:
        sys.stdout.write(f"… and {told['left_out']} more\n")
