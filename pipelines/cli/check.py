"""`shipway check`: what a release of a commit would build and check, tried without publishing anything."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from pipelines.cli import options, repository, running
from pipelines.cli.outcomes import show, summary
from pipelines.engines.local.nodes import RunResult
from pipelines.errors import Misconfigured

TEMPLATE = "check"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = (
        "Try what a commit declares, as for a pull request: images that are not published are built, children on their "
        "parents, and charts are linted and rendered. Nothing is published, and no secret but a login for reading is used."
    )
    parser.epilog = "example: shipway check https://git.example.com/team/shop.git --revision refs/pull/12/head"
    parser.add_argument("repo", nargs="?", default="", help="address or folder of a Git repository; default: examples")
    parser.add_argument(
        "--revision", default="HEAD", help="branch, tag, full commit id or refs/pull/N/head (default: HEAD)"
    )
    options.settings(parser)
    options.running(parser)


def run(given: argparse.Namespace) -> int:
    """Check, and print what became of each image and chart."""
    options.check_engine(given)
    arguments = {"revision": given.revision}
    if given.engine == "argo":
        outcome, _ = running.on_cluster(given, TEMPLATE, {"repo": repository.on_cluster(given.repo), **arguments})
    else:
        settings = options.read_settings(given, embedded=True)
        if not settings.get("registry"):
            raise Misconfigured("no registry to compare with", seen="settings without one", todo="give --registry")
        repo = repository.here(given.repo or repository.examples(given.state, settings))
        outcome = running.run(given, settings, TEMPLATE, {"repo": repo, **arguments})
    if outcome is None:
        return 0 if given.detach else running.LEFT
    told = _object(given, outcome)
    if given.json:
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        sys.stdout.write(f"\n{told['repo']} {told['revision']}\n\n")
        show(told)
        seconds = f"{told['phase']} in {told['seconds']:.1f} s"
        sys.stdout.write(f"\n{seconds}: {told['verdict'] or told['message']}; logs: {told['logs']}\n")
    return running.exit_code(outcome)


def _object(given: argparse.Namespace, outcome: RunResult) -> dict[str, Any]:
    found = summary(outcome)
    return {
        "repo": given.repo or str(repository.EXAMPLES),
        "revision": given.revision,
        "phase": str(outcome.phase),
        "message": outcome.root.reason,
        "seconds": round(outcome.root.finished - outcome.root.started, 2),
        "commit": found.get("commit", ""),
        "verdict": found.get("verdict", ""),
        "parts": found.get("parts", []),
        "left_out": found.get("left_out", 0),
        "logs": str(outcome.folder / "logs"),
    }
