"""`shipway compile`: the workflows as YAML, or whether the committed YAML is still up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from pipelines.cli import running
from pipelines.cli.command import flag, flags, switch
from pipelines.errors import Misuse

FOLDER = Path("charts/shipway/files")


@flags
class CompileOptions:
    """Where the files are, and whether they are only compared."""

    to: Path | None = flag(
        "default: charts/shipway/files of the checkout that this folder is", type=Path, default=None, metavar="FOLDER"
    )
    check: bool = switch("change nothing; fail where the files differ")


def run(options: CompileOptions) -> int:
    """Write every WorkflowTemplate into a folder, byte for byte the same each time.

    example: shipway compile --check   # exits 1 and shows the difference when the files have drifted
    """
    if options.to is None and not FOLDER.is_dir():
        raise Misuse(
            "this folder is no checkout of Shipway, whose compiled files could be written or compared",
            seen=f"no folder {FOLDER} in {Path.cwd()}",
            todo=f"go to one, or name a folder with --to; the files of this version are in {running.TEMPLATES}",
        )
    to = options.to or FOLDER
    # Hera takes more than a second to import: only this command pays it.
    import pipelines.compile as compiling  # noqa: PLC0415 - `compile` is a builtin's name

    if not options.check:
        for path in compiling.write(to):
            sys.stdout.write(f"wrote {path}\n")
        return 0
    drifts = compiling.check(to)
    for drift in drifts:
        sys.stdout.write(f"{drift}\n")
    if drifts:
        sys.stderr.write(
            "shipway: the compiled files have drifted\n  do:   run shipway compile and commit the result\n"
        )
    return 1 if drifts else 0
