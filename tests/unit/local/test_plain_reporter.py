"""What logs and pipes get to see of a run: a line for each thing that happens, and each thing once."""

from __future__ import annotations

import io
import re
from pathlib import Path

from pipelines.local import documents, engine
from pipelines.local.reporter import PlainReporter

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


def test_each_thing_is_told_once(tmp_path: Path) -> None:
    """A first attempt stands for its retry, containers that only waited are left out, and the reason is the one that failed."""
    (tmp_path / "flow.yaml").write_text(WORKFLOW)
    told = io.StringIO()
    outcome = engine.run(
        documents.load([tmp_path / "flow.yaml"]),
        "flow",
        {},
        config_maps={},
        secrets=None,
        folder=tmp_path / "run",
        jobs=2,
        reporter=PlainReporter(told),
        name="run",
    )
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
