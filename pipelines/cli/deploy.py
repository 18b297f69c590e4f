"""`shipway deploy`: what is published of a branch's head, in charts and environments."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.cli import failures, options, repository, running
from pipelines.engines.local.nodes import RunResult
from pipelines.errors import Misconfigured

TEMPLATE = "deploy"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = (
        "Write digests and tags of a branch's published images where shipway.yaml says: into the values of the repository's own "
        "charts, whose versions move, and into environments. Nothing is built. What is as it should be is not written again."
    )
    parser.epilog = "example: shipway deploy https://git.example.com/team/shop.git --environment dev"
    parser.add_argument("repo", help="address or folder of a Git repository")
    parser.add_argument("--branch", default="", help="whose head is deployed (default: the one that shipway.yaml says)")
    parser.add_argument(
        "--environment", default="", metavar="NAME", help="this one only, or `charts` (default: all of shipway.yaml)"
    )
    options.settings(parser)
    options.running(parser)


def run(given: argparse.Namespace) -> int:
    """Deploy, and print what was written."""
    options.check_engine(given)
    ref = f"refs/heads/{given.branch}" if given.branch else ""
    arguments = {"ref": ref, "environment": given.environment}
    if given.engine == "argo":
        outcome, _ = running.on_cluster(given, TEMPLATE, {"repo": repository.on_cluster(given.repo), **arguments})
        if outcome is None:
            return 0 if given.detach else running.LEFT
    else:
        settings = options.read_settings(given, embedded=True)
        if not settings.get("registry"):
            raise Misconfigured("no registry to ask", seen="settings without one", todo="set `registry`")
        outcome = running.run(given, settings, TEMPLATE, {"repo": repository.here(given.repo), **arguments})
    told = _object(given, outcome)
    if given.json:
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        _print(told)
    return running.exit_code(outcome)


def _object(given: argparse.Namespace, outcome: RunResult) -> dict[str, Any]:
    failed = failures.last(outcome.root)
    return {
        "repo": given.repo,
        "commit": outcome.outputs.get("commit", ""),
        "phase": str(outcome.phase),
        "message": outcome.root.reason,
        "seconds": round(outcome.root.finished - outcome.root.started, 2),
        "targets": json.loads(outcome.outputs.get("targets", "[]")),
        "summary": outcome.outputs.get("summary", ""),
        **({"error": failures.error(failed.log)} if failed and failed.log else {}),
    }


def show(targets: Sequence[Mapping[str, Any]]) -> None:
    """Print what was written to each place."""
    write = sys.stdout.write
    for target in targets:
        what = target["pull_request"] or (f"commit {target['commit']}" if target["commit"] else "as it should be")
        write(f"\ndeployment to {target['name']}: {what}\n")
        for line in (*target["changes"], *target["kept"]):
            write(f"  {line}\n")


def _print(told: Mapping[str, Any]) -> None:
    write = sys.stdout.write
    show(told["targets"])
    if not told["targets"]:
        write(f"\n{told.get('error') or told['summary'] or told['message']}\n")
    write(f"\n{told['phase']} in {told['seconds']:.1f} s\n")
