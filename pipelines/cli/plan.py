"""`shipway plan`: the builds and releases that a commit needs, and why."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipelines.charts.model import PlannedChart
from pipelines.cli import json_output, repository, secrets
from pipelines.cli import options as cli_options
from pipelines.cli.command import flag, flags, group, switch
from pipelines.cli.options import SettingsOptions, SourceOptions
from pipelines.declared.finding import ERROR, Finding
from pipelines.declared.state import BUILD, NOTHING, RELEASE, TAG, PlanRow
from pipelines.errors import Misuse, Refused, Transient
from pipelines.images.builders.choice import choose_builder
from pipelines.images.builders.choice import target as builder_target
from pipelines.images.key import RebuildPolicy
from pipelines.images.layers import layer as image_layer
from pipelines.images.node import BuildTarget
from pipelines.release import mermaid, plan_commit
from pipelines.release.model import STUCK, Plan
from pipelines.release.plan_commit import Destination, PlanRequest
from pipelines.step import signature
from pipelines.step.groups import ChartSettings, TargetSettings
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.registry.connection import Timing

TO_DO = 10
"""Exit code if something is to be done; no error has it."""
_ATTEMPTS = 3
"""A person who plans waits less than a run does."""
_ALIKE = 3
"""How many findings with the same text are printed."""
_COLOURS = {BUILD: "33", TAG: "33", RELEASE: "33", "blocked": "31", "different": "31", "unknown": "35"}


@flags
class PlanOptions(SourceOptions):
    """What to plan, and how to print it."""

    platform: str = flag("platform to build for (default: this machine's)")
    max_age: str = flag("age of images that shipway.yaml gives none: 12h, 7d, 4w", metavar="AGE")
    rebuild: tuple[str, ...] = cli_options.rebuild()
    settings: SettingsOptions = group(SettingsOptions)
    json: bool = switch("print the plan as one JSON object", exclusive=True)
    graph: bool = switch("print the graph as a Mermaid flowchart", exclusive=True)


def run(options: PlanOptions) -> int:
    """Compare what a Git repository declares at one commit with what the registries hold, and print the smallest set of
    builds and releases that brings them in step, each with its reason. Nothing is changed. Without settings, the
    registry of this machine is meant.

    example: shipway plan https://git.example.com/team/shop.git@main

    exit codes: 0 nothing to do, 10 something to do, 3 blocked by a finding, 75 a registry did not answer
    """
    repo, revision = source(options.repo, options.revision)
    repo = repository.named(repo, examples=options.examples)
    settings = cli_options.read_settings(options.settings, embedded=True, examples=options.examples)
    cli_options.require_registry(settings, "compare with", "give --registry")
    url = RepositoryUrl(repo or repository.examples(options.settings.state, settings))
    target = build_target(settings, options.platform, options.build_arg)
    now = int(time.time())
    with cli_options.git(settings) as git:
        request = PlanRequest(
            url=url,
            resolved=git.resolve(url, Revision(revision)),
            target=target,
            rebuilds=RebuildPolicy(now=now, max_age=plan_commit.age(options.max_age)),
            rebuild=tuple(options.rebuild),
        )
        if dirty := git.uncommitted(url):
            sys.stderr.write(f"shipway: {dirty} uncommitted files of {url} are not part of the plan\n")
        plan = plan_commit.plan(git, request, destination(settings))
    plan_commit.require_named(options.rebuild, plan)
    if options.json:
        json_output.write({"verdict": _verdict(plan), **vars(plan)})
    elif options.graph:
        sys.stdout.write(mermaid.flowchart(plan))
        sys.stderr.writelines(f"{finding}\n" for finding in plan.findings)
    else:
        _print(plan)
    return exit_code(plan)


def build_target(settings: Mapping[str, str], platform: str, build_args: Sequence[str]) -> BuildTarget:
    """Return what the settings build for, with this machine's builder; raises Misuse, Misconfigured."""
    builder = signature.from_settings(TargetSettings, settings)
    image_layer.check(builder.compression)
    program = choose_builder(builder, Path(settings["cache"]) / builder.builder)
    return builder_target(builder, program, platform=platform, build_args=plan_commit.arguments(build_args))


def destination(settings: Mapping[str, str], login: str = "shipway-pull") -> Destination:
    """Return the registries that the settings publish to; raises Misconfigured."""
    chart_settings = signature.from_settings(ChartSettings, settings)
    return Destination.connect(chart_settings, secrets.secret(settings, login), timing=Timing(attempts=_ATTEMPTS))


def exit_code(plan: Plan) -> int:
    """Return 3 if a plan is blocked, 75 if something is unknown, 10 if something is to do, else 0."""
    if plan.blocked:
        return Refused.exit_code
    if plan.unknown:
        return Transient.exit_code
    return TO_DO if plan.to_do else 0


def source(repo: str, revision: str) -> tuple[str, str]:
    """Return address and revision of `REPO@REVISION`; raises Misuse if the revision is given twice."""
    address, at, suffix = repo.rpartition("@")
    start = repo.find("://") + 3 if "://" in repo else 0
    path = repo.find("/", start) if start else repo.find(":")
    if not at or Path(repo).exists() or (path >= 0 and len(address) < path) or (start and path < 0):
        return repo, revision
    if revision != "HEAD":
        raise Misuse("the revision is given twice", seen=f"{suffix} and {revision}", todo="give it once")
    return address, suffix


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
        sys.stdout.writelines(f"{line}\n" for line in finding_lines(plan.findings))
    write(f"\n{_summary(plan)}\n")


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield a line for each finding, but only a few of those with the same text: the JSON has all of them."""
    alike = Counter((finding.rule, finding.text) for finding in findings)
    seen: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        same = finding.rule, finding.text
        seen[same] += 1
        if seen[same] <= _ALIKE:
            yield str(finding)
        elif seen[same] == alike[same]:
            yield f"… and {alike[same] - _ALIKE} more places: {finding.text} [{finding.rule}]"


def _row(item: PlanRow) -> tuple[str, str, str, str, str]:
    action = "" if item.action == NOTHING else item.action
    kind, name = ("chart", f"{item.name} {item.version}") if isinstance(item, PlannedChart) else ("image", item.name)
    return kind, name, item.state, action, "; ".join(item.reasons)


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
