"""What logs and pipes get to see of a run: a line for each thing that happens, and each thing once."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path

from pipelines.engines.local.nodes import Node, NodeKind
from pipelines.engines.local.reporter import PlainReporter
from tests import flow

WORKFLOW = """
kind: WorkflowTemplate
metadata: {name: flow}
spec:
  entrypoint: all
  templates:
  - name: all
    dag:
      tasks:
      - {name: image, template: image}
      - {name: again, template: again, depends: image.Failed}
      - {name: never, template: again, depends: again.Failed}
  - name: image
    retryStrategy: {limit: 2, expression: lastRetry.message contains '75'}
    containerSet:
      containers:
      - {name: clone, image: busybox, command: [sh, -c, "echo a reason; exit 3"]}
      - {name: build, image: busybox, command: [sh, -c, "exit 0"], dependencies: [clone]}
      - {name: main, image: busybox, command: [sh, -c, "exit 0"], dependencies: [build]}
  - name: again
    retryStrategy: {limit: 1}
    container: {image: busybox, command: [sh, -c, 'test "$1" = 1 || exit 75', sh, "{{retries}}"]}
"""


def test_a_run_goes_on_where_nobody_reads_what_it_tells(tmp_path: Path) -> None:
    """As behind `| head`: every step runs, and the outcome is what it would have been."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", buffering=1) as stream:
        outcome = flow.run(WORKFLOW, tmp_path, PlainReporter(stream))
        with contextlib.suppress(BrokenPipeError):
            stream.close()
    names = {node.display_name: node.phase for node in outcome.nodes}
    assert names["image"] == "Failed"
    assert names["again"] == "Succeeded"


def test_each_thing_is_told_once(tmp_path: Path) -> None:
    """A first attempt stands for its retry, containers that only
    waited are left out, and the reason is the one that failed.
    """
    told = io.StringIO()
    outcome = flow.run(WORKFLOW, tmp_path, PlainReporter(told))
    text = re.sub(r"^[\d:]{8} ", "", told.getvalue(), flags=re.MULTILINE)
    assert re.sub(r"after \d+\.\d s", "after … s", text[text.index("image: ") :]).splitlines() == [
        "image: Running",
        "image.clone: Running",
        "image.clone | a reason",
        "image.clone: Failed after … s: Error (exit code 3)",
        "image: Failed after … s: clone: Error (exit code 3)",
        "again: Running",
        "again: Failed after … s: main: Error (exit code 75)",
        "again: main: Error (exit code 75); again in 0.0 s",
        "again(1): Running",
        "again(1): Succeeded after … s",
        "again: Succeeded after … s and 2 attempts",
        "never: Omitted: depends condition not met",
        "run: Succeeded after … s",
    ]
    assert sorted(path.name for path in (outcome.folder / "logs").iterdir()) == [
        "002-image.clone.log",
        "004-again.log",
        "006-again_1_.log",
    ]


def test_the_container_main_is_told_as_the_step_that_it_runs(tmp_path: Path) -> None:
    """Argo takes outputs from `main` alone; people know the step, in the lines, the reasons and the names of logs."""
    text = """
kind: WorkflowTemplate
metadata: {name: flow}
spec:
  entrypoint: image
  templates:
  - name: image
    retryStrategy: {limit: 1}
    containerSet:
      containers:
      - {name: build, image: busybox, command: [echo], args: [step, build]}
      - {name: main, image: busybox, command: [sh], args: [step, push], dependencies: [build]}
"""
    told = io.StringIO()
    outcome = flow.run(text, tmp_path, PlainReporter(told, with_output=False))
    lines = re.sub(r"after \d+\.\d s", "after … s", re.sub(r"^[\d:]{8} ", "", told.getvalue(), flags=re.MULTILINE))
    code = outcome.nodes[-1].exit_code
    assert lines[lines.index("build: Running") :].splitlines() == [
        "build: Running",
        "build: Succeeded after … s",
        "push: Running",
        f"push: Failed after … s: Error (exit code {code})",
        f"run: Failed after … s: push: Error (exit code {code})",
        f"run: push: Error (exit code {code}); again in 0.0 s",
        "run(1): Running",
        "run(1).build: Running",
        "run(1).build: Succeeded after … s",
        "run(1).push: Running",
        f"run(1).push: Failed after … s: Error (exit code {code})",
        f"run(1): Failed after … s: push: Error (exit code {code})",
        "run: Failed after … s and 2 attempts: No more retries left",
    ]
    assert [node.display_name for node in outcome.nodes][-1] == "main"
    assert sorted(path.name.partition("-")[2] for path in (outcome.folder / "logs").iterdir()) == [
        "build.log",
        "push.log",
        "run_1_.build.log",
        "run_1_.push.log",
    ]


def test_items_are_told_by_their_names() -> None:
    """An item of many texts goes by the one that is called name; Argo's own name for it holds them all."""
    group = Node(
        name="run.wave",
        display_name="wave",
        kind=NodeKind.TASK_GROUP,
        parent=Node(name="run", display_name="run", kind=NodeKind.DAG),
    )
    text = "(3:dockerfile:apps/web/Dockerfile,key:0123456789,name:web,path:apps/web)"
    item = Node(name=f"run.wave{text}", display_name=f"wave{text}", kind=NodeKind.RETRY, parent=group)
    assert (item.short_name, item.label) == ("wave(web)", "wave(web)")
    short = Node(name="run.wave(0:a)", display_name="wave(0:a)", kind=NodeKind.POD, parent=group)
    assert (short.short_name, short.label) == ("wave(0:a)", "wave(0:a)")


def test_what_only_decides_and_tells_is_left_out(tmp_path: Path) -> None:
    """Of named pods and steps, of what did not run and of what holds others; but not their warnings, nor what fails."""
    told = io.StringIO()
    flow.run(DECIDING, tmp_path / "one", PlainReporter(told, unspoken=frozenset({"plan", "tell"})))
    assert told.getvalue() == ""
    warned = DECIDING.replace("all is there", "Dockerfile:1: warning: a tag that moves [pin]")
    flow.run(warned, tmp_path / "two", PlainReporter(told, unspoken=frozenset({"plan", "tell"})))
    head, *lines = told.getvalue().splitlines()
    assert head == "run: started"
    assert [line for line in lines if not line.startswith("  ")] == [
        "plan | Dockerfile:1: warning: a tag that moves [pin]"
    ]
    told = io.StringIO()
    flow.run(DECIDING, tmp_path / "three", PlainReporter(told, unspoken=frozenset({"plan"})))
    assert "tell: Succeeded" in told.getvalue()
    assert "plan" not in told.getvalue()
    told = io.StringIO()
    flow.run(
        DECIDING.replace("exit 0", "exit 3"),
        tmp_path / "four",
        PlainReporter(told, unspoken=frozenset({"plan", "tell"})),
    )
    assert "plan: Failed" in told.getvalue()
    assert "tell" not in told.getvalue()


DECIDING = """
kind: WorkflowTemplate
metadata: {name: flow}
spec:
  entrypoint: all
  templates:
  - name: all
    dag:
      tasks:
      - {name: plan, template: plan}
      - {name: work, template: tell, depends: plan, when: "false"}
      - {name: tell, template: tell, depends: plan}
  - name: plan
    container: {image: busybox, command: [sh, -c, "echo 'all is there'; exit 0"]}
  - name: tell
    container: {image: busybox, command: [sh, -c, "echo told"]}
"""
