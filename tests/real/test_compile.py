"""Compiling gives the same bytes in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pipelines.compile import compile_all

ROOT = Path(__file__).parents[2]


def test_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    """No hash seed, folder or locale reaches the output: not here, nor there, nor where the files were committed."""
    program = "import gc, sys; gc.disable(); import pipelines.compile as c; sys.stdout.write(repr(c.compile_all()))"
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    elsewhere = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": seed, "LANG": "C", "LC_ALL": "C", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert elsewhere.stdout == repr(compile_all())
