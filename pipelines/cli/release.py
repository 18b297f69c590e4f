"""`shipway release`: images, charts and deployments of one commit, whatever of them is not there yet."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.cli import charts, deploy, failures, image_results, options, outcomes, repository, running
from pipelines.engines.local.nodes import Node, NodeKind, RunResult
from pipelines.errors import Misconfigured, Misuse

TEMPLATE = "release"
_CHARTS_ALONE = ("version", "app_version", "ignore", "library")
_MOST_LINES = 200
_TASKS = ("charts", "retag", "deploy")
"""Tasks beside the builds whose failure the verdict tells without its reason."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = (
        "Bring what a commit declares into the registry and the environments: images are built in waves, charts released, "
        "tags and deployments moved, and what is there already is left alone, so that a second run does nothing. "
        "Without a repository, the examples are released; without settings, into a registry of this machine."
    )
    parser.epilog = "example: shipway release https://git.example.com/team/shop.git --revision main --rebuild base"
    parser.add_argument("repo", nargs="?", default="", help="address or folder of a Git repository")
    parser.add_argument(
        "--revision", default="HEAD", help="branch, tag, full commit id or refs/pull/N/head (default: HEAD)"
    )
    parser.add_argument(
        "--rebuild",
        action="append",
        default=[],
        metavar="NAME|FOLDER",
        help="build this image again though nothing changed, or '*' for all; may be repeated",
    )
    options.settings(parser)
    options.running(parser)
    charts.alone(
        parser.add_argument_group(
            "charts alone", "with any of these nothing but the charts is released, as `shipway charts` does"
        )
    )


def run(given: argparse.Namespace) -> int:
    """Release, and print what was done and what is there now."""
    if any(getattr(given, name) for name in _CHARTS_ALONE):
        if given.rebuild:
            raise Misuse("--rebuild is about images", seen="flags of a release of charts alone", todo="leave one out")
        return charts.run(given)
    options.check_engine(given)
    arguments = {"revision": given.revision, "rebuild": json.dumps(given.rebuild)}
    if given.engine == "argo":
        outcome, settings = running.on_cluster(
            given, TEMPLATE, {"repo": repository.on_cluster(given.repo), **arguments}
        )
    else:
        settings = options.read_settings(given, embedded=True)
        if not settings.get("registry"):
            raise Misconfigured(
                "no registry to publish to", seen="settings without one", todo="set `registry`, or give --registry"
            )
        repo = repository.here(given.repo or repository.examples(given.state, settings))
        outcome = running.run(given, settings, TEMPLATE, {"repo": repo, **arguments})
    if outcome is None:
        return 0 if given.detach else running.LEFT
    told = _object(given, outcome)
    if given.json:
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        _print(told, settings)
    return running.exit_code(outcome)


def _object(given: argparse.Namespace, outcome: RunResult) -> dict[str, Any]:
    nodes = {node.display_name: node for node in outcome.root.walk()}
    of_charts = nodes.get("charts")
    failed = failures.last(outcome.root)
    judged = outcomes.summary(outcome)
    return {
        "repo": given.repo or str(repository.EXAMPLES),
        "revision": given.revision,
        "commit": outcome.outputs.get("commit") or _planned(nodes).get("commit", ""),
        "phase": str(outcome.phase),
        "verdict": outcome.outputs.get("verdict") or judged.get("verdict", ""),
        "parts": judged.get("parts", []),
        "left_out": judged.get("left_out", 0),
        "message": outcome.root.reason,
        "seconds": round(outcome.root.finished - outcome.root.started, 2),
        "images": {name: image_results.of(node) for name, node in _builds(nodes)},
        **charts.of(of_charts.outputs if of_charts else {}),
        "targets": json.loads(nodes["deploy"].outputs.get("targets", "[]")) if "deploy" in nodes else [],
        "failed": {
            name: image_results.of(nodes[name]) for name in _TASKS if name in nodes and nodes[name].phase.is_bad
        },
        "logs": str(outcome.folder / "logs"),
        **({"error": failures.error(failed.log, most_lines=_MOST_LINES)} if failed and failed.log else {}),
    }


def _planned(nodes: Mapping[str, Node]) -> Mapping[str, str]:
    """Return the outputs of the plan that was carried out, or of the first one, or nothing."""
    found = (nodes[name].outputs for name in ("plan", "start") if name in nodes)
    return next((outputs for outputs in found if outputs), {})


def _builds(nodes: Mapping[str, Node]) -> Iterator[tuple[str, Node]]:
    """Give the node of each image that the plan wanted built, by the image's name."""
    for wave, jobs in _planned(nodes).items():
        if wave.startswith("wave-") and wave in nodes and nodes[wave].kind is NodeKind.TASK_GROUP:
            for job, node in zip(json.loads(jobs), nodes[wave].items, strict=False):
                yield job["name"], node


def _print(told: Mapping[str, Any], settings: Mapping[str, str]) -> None:
    write = sys.stdout.write
    write(f"\n{told['repo']} {told['revision']}" + (f" at {told['commit']}\n" if told["commit"] else "\n"))
    image_results.show(told["images"], settings)
    charts.show(told, settings)
    deploy.show(told["targets"])
    image_results.show(told["failed"], settings)
    if told["parts"]:
        write("\n")
    outcomes.show(told)
    if problem := told.get("error") or ("" if told["phase"] == "Succeeded" else told["message"]):
        write("\n" + textwrap.indent(problem, "  ") + "\n")
    built = sum("reference" in result for result in told["images"].values())
    done = [f"{built} of {len(told['images'])} images built", f"{charts.counted(told)} pushed", told["verdict"]]
    write(f"\n{told['phase']} in {told['seconds']:.1f} s: {', '.join(filter(None, done))}; logs: {told['logs']}\n")
