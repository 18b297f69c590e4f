"""The folder of a run's logs, and the reporter that shows the run."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from pipelines.engines.local.reporter import PlainReporter, Reporter

KEPT_RUNS = 20


def new_folder(state: Path, name: str) -> Path:
    """Return a new folder for a run's logs, and remove the oldest runs' folders."""
    runs = state / "runs"
    # Their names begin with the time.
    for old in sorted(runs.iterdir())[: -KEPT_RUNS + 1] if runs.is_dir() else []:
        shutil.rmtree(old, ignore_errors=True)
    folder = runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def reporter(*, quiet: bool) -> Reporter:
    """Return the reporter of a run: a tree on a terminal, lines everywhere else."""
    if sys.stderr.isatty():
        from pipelines.engines.local.tree_reporter import TreeReporter  # noqa: PLC0415 - rich is for terminals only

        return TreeReporter()
    return PlainReporter(with_output=not quiet)
