"""`shipway charts`: the charts of a repository, checked, and published if the registry does not have them."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

from pipelines.cli import options as cli_options
from pipelines.cli import results, running
from pipelines.cli.command import flag, flags, group, repeated
from pipelines.cli.options import RepositoryOptions, TemplateOptions
from pipelines.engines.local.nodes import RunResult

_MOST_LINES = 200


@flags
class OnlyChartsOptions:
    """What can be said about charts only."""

    version: str = flag("version of every chart (default: what each Chart.yaml says)")
    app_version: str = flag("appVersion of every chart (default: as Chart.yaml says)")
    ignore: tuple[str, ...] = repeated("leave out the charts of a folder; may be repeated", metavar="PATTERN")
    library: tuple[str, ...] = repeated(
        "publish this library chart too, or '*' for all; may be repeated", metavar="NAME"
    )


@flags
class ChartsOptions(RepositoryOptions, TemplateOptions):
    """Which charts to release, and how."""

    keep_going: bool = cli_options.keep_going()
    charts: OnlyChartsOptions = group(OnlyChartsOptions)


def run(options: ChartsOptions) -> int:
    """Release the Helm charts of a Git repository at one commit: each is checked, packed the same everywhere, and
    pushed unless the registry has it; a published version is never overwritten. Without settings, that is a registry of
    this machine.

    example: shipway charts https://git.example.com/team/charts.git --revision v1.2.0 --version 1.2.0
    """
    charts = options.charts
    arguments = {"revision": options.revision, "version": charts.version, "app-version": charts.app_version}
    arguments["keep-going"] = json.dumps(options.keep_going)
    arguments |= {"ignore": json.dumps(charts.ignore), "libraries": json.dumps(charts.library)}
    needs = (*running.PUBLISH, "chart-registry")
    return running.run_template(options, "chart-release", arguments, _describe, _print, needs=needs)


def of(outputs: Mapping[str, str]) -> dict[str, Any]:
    """Return the outputs of a run of chart-release as plain values."""
    return {
        "charts": json.loads(outputs.get("charts", "[]")),
        "pushed": int(outputs.get("pushed", "0")),
        "bytes": int(outputs.get("bytes", "0")),
    }


def show(release: Mapping[str, Any], settings: Mapping[str, str]) -> None:
    """Print where each chart is."""
    for chart in release["charts"]:
        reference = chart["reference"].partition("@")[0]
        plain = " --plain-http" if reference.split("/", 1)[0] in settings.get("plain-http", "").split(",") else ""
        sys.stdout.write(
            f"\n{chart['name']} {chart['version']}: {chart['state']}\n"
            f"  {chart['reference']}\n"
            f"  try  helm install {chart['name']} oci://{reference} --version {chart['version']}{plain}\n"
        )


def counted(release: Mapping[str, Any]) -> str:
    """Return how many charts were pushed, in words."""
    return f"{release['pushed']} {'chart' if release['pushed'] == 1 else 'charts'}"


def show_head(release: Mapping[str, Any]) -> None:
    """Print the repository, its revision and its commit."""
    commit = f" at {release['commit']}" if release["commit"] else ""
    sys.stdout.write(f"\n{release['repo']} {release['revision']}{commit}\n")


def show_problem(release: Mapping[str, Any]) -> None:
    """Print the error of a release, or the message of one that did not succeed."""
    if problem := results.problem(release):
        sys.stdout.write("\n" + textwrap.indent(problem, "  ") + "\n")


def _describe(options: ChartsOptions, result: RunResult) -> dict[str, Any]:
    return {
        "repo": options.repo,
        "revision": options.revision,
        "commit": result.outputs.get("commit", ""),
        **results.ending(result),
        **of(result.outputs),
        "logs": str(result.folder / "logs"),
        **results.failure(result.root, most_lines=_MOST_LINES),
    }


def _print(release: Mapping[str, Any], settings: Mapping[str, str]) -> None:
    show_head(release)
    show(release, settings)
    show_problem(release)
    sys.stdout.write(
        f"\n{release['phase']} in {release['seconds']:.1f} s: {counted(release)} pushed ({release['bytes']} bytes), "
        f"{len(release['charts']) - release['pushed']} identical with what is published; logs: {release['logs']}\n"
    )
