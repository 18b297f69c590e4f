"""`shipway compile` against a Python that imports the Hera modules it needs and does nothing with them."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.bench.measure import Figure, command, interleave

NEEDED = "import hera.workflows, hera.workflows.models"


def seconds(folder: Path, pairs: int) -> tuple[Figure, Figure]:
    """Return the seconds of compiling into a folder, and those of the import."""
    return interleave(
        lambda: None,
        lambda: command(["shipway", "compile", "--to", folder]),
        lambda: command([sys.executable, "-c", NEEDED]),
        pairs,
        ("shipway compile", "import of Hera"),
    )
