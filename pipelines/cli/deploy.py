"""`shipway deploy`: write what is published of a branch's head to charts and environments."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.cli import results, running
from pipelines.cli.command import flag, flags, group, positional
from pipelines.cli.options import RunOptions
from pipelines.engines.local.nodes import RunResult
from pipelines.step import texts


@flags
class DeployOptions:
    """What to deploy, and where."""

    repo: str = positional("address or folder of a Git repository")
    branch: str = flag("whose head is deployed (default: the one that shipway.yaml says)")
    environment: str = flag("this one only, or `charts` (default: all of shipway.yaml)", metavar="NAME")
    run: RunOptions = group(RunOptions)


def run(options: DeployOptions) -> int:
    """Write digests and tags of a branch's published images where shipway.yaml says: into the values of the
    repository's own charts, whose versions move, and into environments. Nothing is built. What is up to date is
    not written again.

    example: shipway deploy https://git.example.com/team/shop.git --environment dev
    """
    ref = f"refs/heads/{options.branch}" if options.branch else ""
    arguments = {"ref": ref, "environment": options.environment}
    options = dataclasses.replace(options, repo=options.repo or ".")
    return running.run_template(options, "deploy", arguments, _describe, _print, needs=("ask", "set `registry`"))


def _describe(options: DeployOptions, result: RunResult) -> dict[str, Any]:
    return {
        "repo": options.repo,
        "commit": result.outputs.get("commit", ""),
        **results.ending(result),
        "targets": json.loads(texts.shown(result.outputs.get("targets", "[]"))),
        "summary": texts.shown(result.outputs.get("summary", "")),
        **results.failure(result.root),
    }


def show(targets: Sequence[Mapping[str, Any]]) -> None:
    """Print what was written to each target."""
    write = sys.stdout.write
    for target in targets:
        what = target["pull_request"] or (f"commit {target['commit']}" if target["commit"] else "up to date")
        write(f"\ndeployment to {target['name']}: {what}\n")
        for line in (*target["changes"], *target["kept"]):
            write(f"  {line}\n")


def _print(deployment: Mapping[str, Any], _settings: Mapping[str, str]) -> None:
    show(deployment["targets"])
    if not deployment["targets"]:
        sys.stdout.write(f"\n{deployment.get('error') or deployment['summary'] or deployment['message']}\n")
    sys.stdout.write(f"\n{deployment['phase']} in {deployment['seconds']:.1f} s\n")
