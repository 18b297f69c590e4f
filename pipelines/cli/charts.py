"""`shipway charts`: the charts of a repository, checked, and published where the registry does not have them."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

from pipelines.cli import failures, options, repository, running
from pipelines.engines.local.nodes import RunResult
from pipelines.errors import Misconfigured

TEMPLATE = "chart-release"
_MOST_LINES = 200


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = (
        "Release the Helm charts of a Git repository at one commit: each is checked, packed the same everywhere, and pushed "
        "unless the registry has it; a published version is never overwritten. Without a repository, the charts of the "
        "examples are released; without settings, into a registry of this machine."
    )
    parser.epilog = "example: shipway charts https://git.example.com/team/charts.git --revision v1.2.0 --version 1.2.0"
    parser.add_argument("repo", nargs="?", default="", help="address or folder of a Git repository")
    parser.add_argument(
        "--revision", default="HEAD", help="branch, tag, full commit id or refs/pull/N/head (default: HEAD)"
    )
    alone(parser)
    options.settings(parser)
    options.running(parser)


def alone(parser: argparse._ActionsContainer) -> None:
    """Declare what can be said about charts only."""
    parser.add_argument("--version", default="", help="version of every chart (default: what each Chart.yaml says)")
    parser.add_argument("--app-version", default="", help="appVersion of every chart (default: as Chart.yaml says)")
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="PATTERN",
        help="leave out the charts of a folder; may be repeated",
    )
    parser.add_argument(
        "--library",
        action="append",
        default=[],
        metavar="NAME",
        help="publish this library chart too, or '*' for all; may be repeated",
    )


def run(given: argparse.Namespace) -> int:
    """Release, and print what is in the registry now."""
    options.check_engine(given)
    arguments = {"revision": given.revision, "version": given.version, "app-version": given.app_version}
    arguments |= {"ignore": json.dumps(given.ignore), "libraries": json.dumps(given.library)}
    if given.engine == "argo":
        outcome, settings = running.on_cluster(
            given, TEMPLATE, {"repo": repository.on_cluster(given.repo), **arguments}
        )
    else:
        outcome, settings = _here(given, arguments)
    if outcome is None:
        return 0 if given.detach else running.LEFT
    if given.json:
        sys.stdout.write(json.dumps(_object(given, outcome), indent=2) + "\n")
    else:
        _print(_object(given, outcome), settings)
    return running.exit_code(outcome)


def _here(given: argparse.Namespace, arguments: Mapping[str, str]) -> tuple[RunResult, Mapping[str, str]]:
    settings = options.read_settings(given, embedded=True)
    if not settings.get("registry") and not settings.get("chart-registry"):
        raise Misconfigured(
            "no registry to publish to", seen="settings without one", todo="set `registry`, or give --registry"
        )
    repo = repository.here(given.repo or repository.examples(given.state, settings))
    return running.run(given, settings, TEMPLATE, {"repo": repo, **arguments}), settings


def of(outputs: Mapping[str, str]) -> dict[str, Any]:
    """Return what a run of chart-release put out, as plain values."""
    return {
        "charts": json.loads(outputs.get("charts", "[]")),
        "pushed": int(outputs.get("pushed", "0")),
        "bytes": int(outputs.get("bytes", "0")),
    }


def show(told: Mapping[str, Any], settings: Mapping[str, str]) -> None:
    """Print where each chart is."""
    for chart in told["charts"]:
        place = chart["reference"].partition("@")[0]
        plain = " --plain-http" if place.split("/", 1)[0] in settings.get("plain-http", "").split(",") else ""
        sys.stdout.write(
            f"\n{chart['name']} {chart['version']}: {chart['state']}\n"
            f"  {chart['reference']}\n"
            f"  try  helm install {chart['name']} oci://{place} --version {chart['version']}{plain}\n"
        )


def counted(told: Mapping[str, Any]) -> str:
    """Return how many charts were pushed, in words."""
    return f"{told['pushed']} {'chart' if told['pushed'] == 1 else 'charts'}"


def _object(given: argparse.Namespace, outcome: RunResult) -> dict[str, Any]:
    outputs = outcome.outputs
    failed = failures.last(outcome.root)
    return {
        "repo": given.repo or str(repository.EXAMPLES),
        "revision": given.revision,
        "commit": outputs.get("commit", ""),
        "phase": str(outcome.phase),
        "message": outcome.root.reason,
        "seconds": round(outcome.root.finished - outcome.root.started, 2),
        **of(outputs),
        "logs": str(outcome.folder / "logs"),
        **({"error": failures.error(failed.log, most_lines=_MOST_LINES)} if failed and failed.log else {}),
    }


def _print(told: Mapping[str, Any], settings: Mapping[str, str]) -> None:
    write = sys.stdout.write
    write(f"\n{told['repo']} {told['revision']}" + (f" at {told['commit']}\n" if told["commit"] else "\n"))
    show(told, settings)
    if problem := told.get("error") or ("" if told["phase"] == "Succeeded" else told["message"]):
        write("\n" + textwrap.indent(problem, "  ") + "\n")
    write(
        f"\n{told['phase']} in {told['seconds']:.1f} s: {counted(told)} pushed ({told['bytes']} bytes), "
        f"{len(told['charts']) - told['pushed']} identical with what is published; logs: {told['logs']}\n"
    )
    if told["charts"] and not shutil.which("helm"):
        write("(helm is not on PATH; `make tools` builds it into ~/.cache/shipway/tools/bin)\n")
