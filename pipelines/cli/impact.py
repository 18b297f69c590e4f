"""`shipway impact`: what a commit changes in the applications of every environment, rendered without a cluster."""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.cli import options
from pipelines.impact import compare as page
from pipelines.impact.gather import EVERYBODY, impact_gather
from pipelines.impact.impact import bounded, impact_of
from pipelines.impact.model import Gathered, Impact
from pipelines.step import signature


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = (
        "Render every application that a commit touches, as it is and as it would be, and print the difference. For a repository "
        "with charts these are the applications of the environments repository that use a chart which differs; for the environments "
        "repository itself, those whose own files differ; what is not committed does not count. Secrets are masked; labels of versions, checksums and order are no change. "
        "No cluster is asked."
    )
    parser.epilog = "example: shipway impact . --revision feature --base main --settings settings.yaml"
    parser.add_argument(
        "repo", nargs="?", default=".", help="address or folder of a Git repository (default: this folder)"
    )
    parser.add_argument("--revision", default="HEAD", help="branch, tag or full commit id (default: HEAD)")
    parser.add_argument(
        "--base",
        default="",
        help="branch, tag or commit to compare with, from the last commit that both have (default: HEAD)",
    )
    parser.add_argument(
        "--environments", default="", metavar="REPO", help="the environments repository, in place of the settings'"
    )
    options.settings(parser)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(given: argparse.Namespace) -> int:
    """Print the difference."""
    settings = options.read_settings(given, embedded=True)
    with tempfile.TemporaryDirectory(prefix="shipway-impact-") as work, ThreadPoolExecutor(max_workers=1) as beside:
        folder = Path(work) / "impact"
        helm = bounded(Path(work) / "helm")
        version = beside.submit(helm.version)  # a twentieth of a second, in which gathering waits for Git
        gathered = impact_gather(
            repo=given.repo,
            revision=given.revision,
            base=given.base,
            credentials=options.secret(settings, "shipway-git"),
            docker_config=options.secret(settings, "shipway-pull"),
            folder=folder,
            shown_to=EVERYBODY,
            environments_repository=given.environments or settings.get("environments", ""),
            environments_branch="" if given.environments else settings.get("environments-branch", ""),
            registry=settings.get("registry", ""),
            project=settings.get("project", ""),
            chart_registry=settings.get("chart-registry", ""),
            chart_hosts=settings.get("chart-hosts", ""),
            plain_http=settings.get("plain-http", ""),
            ca_file=settings.get("ca-file", ""),
        )
        if gathered.commit == gathered.base:
            sys.stderr.write(
                f"{gathered.commit} is compared with itself: name another commit with --revision or --base\n"
            )
        kept = Path(settings["cache"]) / "rendered"
        found = impact_of(gathered, helm, version.result(), folder=folder, kept=kept)
    if given.json:
        sys.stdout.write(signature.text_of(found) + "\n")
    else:
        sys.stdout.write(_terminal(gathered, found))
    return 0


def _terminal(gathered: Gathered, found: Impact) -> str:
    """Return every difference as text for a terminal, in full."""
    lines = [found.markdown.splitlines()[0].replace("*", "")]
    lines += [str(finding) for finding in gathered.findings]
    for item in found.impact:
        versions = item.after if item.before == item.after else f"{item.before or 'new'} → {item.after or 'gone'}"
        lines.append(f"\n{item.environment}/{item.application}: {item.chart} {versions}")
        if item.fault:
            lines.append(
                f"  cannot be rendered{', nor could it before' if item.was_broken else ' any more'}: {item.fault}"
            )
        for change in item.changes:
            lines.append(f"  {page.WORDS[change.action]} {change.name}")
            lines += [f"    {line}" for line in change.diff.splitlines()]
    return "\n".join(lines) + "\n"
