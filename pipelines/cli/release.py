"""`shipway release`: images, charts and deployments of one commit, whatever of them is not there yet."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.cli import charts, deploy, results, running
from pipelines.cli import options as cli_options
from pipelines.cli.charts import ChartsOptions, OnlyChartsOptions
from pipelines.cli.command import flags, group, repeated
from pipelines.cli.options import RepositoryOptions, RunOptions
from pipelines.engines.local.nodes import Node, NodeKind, RunResult
from pipelines.errors import Misuse

_MOST_LINES = 200
_TASKS = ("charts", "retag", "deploy")
"""Tasks beside the builds whose failure the verdict reports without its reason."""


@flags
class ReleaseOptions(RepositoryOptions):
    """What to release, and how."""

    rebuild: tuple[str, ...] = repeated(
        "build this image again though nothing changed, or '*' for all; may be repeated", metavar="NAME|FOLDER"
    )
    run: RunOptions = group(RunOptions)
    charts: OnlyChartsOptions = group(
        OnlyChartsOptions,
        "charts alone",
        "with any of these nothing but the charts is released, as `shipway charts` does",
    )


def run(options: ReleaseOptions) -> int:
    """Bring what a commit declares into the registry and the environments: images are built in waves, charts released,
    tags and deployments moved, and what is there already is left alone, so that a second run does nothing. Without a
    repository, the examples are released; without settings, into a registry of this machine.

    example: shipway release https://git.example.com/team/shop.git --revision main --rebuild base
    """
    if any(vars(options.charts).values()):
        if options.rebuild:
            raise Misuse("--rebuild is about images", seen="flags of a release of charts alone", todo="leave one out")
        return charts.run(
            ChartsOptions(repo=options.repo, revision=options.revision, charts=options.charts, run=options.run)
        )
    result, settings = running.run_template(
        options.run,
        "release",
        options.repo,
        {"revision": options.revision, "rebuild": json.dumps(options.rebuild)},
        needs=lambda settings: cli_options.require_registry(
            settings, "publish to", "set `registry`, or give --registry"
        ),
    )
    return running.report(
        options.run.follow, result, lambda ended: _object(options, ended), lambda release: _print(release, settings)
    )


def _object(options: ReleaseOptions, result: RunResult) -> dict[str, Any]:
    nodes = {node.display_name: node for node in result.root.walk()}
    summary = results.verdict(result)
    return {
        "repo": options.repo or str(running.EXAMPLES),
        "revision": options.revision,
        "commit": result.outputs.get("commit") or _planned(nodes).get("commit", ""),
        "phase": str(result.phase),
        "verdict": result.outputs.get("verdict") or summary.get("verdict", ""),
        "parts": summary.get("parts", []),
        "left_out": summary.get("left_out", 0),
        **results.ending(result),
        "images": {name: results.of_image(node) for name, node in _builds(nodes)},
        **charts.of(nodes["charts"].outputs if "charts" in nodes else {}),
        "targets": json.loads(nodes["deploy"].outputs.get("targets", "[]")) if "deploy" in nodes else [],
        "failed": {
            name: results.of_image(nodes[name]) for name in _TASKS if name in nodes and nodes[name].phase.is_bad
        },
        "logs": str(result.folder / "logs"),
        **results.failure(result.root, most_lines=_MOST_LINES),
    }


def _planned(nodes: Mapping[str, Node]) -> Mapping[str, str]:
    """Return the outputs of the plan that was carried out, or of the first one, or nothing."""
    outputs = (nodes[name].outputs for name in ("plan", "start") if name in nodes)
    return next(filter(None, outputs), {})


def _builds(nodes: Mapping[str, Node]) -> Iterator[tuple[str, Node]]:
    """Yield name and node of each image that the plan wanted built."""
    for wave, jobs in _planned(nodes).items():
        if wave.startswith("wave-") and wave in nodes and nodes[wave].kind is NodeKind.TASK_GROUP:
            for job, node in zip(json.loads(jobs), nodes[wave].items, strict=False):
                yield job["name"], node


def _print(release: Mapping[str, Any], settings: Mapping[str, str]) -> None:
    charts.show_head(release)
    results.show_images(release["images"], settings)
    charts.show(release, settings)
    deploy.show(release["targets"])
    results.show_images(release["failed"], settings)
    if release["parts"]:
        sys.stdout.write("\n")
    results.show_parts(release)
    charts.show_problem(release)
    built = sum("reference" in image for image in release["images"].values())
    parts = [f"{built} of {len(release['images'])} images built", f"{charts.counted(release)} pushed"]
    done = ", ".join(filter(None, [*parts, release["verdict"]]))
    sys.stdout.write(f"\n{release['phase']} in {release['seconds']:.1f} s: {done}; logs: {release['logs']}\n")
