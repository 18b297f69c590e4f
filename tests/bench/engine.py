"""The local engine's own time: a DAG of tasks that do nothing."""

from __future__ import annotations

import io
import time
from pathlib import Path

import yaml

from pipelines.engines.local import documents as local_documents
from pipelines.engines.local import engine as local_engine
from pipelines.engines.local.reporter import PlainReporter
from tests.bench.measure import command

TASKS = 200


def seconds_per_task(folder: Path) -> tuple[float, float]:
    """Return the engine's seconds per task, one at a time, and those of starting the same command without it."""
    tasks = [{"name": f"t{n}", "template": "nothing"} | ({"depends": f"t{n - 1}"} if n else {}) for n in range(TASKS)]
    pod = {"name": "nothing", "container": {"image": "busybox", "command": ["true"]}}
    document = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "nothing"},
        "spec": {"entrypoint": "dag", "templates": [{"name": "dag", "dag": {"tasks": tasks}}, pod]},
    }
    (folder / "nothing.yaml").write_text(yaml.safe_dump(document))
    begin = time.perf_counter()
    outcome = local_engine.run(
        local_documents.load([folder / "nothing.yaml"]),
        "nothing",
        {},
        config_maps={},
        secrets=None,
        folder=folder / "run",
        jobs=1,
        reporter=PlainReporter(io.StringIO()),
    )
    took = time.perf_counter() - begin
    if outcome.phase.is_bad:
        raise RuntimeError(outcome.message)
    begin = time.perf_counter()
    for _ in range(TASKS):
        command(["true"])
    return took / TASKS, (time.perf_counter() - begin) / TASKS
