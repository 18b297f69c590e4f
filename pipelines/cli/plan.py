"""`shipway plan`: what would be built and released for a commit, and why."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.charts.registry_state import ChartSettings
from pipelines.cli import options
from pipelines.declared.finding import ERROR, Finding
from pipelines.errors import Misconfigured, Misuse, Refused, Transient
from pipelines.images import build as image_build
from pipelines.images import platforms
from pipelines.images.key import RebuildPolicy
from pipelines.images.layers import layer as layer_layer
from pipelines.images.model import BUILD, NOTHING, RELEASE, TAG, PlannedImage
from pipelines.images.node import BuildTarget
from pipelines.images.registry_reader import RegistryReader
from pipelines.release import mermaid, planning
from pipelines.release.model import STUCK, Plan, PlannedChart
from pipelines.release.planning import Destination, PlanRequest
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.connection import Timing

TO_DO = 10
"""Exit code where something is to be done; none of the errors' codes."""
_ATTEMPTS = 3
"""Who plans by hand waits less than a run does."""
_ALIKE = 3
"""Findings of one text that are printed."""
_COLOURS = {BUILD: "33", TAG: "33", RELEASE: "33", "blocked": "31", "different": "31", "unknown": "35"}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = (
        "Compare what a Git repository declares at one commit with what the registries hold, and print the smallest set of "
        "builds and releases that brings them in step, each with its reason. Nothing is changed. Without a repository, the "
        "examples are planned; without settings, for the registry of this machine."
    )
    parser.epilog = (
        "example: shipway plan https://git.example.com/team/shop.git@main\n\n"
        "exit codes: 0 nothing to do, 10 something to do, 3 blocked by a finding, 75 a registry did not answer"
    )
    options.source(parser)
    parser.add_argument("--platform", default="", help="platform to build for (default: this machine's)")
    parser.add_argument(
        "--max-age", default="", metavar="AGE", help="age of images that shipway.yaml gives none: 12h, 7d, 4w"
    )
    parser.add_argument(
        "--rebuild",
        action="append",
        default=[],
        metavar="NAME|FOLDER",
        help="build this image again though nothing changed, or '*' for all; may be repeated",
    )
    options.settings(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the plan as one JSON object")
    form.add_argument("--graph", action="store_true", help="print the graph as a Mermaid flowchart")


def run(given: argparse.Namespace) -> int:
    """Print the plan and return what it comes to."""
    settings = options.read_settings(given, embedded=True)
    if not settings.get("registry"):
        raise Misconfigured("no registry to compare with", seen="settings without one", todo="give --registry")
    repo, revision = source(given.repo, given.revision)
    url = RepositoryUrl(repo or _examples(given.state, settings))
    builder = settings.get("builder", "buildah")
    cache = Path(settings["cache"]) / builder
    target = BuildTarget(
        platform=platforms.read_platform(given.platform),
        builder=builder,
        builder_version=image_build.choose_builder(builder, settings.get("buildkit-host", ""), cache).version(),
        compression=layer_layer.check(settings.get("compression", "zstd")),
        build_args=planning.arguments(given.build_arg),
    )
    now = int(time.time())
    with Git(GitCredentials.read(options.secret(settings, "shipway-git")), ca_file=options.ca_file(settings)) as git:
        request = PlanRequest(
            url=url,
            resolved=git.resolve(url, Revision(revision)),
            target=target,
            rebuilds=RebuildPolicy(now=now, max_age=planning.age(given.max_age)),
            rebuild=tuple(given.rebuild),
        )
        if dirty := git.uncommitted(url):
            sys.stderr.write(f"shipway: {dirty} uncommitted files of {url} are not part of the plan\n")
        plan = planning.plan(git, request, place(settings))
    planning.require_named(given.rebuild, plan)
    if given.json:
        sys.stdout.write(json.dumps({"verdict": _verdict(plan), **vars(plan)}, default=vars) + "\n")
    elif given.graph:
        sys.stdout.write(mermaid.flowchart(plan))
        sys.stderr.writelines(f"{finding}\n" for finding in plan.findings)
    else:
        _print(plan)
    return exit_code(plan)


def place(settings: dict[str, str]) -> Destination:
    """Return where the settings publish to; raises Misconfigured."""
    docker_config = options.secret(settings, "shipway-pull")
    client = registry_client.connect(
        docker_config,
        plain_http=settings.get("plain-http", ""),
        mirrors=settings.get("mirrors", ""),
        ca_file=settings.get("ca-file", ""),
        timing=Timing(attempts=_ATTEMPTS),
    )
    keys = ("registry", "project", "chart-registry", "chart-hosts", "plain-http", "ca-file")
    return Destination(
        reader=RegistryReader(client=client, registry=settings["registry"], project=settings.get("project", "")),
        charts=ChartSettings(**{key.replace("-", "_"): settings.get(key, "") for key in keys}),
        docker_config=docker_config,
    )


def exit_code(plan: Plan) -> int:
    """Return what a plan comes to: what keeps a run from being whole goes first."""
    if plan.blocked:
        return Refused.exit_code
    if plan.unknown:
        return Transient.exit_code
    return TO_DO if plan.to_do else 0


def source(repo: str, revision: str) -> tuple[str, str]:
    """Return address and revision of `REPO@REVISION`, where the @ is not the address's own; raises Misuse for two revisions."""
    address, at, found = repo.rpartition("@")
    start = repo.find("://") + 3 if "://" in repo else 0
    path = repo.find("/", start) if start else repo.find(":")
    if not at or Path(repo).exists() or (path >= 0 and len(address) < path) or (start and path < 0):
        return repo, revision
    if revision != "HEAD":
        raise Misuse("the revision is given twice", seen=f"{found} and {revision}", todo="give it once")
    return address, found


def _examples(state: Path, settings: dict[str, str]) -> str:
    from pipelines.cli import repository  # noqa: PLC0415 - brings the engine with it

    return repository.examples(state, settings)


def _verdict(plan: Plan) -> str:
    return {0: "nothing", TO_DO: "to-do", Refused.exit_code: "blocked", Transient.exit_code: "unknown"}[exit_code(plan)]


def _print(plan: Plan) -> None:
    write = sys.stdout.write
    write(f"{plan.repo} {plan.ref or ''} at {plan.commit}\n\n".replace("  ", " "))
    rows = [("", "what", "state", "action", "reason")] + [_row(item) for item in plan.everything]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for row in rows if len(rows) > 1 else ():
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)) + f"  {row[4]}"
        code = _COLOURS.get(row[3]) or _COLOURS.get(row[2])
        write(f"\033[{code}m{line.rstrip()}\033[0m\n" if colour and code else f"{line.rstrip()}\n")
    if plan.findings:
        write("\n" * bool(plan.everything))
        sys.stdout.writelines(f"{line}\n" for line in told(plan.findings))
    write(f"\n{_summary(plan)}\n")


def told(findings: Sequence[Finding]) -> Iterator[str]:
    """Give the findings a line each, but those that say the same of many places only a few times: the JSON has all of them."""
    alike = Counter((finding.rule, finding.text) for finding in findings)
    seen: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        same = finding.rule, finding.text
        seen[same] += 1
        if seen[same] <= _ALIKE:
            yield str(finding)
        elif seen[same] == alike[same]:
            yield f"… and {alike[same] - _ALIKE} more places: {finding.text} [{finding.rule}]"


def _row(item: PlannedImage | PlannedChart) -> tuple[str, str, str, str, str]:
    reason = "; ".join(item.reasons)
    action = "" if item.action == NOTHING else item.action
    if isinstance(item, PlannedImage):
        return "image", item.name, item.state, action, reason
    return "chart", f"{item.name} {item.version}", item.state, action, reason


def _summary(plan: Plan) -> str:
    counts = {action: sum(item.action == action for item in plan.everything) for action in (BUILD, TAG, RELEASE)}
    parts = [
        f"{counts[BUILD]} to build in {len(plan.waves)} wave{'s' * (len(plan.waves) > 1)}" if counts[BUILD] else "",
        f"{counts[TAG]} to tag" if counts[TAG] else "",
        f"{counts[RELEASE]} chart{'s' * (counts[RELEASE] > 1)} to release" if counts[RELEASE] else "",
    ]
    stuck = sum(item.state in STUCK for item in plan.everything)
    errors = sum(finding.level == ERROR for finding in plan.findings)
    parts += [f"{stuck} blocked" if stuck else "", f"{plan.unknown} unknown" if plan.unknown else ""]
    parts += [f"{errors} error{'s' * (errors > 1)}" if errors else ""]
    return ", ".join(filter(None, parts)) or "nothing to do"
