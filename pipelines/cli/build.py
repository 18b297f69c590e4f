"""`shipway build`: the images of a repository, parents first, and what came of each."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.cli import declared, image_results, options, repository, running
from pipelines.cli.declared import DeclaredImages
from pipelines.engines.local.nodes import RunResult
from pipelines.errors import Misconfigured, Misuse
from pipelines.images import platforms
from pipelines.release import build_run

if TYPE_CHECKING:
    from pipelines.cli.on_cluster import Cluster

_PASSED_ON = ("platform", "submodules", "lfs")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = (
        "Build the images of a Git repository at one commit, parents before children, and publish them by digest. "
        "Without a repository, the examples are built; without settings, into a registry of this machine."
    )
    parser.epilog = "example: shipway build https://git.example.com/team/shop.git --revision v1.2.0 --image apps/web"
    options.source(parser)
    parser.add_argument(
        "--image", action="append", default=[], metavar="NAME|FOLDER", help="this image only; may be repeated"
    )
    parser.add_argument("--submodules", action="store_const", const="true", default="", help="check out submodules")
    parser.add_argument("--lfs", action="store_const", const="true", default="", help="fetch large files with Git LFS")
    parser.add_argument("--platform", default="", help="platform to build for (default: this machine's)")
    options.settings(parser)
    options.running(parser)


def run(given: argparse.Namespace) -> int:
    """Build, and print what was published."""
    options.check_engine(given)
    cluster = _cluster(given) if given.engine == "argo" else None
    settings = cluster.settings if cluster else options.read_settings(given, embedded=True)
    if not settings.get("registry"):
        where = (
            "`settings.registry` of the chart's values" if cluster else "`registry` in the settings, or give --registry"
        )
        raise Misconfigured("no registry to publish to", seen="settings without one", todo=f"set {where}")
    for argument in given.build_arg:
        if "=" not in argument.lstrip("="):
            raise Misuse("a build argument cannot be read", seen=repr(argument), todo="write --build-arg NAME=VALUE")
    repo = given.repo or repository.examples(given.state, settings)
    found = declared.read(
        repo,
        given.revision,
        credentials=options.secret(settings, "shipway-git"),
        registry=settings["registry"],
        project=settings.get("project", ""),
        build_args=given.build_arg,
        ca_file=options.ca_file(settings),
        platform=platforms.read_platform(given.platform),
    )
    for warning in found.warnings:
        sys.stderr.write(f"shipway: {warning}\n")
    chosen = found.choose(given.image)
    if not chosen:
        raise Misuse(f"{repo} has no image", seen=f"no Dockerfile at {found.commit[:12]}", todo="add a Dockerfile")
    arguments = {"repo": repository.here(repo), "revision": found.commit, "ref": found.ref}
    arguments |= {name: getattr(given, name) for name in _PASSED_ON if getattr(given, name)}
    workflow = build_run.workflow(chosen, found.parents, arguments, found.inputs)
    if cluster is None:
        from pipelines.cli import reach  # noqa: PLC0415 - on a cluster it is not this machine that must reach it

        reach.check(settings, chosen[0].name)
        outcome = running.run(given, settings, "build", {}, workflow=workflow)
    else:
        left = cluster.attend(cluster.submit_composed(build_run.TEMPLATE, workflow, "build"))
        if left is None:
            return 0 if given.detach else running.LEFT
        outcome = left
    nodes = {node.display_name: node for node in outcome.root.children}
    results = {image: image_results.of(nodes.get(task)) for image, task in build_run.task_names(chosen).items()}
    if given.json:
        sys.stdout.write(json.dumps(_object(found, results, outcome), indent=2) + "\n")
    else:
        _print(found, results, outcome, settings)
    return running.exit_code(outcome)


def _cluster(given: argparse.Namespace) -> Cluster:
    """Return the cluster to build on; raises Misuse for a repository that it cannot reach, and what Cluster does."""
    repository.on_cluster(given.repo)
    from pipelines.cli.on_cluster import Cluster  # noqa: PLC0415 - the Kubernetes client is for clusters only

    cluster = Cluster(given)
    cluster.runs.template(build_run.TEMPLATE)
    return cluster


def _object(found: DeclaredImages, results: Mapping[str, Any], outcome: RunResult) -> dict[str, Any]:
    return {
        "repo": found.repo,
        "commit": found.commit,
        "ref": found.ref,
        "phase": str(outcome.phase),
        "seconds": round(outcome.root.finished - outcome.root.started, 2),
        "images": results,
        "logs": str(outcome.folder / "logs"),
    }


def _print(
    found: DeclaredImages, results: Mapping[str, dict[str, Any]], outcome: RunResult, settings: Mapping[str, str]
) -> None:
    write = sys.stdout.write
    write(f"\n{found.repo} {found.ref or ''} at {found.commit}\n")
    image_results.show(results, settings)
    done = sum("reference" in result for result in results.values())
    seconds = outcome.root.finished - outcome.root.started
    write(f"\n{done} of {len(results)} images published in {seconds:.1f} s; logs: {outcome.folder / 'logs'}\n")
