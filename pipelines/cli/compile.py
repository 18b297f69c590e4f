"""`shipway compile`: the workflows as YAML, or whether the committed YAML is still up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from pipelines.cli.command import flag, flags, switch


@flags
class CompileOptions:
    """Where the files are, and whether they are only compared."""

    to: Path = flag("default: %(default)s", type=Path, default=Path("charts/shipway/files"), metavar="FOLDER")
    check: bool = switch("change nothing; fail where the files differ")


def run(options: CompileOptions) -> int:
    """Write every WorkflowTemplate into a folder, byte for byte the same each time.

    example: shipway compile --check   # exits 1 and shows the difference when the files have drifted
    """
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
