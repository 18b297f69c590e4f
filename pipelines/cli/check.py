"""`shipway check`: what a release of a commit would build and check, tried without publishing anything."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from pipelines.cli import options as cli_options
from pipelines.cli import results, running
from pipelines.cli.command import flags, group, positional
from pipelines.cli.options import RepositoryOptions, RunOptions
from pipelines.engines.local.nodes import RunResult


@flags
class CheckOptions(RepositoryOptions):
    """What to check, and how."""

    repo: str = positional("address or folder of a Git repository; default: examples", default="")
    run: RunOptions = group(RunOptions)


def run(options: CheckOptions) -> int:
    """Try what a commit declares, as for a pull request: images that are not published are built, children on their
    parents, and charts are linted and rendered. Nothing is published, and no secret but a login for reading is used.

    example: shipway check https://git.example.com/team/shop.git --revision refs/pull/12/head
    """
    result, _ = running.run_template(
        options.run,
        "check",
        options.repo,
        {"revision": options.revision},
        needs=lambda settings: cli_options.require_registry(settings, "compare with", "give --registry"),
    )
    return running.report(options.run.follow, result, lambda ended: _object(options, ended), _print)


def _object(options: CheckOptions, result: RunResult) -> dict[str, Any]:
    summary = results.verdict(result)
    return {
        "repo": options.repo or str(running.EXAMPLES),
        "revision": options.revision,
        **results.ending(result),
        "commit": summary.get("commit", ""),
        "verdict": summary.get("verdict", ""),
        "parts": summary.get("parts", []),
        "left_out": summary.get("left_out", 0),
        "logs": str(result.folder / "logs"),
    }


def _print(check: Mapping[str, Any]) -> None:
    sys.stdout.write(f"\n{check['repo']} {check['revision']}\n\n")
    results.show_parts(check)
    seconds = f"{check['phase']} in {check['seconds']:.1f} s"
    sys.stdout.write(f"\n{seconds}: {check['verdict'] or check['message']}; logs: {check['logs']}\n")
