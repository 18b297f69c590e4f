"""What people at a terminal see of a run."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from pipelines.engines.local.tree_reporter import TreeReporter
from tests import flow

WORKFLOW = """
kind: WorkflowTemplate
metadata: {name: flow}
spec:
  entrypoint: all
  onExit: pod
  templates:
  - name: all
    dag:
      tasks:
      - {name: bad, template: bad}
      - {name: never, template: pod, depends: bad}
  - name: bad
    retryStrategy: {limit: 1}
    container: {image: busybox, command: [sh, -c, "echo the reason; exit 3"]}
  - name: pod
    container: {image: busybox, command: [sh, -c, "echo chatter"]}
"""


def test_the_finished_tree_stays(tmp_path: Path) -> None:
    """Every task with its attempts, the last lines of what failed and not of what succeeded, and the exit handler."""
    screen = io.StringIO()
    flow.run(WORKFLOW, tmp_path, TreeReporter(Console(file=screen, force_terminal=True, width=120, no_color=True)))
    # The last drawing of the tree is what stays on the screen.
    text_alone = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    shown = text_alone.rpartition("✖ run")[2]
    for text in (
        "✖ bad",
        "attempt 2",
        "No more retries left",
        "the reason",
        "○ never",
        "depends condition not met",
        "✔ run.onExit",
    ):
        assert text in shown, text
    assert "chatter" not in shown


def test_a_tree_of_nothing_goes(tmp_path: Path) -> None:
    """Where nothing ran but what only decides and tells; otherwise it stays whole."""
    for unspoken, stays in ((frozenset({"pod", "onExit"}), False), (frozenset({"other"}), True)):
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=True, width=120, no_color=True)
        flow.run(NOTHING, tmp_path / str(stays), TreeReporter(console, unspoken=unspoken))
        erased = screen.getvalue().rstrip().endswith("\x1b[1A\x1b[2K")
        assert erased != stays


NOTHING = WORKFLOW.replace("      - {name: bad, template: bad}\n", "")
NOTHING = NOTHING.replace(", depends: bad", "").replace("never", "pod")
