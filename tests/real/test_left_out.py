"""Leaving a tool out: the summary says so, and how many tests went with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("workers", ["0", "1"])
def test_the_summary_says_what_is_left_out(workers: str) -> None:
    """Also where other processes run the tests: a check that leaves tests out must not look like a whole one."""
    command = "-m pytest -q -p no:cacheprovider tests/chart/test_values.py --numprocesses"
    ended = subprocess.run(
        [sys.executable, *command.split(), workers],
        cwd=ROOT,
        env={**os.environ, "SHIPWAY_WITHOUT_HELM": "1"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert re.search(
        r"^SHIPWAY_WITHOUT_HELM=1: helm is left out; [1-9]\d* tests deselected$", ended.stdout, re.MULTILINE
    )
