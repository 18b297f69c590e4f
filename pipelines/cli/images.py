"""`shipway images`: the images of a repository, in the order they are built."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pipelines.cli import declared, options
from pipelines.images import platforms


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = "List the images that a repository declares, parents first, and what each stands on."
    parser.epilog = "example: shipway images https://git.example.com/team/shop.git --revision main --json"
    options.source(parser)
    options.settings(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(given: argparse.Namespace) -> int:
    """Print the list."""
    settings = options.read_settings(given, embedded=False)
    found = declared.read(
        given.repo or ".",
        given.revision,
        credentials=options.secret(settings, "shipway-git"),
        registry=settings.get("registry", ""),
        project=settings.get("project", ""),
        build_args=given.build_arg,
        ca_file=options.ca_file(settings),
        platform=platforms.this_platform(),
    )
    for warning in found.warnings:
        sys.stderr.write(f"shipway: {warning}\n")
    rows = [
        {"name": i.name, "path": i.path, "dockerfile": i.dockerfile, "parents": list(found.parents[i.name])}
        for i in found.images
    ]
    if given.json:
        sys.stdout.write(json.dumps({"commit": found.commit, "ref": found.ref, "images": rows}) + "\n")
        return 0
    width = max((len(str(row["name"])) for row in rows), default=0)
    for row in rows:
        on = f"stands on {', '.join(row['parents'])}" if row["parents"] else ""
        sys.stdout.write(f"{row['name']:<{width}}  {Path(str(row['path']))!s:<24}  {on}".rstrip() + "\n")
    return 0
