"""`shipway release`, `check` and `deploy`: images, charts and deployments of one commit, published or tried."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from pipelines.cli import charts, results, running
from pipelines.cli import options as cli_options
from pipelines.cli.charts import ChartsOptions, OnlyChartsOptions
from pipelines.cli.command import flag, flags, group
from pipelines.cli.options import BuildRunOptions, RepositoryOptions, TemplateOptions
from pipelines.engines.local.nodes import Node, NodeKind, RunResult
from pipelines.errors import Misuse
from pipelines.release import failure
from pipelines.release.result import RELEASED, SKIPPED, PartResult
from pipelines.step import results as step_results
from pipelines.step import texts

_MOST_LINES = 200
_TASKS = ("charts", "retag", "deploy")
"""Tasks beside the builds whose failure the verdict reports without its reason."""


@flags
class ReleaseOptions(RepositoryOptions, TemplateOptions):
    """What to release, and how."""

    rebuild: tuple[str, ...] = cli_options.rebuild()
    keep_going: bool = cli_options.keep_going()
    run: BuildRunOptions = group(BuildRunOptions)
    charts: OnlyChartsOptions = group(
        OnlyChartsOptions,
        "charts alone",
        "with any of these nothing but the charts is released, as `shipway charts` does",
    )


def release(options: ReleaseOptions) -> int:
    """Bring what a commit declares into the registry and the environments: images are built in waves, charts released,
    tags and deployments moved, and what is there already is left alone, so that a second run does nothing. Without
    settings, that is a registry of this machine.

    example: shipway release https://git.example.com/team/shop.git --revision main --rebuild base
    """
    if any(vars(options.charts).values()):
        if options.rebuild:
            raise Misuse("--rebuild is about images", seen="flags of a release of charts alone", todo="leave one out")
        own = {name: value for name, value in vars(options).items() if name != "rebuild"}
        return charts.run(ChartsOptions(**own))
    arguments = {"revision": options.revision, "rebuild": json.dumps(options.rebuild)}
    arguments["keep-going"] = json.dumps(options.keep_going)
    return running.run_template(options, "release", arguments, _describe, _print, needs=running.PUBLISH)


@flags
class CheckOptions(RepositoryOptions, TemplateOptions):
    """What to check, and how."""

    run: BuildRunOptions = group(BuildRunOptions)


def check(options: CheckOptions) -> int:
    """Try what a commit declares, as for a pull request: images that are not published are built, children on their
    parents, and charts are linted and rendered. Nothing is published, and no secret but a login for reading is used.

    example: shipway check https://git.example.com/team/shop.git --revision refs/pull/12/head
    """
    needs = ("compare with", "give --registry")
    arguments = {"revision": options.revision}
    return running.run_template(options, "check", arguments, _describe_check, _print_check, needs=needs)


@flags
class DeployOptions(TemplateOptions):
    """What to deploy, and where."""

    branch: str = flag("whose head is deployed (default: the one that shipway.yaml says)")
    environment: str = flag("this one only, or `charts` (default: all of shipway.yaml)", metavar="NAME")


def deploy(options: DeployOptions) -> int:
    """Write digests and tags of a branch's published images where shipway.yaml says: into the values of the
    repository's own charts, whose versions move, and into environments. Nothing is built. What is up to date is
    not written again.

    example: shipway deploy https://git.example.com/team/shop.git --environment dev
    """
    ref = f"refs/heads/{options.branch}" if options.branch else ""
    arguments = {"ref": ref, "environment": options.environment}
    return running.run_template(
        options, "deploy", arguments, _describe_deploy, _print_deploy, needs=("ask", "set `registry`")
    )


def _describe(options: ReleaseOptions, result: RunResult) -> dict[str, Any]:
    # Tasks alone: the name of a container or an image may be that of a task.
    walked = (node for node in result.root.walk() if node.parent and node.parent.kind is NodeKind.DAG)
    nodes = {node.display_name: node for node in walked}
    summary, builds = results.verdict(result), dict(_builds(nodes))
    images = {name: results.of_image(node) for name, node in builds.items()}
    pods = {**builds, failure.CHARTS: nodes.get("charts"), failure.TAGS: nodes.get("retag")}
    words = {name: results.told(node) for name, node in pods.items() if node}
    told: tuple[PartResult, ...] = step_results.typed(tuple[PartResult, ...], summary.get("parts", []))
    parts = json.loads(step_results.text_of(failure.explained(told, words)))
    released = charts.of(nodes["charts"].outputs if "charts" in nodes else {})
    for part in parts:
        if part["result"] == SKIPPED and part["name"] in images:
            images[part["name"]]["message"] = f"{SKIPPED}: {part['why']}"
    return {
        "repo": options.repo,
        "revision": options.revision,
        "commit": result.outputs.get("commit") or _planned(nodes).get("commit", ""),
        "phase": str(result.phase),
        "verdict": result.outputs.get("verdict") or summary.get("verdict", ""),
        "parts": parts,
        "left_out": summary.get("left_out", 0),
        **results.ending(result),
        "images": images,
        **released,
        # A chart that a deployment moved is published by it.
        "pushed": max(released["pushed"], sum(part["result"] == RELEASED for part in parts)),
        "targets": json.loads(texts.shown(nodes["deploy"].outputs.get("targets", "[]"))) if "deploy" in nodes else [],
        "failed": {
            name: results.of_image(nodes[name]) for name in _TASKS if name in nodes and nodes[name].phase.is_bad
        },
        "logs": str(result.folder / "logs"),
        **results.failure(result.root, most_lines=_MOST_LINES),
    }


def _describe_check(options: CheckOptions, result: RunResult) -> dict[str, Any]:
    summary = results.verdict(result)
    return {
        "repo": options.repo,
        "revision": options.revision,
        **results.ending(result),
        "commit": summary.get("commit", ""),
        "verdict": summary.get("verdict", ""),
        "parts": summary.get("parts", []),
        "left_out": summary.get("left_out", 0),
        "logs": str(result.folder / "logs"),
        **({} if summary else results.failure(result.root)),
    }


def _describe_deploy(options: DeployOptions, result: RunResult) -> dict[str, Any]:
    return {
        "repo": options.repo,
        "commit": result.outputs.get("commit", ""),
        **results.ending(result),
        "targets": json.loads(texts.shown(result.outputs.get("targets", "[]"))),
        "summary": texts.shown(result.outputs.get("summary", "")),
        **results.failure(result.root),
    }


def _planned(nodes: Mapping[str, Node]) -> Mapping[str, str]:
    """Return the outputs of the plan that was carried out, or of the first one, or nothing."""
    outputs = (nodes[name].outputs for name in ("plan", "start") if name in nodes)
    return next(filter(None, outputs), {})


def _builds(nodes: Mapping[str, Node]) -> Iterator[tuple[str, Node | None]]:
    """Yield name and node of each image that the plan has built; None for one whose wave did not start."""
    planned = _planned(nodes)
    waves = [json.loads(planned.get("wave-1", "[]")), *json.loads(planned.get("later", "[]"))]
    for number, jobs in enumerate(waves, 1):
        if group := nodes.get(f"wave-{number}"):
            for job, node in zip_longest(jobs, group.items):
                yield job["name"], node


def _show_targets(targets: Sequence[Mapping[str, Any]]) -> None:
    """Print what was written to each target."""
    write = sys.stdout.write
    for target in targets:
        what = target["pull_request"] or (f"commit {target['commit']}" if target["commit"] else "up to date")
        write(f"\ndeployment to {target['name']}: {what}\n")
        for line in (*target["changes"], *target["kept"]):
            write(f"  {line}\n")


def _print(described: Mapping[str, Any], settings: Mapping[str, str]) -> None:
    charts.show_head(described)
    results.show_images(described["images"], settings)
    charts.show(described, settings)
    _show_targets(described["targets"])
    results.show_images(described["failed"], settings)
    if described["parts"]:
        sys.stdout.write("\n")
    results.show_parts(described)
    charts.show_problem(described)
    built = sum("reference" in image for image in described["images"].values())
    parts = [f"{built} of {len(described['images'])} images built", f"{charts.counted(described)} pushed"]
    done = ", ".join(filter(None, [*parts, described["verdict"]]))
    sys.stdout.write(f"\n{described['phase']} in {described['seconds']:.1f} s: {done}; logs: {described['logs']}\n")


def _print_check(described: Mapping[str, Any], _settings: Mapping[str, str]) -> None:
    sys.stdout.write(f"\n{described['repo']} {described['revision']}\n\n")
    results.show_parts(described)
    charts.show_problem(described)
    words = ": ".join(filter(None, (f"{described['seconds']:.1f} s", described["verdict"] or described["message"])))
    sys.stdout.write(f"\n{described['phase']} in {words}; logs: {described['logs']}\n")


def _print_deploy(deployment: Mapping[str, Any], _settings: Mapping[str, str]) -> None:
    _show_targets(deployment["targets"])
    if not deployment["targets"]:
        sys.stdout.write(f"\n{results.problem(deployment) or deployment['summary']}\n")
    sys.stdout.write(f"\n{deployment['phase']} in {deployment['seconds']:.1f} s\n")
