"""`shipway compile`: the workflows as YAML, or whether the committed YAML is still what they say."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = "Write every WorkflowTemplate into a folder, byte for byte the same each time."
    parser.epilog = "example: shipway compile --check   # exits 1 and shows the difference when the files have drifted"
    parser.add_argument(
        "--to", type=Path, default=Path("charts/shipway/files"), metavar="FOLDER", help="default: %(default)s"
    )
    parser.add_argument("--check", action="store_true", help="change nothing; fail where the files differ")


def run(options: argparse.Namespace) -> int:
    """Write, or compare."""
    # Hera takes more than a second to import: only this command pays it.
    import pipelines.compile as compiling  # noqa: PLC0415 - `compile` is a builtin's name

    if not options.check:
        for path in compiling.write(options.to):
            sys.stdout.write(f"wrote {path}\n")
        return 0
    drifts = compiling.check(options.to)
    for drift in drifts:
        sys.stdout.write(f"{drift}\n")
    if drifts:
        sys.stderr.write(
            "shipway: the compiled files have drifted\n  do:   run shipway compile and commit the result\n"
        )
    return 1 if drifts else 0
