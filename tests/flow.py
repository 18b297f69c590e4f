"""One small workflow on the local engine, for tests of what is told of a run."""

from __future__ import annotations

from pathlib import Path

from pipelines.engines.local import documents as local_documents
from pipelines.engines.local import engine as local_engine
from pipelines.engines.local.nodes import RunResult
from pipelines.engines.local.reporter import Reporter


def run(text: str, folder: Path, reporter: Reporter) -> RunResult:
    """Run the WorkflowTemplate `flow` of a text, as the run `run`, in a new folder, and return how it ended."""
    folder.mkdir(exist_ok=True)
    file = folder / "flow.yaml"
    file.write_text(text)
    return local_engine.run(
        local_documents.load([file]),
        "flow",
        {},
        config_maps={},
        secrets=None,
        folder=folder / "run",
        jobs=2,
        reporter=reporter,
        name="run",
    )
