"""Why a run failed, in the words of the step that did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines.engines.local.nodes import Node, NodeKind

_STEP_FAILED = "shipway: "
_LAST_LINES = 5
_MOST_LINES = 15


def causes(node: Node) -> Iterator[Node]:
    """Give the node and what is below it, where it counts that they failed: not what another attempt or branch made good."""
    if node.phase.is_bad:
        yield node
        for child in node.children[-1:] if node.kind is NodeKind.RETRY else node.children:
            yield from causes(child)


def last(node: Node) -> Node | None:
    """Return the last of a node's programs whose failure counts and that left a log, or None."""
    return next((one for one in reversed(list(causes(node))) if one.log), None)


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
