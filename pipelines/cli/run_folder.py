"""The folder of a run's logs, and the reporter that shows the run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import time
from pathlib import Path

from pipelines.engines.embedded import state_folder
from pipelines.engines.local.reporter import PlainReporter, Reporter

KEPT_RUNS = 20
_LOCK = "lock"


def new_folder(state: Path, name: str) -> Path:
    """Return a new folder for a run's logs, and remove the oldest folders of runs that have ended.

    A run has ended when its process has, however that was: until then it holds a lock on its folder.
    """
    runs = state_folder.make(state) / "runs"
    runs.mkdir(exist_ok=True)
    with (runs / _LOCK).open("a") as others:
        fcntl.flock(others, fcntl.LOCK_EX)  # a new folder is not locked yet
        folder = runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(BlockingIOError):  # two commands follow one run
            own = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Their names begin with the time.
        for old in sorted(path for path in runs.iterdir() if path.is_dir())[:-KEPT_RUNS]:
            with contextlib.suppress(OSError), (old / _LOCK).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(old, ignore_errors=True)
    return folder


def reporter(*, quiet: bool, unspoken: frozenset[str] = frozenset()) -> Reporter:
    """Return the reporter of a run, without what is `unspoken`: a tree on a terminal, lines everywhere else."""
    if sys.stderr.isatty():
        from pipelines.engines.local.tree_reporter import TreeReporter  # noqa: PLC0415 - rich is for terminals only

        return TreeReporter(unspoken=unspoken)
    return PlainReporter(with_output=not quiet, unspoken=unspoken)
