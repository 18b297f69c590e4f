"""The exit code of a run that failed, and the program whose error is shown."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pipelines.cli import results
from pipelines.engines.local.nodes import RunResult
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
      failFast: false
      tasks: [TASKS]
  - name: ends
    inputs: {parameters: [{name: code}]}
    container:
      image: busybox
      command: [sh, -c, 'echo "shipway: ends with $1"; exit "$1"', sh, "{{inputs.parameters.code}}"]
  - name: mended
    retryStrategy: {limit: 1}
    container:
      image: busybox
      command: [sh, -c, 'echo "shipway: not yet"; test "$1" = 1 || exit 75', sh, "{{retries}}"]
"""


def run(folder: Path, *tasks: str) -> RunResult:
    """Run a workflow of tasks that end with a code, or well at a second attempt."""
    calls = [
        f"{{name: t{number}, template: mended}}"
        if task == "mended"
        else f'{{name: t{number}, template: ends, arguments: {{parameters: [{{name: code, value: "{task}"}}]}}}}'
        for number, task in enumerate(tasks)
    ]
    return flow.run(WORKFLOW.replace("TASKS", ", ".join(calls)), folder, PlainReporter(io.StringIO()))


@pytest.mark.parametrize(
    ("tasks", "code"),
    [
        (("mended",), 0),
        (("75",), 75),
        (("75", "75"), 75),
        (("mended", "1"), 1),
        (("75", "1"), 1),
        (("1", "75", "3"), 3),
        (("75", "78"), 78),
        (("75", "137"), 1),
    ],
)
def test_to_try_again_is_said_where_nothing_else_is_wrong(tasks: tuple[str, ...], code: int, tmp_path: Path) -> None:
    """Whoever starts a run again for 75 would do so for ever where the commit is at fault."""
    assert results.exit_code(run(tmp_path, *tasks)) == code


def test_what_another_attempt_made_good_is_no_reason(tmp_path: Path) -> None:
    """Neither of a run that ended well, nor of one that failed for something else."""
    assert results.failed_log(run(tmp_path / "good", "mended").root) is None
    log = results.failed_log(run(tmp_path / "bad", "1", "mended").root)
    assert log is not None
    assert results.error(log) == "ends with 1"


def test_an_output_takes_the_place_of_nothing_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A task that failed may put out `seconds`, as await-healthy does: a release ended in a traceback."""
    node = run(tmp_path, "3").root.children[0]
    node.outputs.update(seconds="12", phase="x", steps="[]", commit="abc")
    found = results.of_image(node)
    assert (found["phase"], found["steps"], found["commit"]) == ("Failed", {}, "abc")
    results.show_images({"deploy": found}, {})
    assert capsys.readouterr().out.startswith("\ndeploy: Failed")
