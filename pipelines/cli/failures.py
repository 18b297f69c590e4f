"""Why a run failed, in the words of the step that did."""

from __future__ import annotations

from pathlib import Path

from pipelines.local.nodes import Node

_STEP_FAILED = "shipway: "
_LAST_LINES = 5
_MOST_LINES = 15


def last(node: Node) -> Node | None:
    """Return the last of a node's programs that failed and left a log, or None."""
    return next((one for one in reversed(list(node.walk())) if one.phase.is_bad and one.log), None)


def error(log: Path, *, most_lines: int = _MOST_LINES) -> str:
    """Return the error that a step ended with, or the last lines of another program; nothing where there is no log."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    starts = [number for number, line in enumerate(lines) if line.startswith(_STEP_FAILED)]
    if not starts:
        return "\n".join(lines[-_LAST_LINES:])
    told = lines[starts[-1] :]
    left_out = [f"        … {len(told) - most_lines} lines more in the log"] if len(told) > most_lines else []
    return "\n".join([*told[: most_lines - 1], *left_out, *told[most_lines - 1 :][-1:]]).removeprefix(_STEP_FAILED)
