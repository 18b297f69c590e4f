"""`shipway build`: the images of a repository, parents first, and what came of each."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.cli import declared, failures, options, running
from pipelines.cli.declared import Declared
from pipelines.errors import Misconfigured, Misuse
from pipelines.local.nodes import Node, Outcome
from pipelines.model import platform
from pipelines.model.source import RepositoryUrl
from pipelines.plan import build_run

if TYPE_CHECKING:
    from pipelines.cli.on_cluster import Cluster

EXAMPLES = running.TEMPLATES.parents[2] / "examples"
_STEPS = {"main": "push"}
"""Argo wants a container of the name main; people think of the step that it runs."""
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
    repo = given.repo or examples(given.state, settings)
    found = declared.read(
        repo,
        given.revision,
        credentials=options.secret(settings, "shipway-git"),
        registry=settings["registry"],
        project=settings.get("project", ""),
        build_args=given.build_arg,
        platform=platform.read(given.platform),
    )
    for warning in found.warnings:
        sys.stderr.write(f"shipway: {warning}\n")
    chosen = found.choose(given.image)
    if not chosen:
        raise Misuse(f"{repo} has no image", seen=f"no Dockerfile at {found.commit[:12]}", todo="add a Dockerfile")
    arguments = {"repo": _absolute(repo), "revision": found.commit, "ref": found.ref}
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
    results = _results(outcome, build_run.task_names(chosen))
    if given.json:
        sys.stdout.write(json.dumps(_object(found, results, outcome), indent=2) + "\n")
    else:
        _print(found, results, outcome, settings)
    return running.exit_code(outcome)


def _cluster(given: argparse.Namespace) -> Cluster:
    """Return the cluster to build on; raises Misuse for a repository that it cannot reach, and what Cluster does."""
    if not given.repo or RepositoryUrl(given.repo).local_path:
        raise Misuse(
            "a cluster cannot read a folder of this machine",
            seen=given.repo or "no repository, which means the examples",
            todo="give an address that its pods reach: REPO=https://git.example.com/team/shop.git",
        )
    from pipelines.cli.on_cluster import Cluster  # noqa: PLC0415 - the Kubernetes client is for clusters only

    cluster = Cluster(given)
    cluster.runs.template(build_run.TEMPLATE)
    return cluster


def examples(state: Path, settings: Mapping[str, str]) -> str:
    """Bring the example repository up to date, and its base into this machine's registry; return its address."""
    from pipelines.embedded import deployment  # noqa: PLC0415 - only for the examples

    if f"{deployment.BASE_HOST}=" in settings.get("mirrors", ""):
        deployment.publish_base(settings["registry"])
    return deployment.publish_examples(state, EXAMPLES)


def _absolute(repo: str) -> str:
    # The pods of a local run work in folders of their own, where a relative path means nothing.
    return repo if "://" in repo or not Path(repo).is_dir() else str(Path(repo).resolve())


def _results(outcome: Outcome, tasks: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return what came of each image, by its name, in the order they were started."""
    nodes = {node.display_name: node for node in outcome.root.children}
    return {image: _result(nodes.get(task)) for image, task in tasks.items()}


def _result(node: Node | None) -> dict[str, Any]:
    if node is None:
        return {"phase": "Omitted", "message": "the run ended before it", "seconds": 0.0, "steps": {}}
    last = [n for n in node.walk() if n.kind == "Container"][-3:]
    steps = {
        _STEPS.get(n.display_name, n.display_name): round(max(0.0, n.finished - n.started), 2)
        for n in last
        if not n.never_ran
    }
    outputs: dict[str, Any] = dict(node.outputs)
    if "tags" in outputs:
        outputs["tags"] = json.loads(outputs["tags"])
    if "size" in outputs:
        outputs["size"] = int(outputs["size"])
    failed = failures.last(node)
    return {
        "phase": str(node.phase),
        "message": node.reason,
        "seconds": round(max(0.0, node.finished - node.started), 2),
        "steps": steps,
        **outputs,
        **({"error": failures.error(failed.log), "log": str(failed.log)} if failed and failed.log else {}),
    }


def _object(found: Declared, results: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
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
    found: Declared, results: Mapping[str, dict[str, Any]], outcome: Outcome, settings: Mapping[str, str]
) -> None:
    write = sys.stdout.write
    write(f"\n{found.repo} {found.ref or ''} at {found.commit}\n")
    for name, result in results.items():
        times = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in result["steps"].items())
        write(f"\n{name}: {result['phase']} in {result['seconds']:.1f} s{f' ({times})' if times else ''}\n")
        if "reference" in result:
            write(f"  {result['reference']}\n")
            write(f"  tags  {', '.join(result['tags'])}\n")
            write(f"  size  {_size(result['size'])}\n")
            write(f"  try   {_command(result['reference'], settings)}\n")
        elif told := result.get("error") or result["message"]:
            write(textwrap.indent(told, "  ") + "\n")
        if "log" in result:
            write(f"  log   {result['log']}\n")
    done = sum("reference" in result for result in results.values())
    seconds = outcome.root.finished - outcome.root.started
    write(f"\n{done} of {len(results)} images published in {seconds:.1f} s; logs: {outcome.folder / 'logs'}\n")


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _command(reference: str, settings: Mapping[str, str]) -> str:
    """Return a command that runs the image, or shows it where this machine has nothing to run it with."""
    plain = reference.split("/", 1)[0] in settings.get("plain-http", "").split(",")
    if shutil.which("podman"):
        return f"podman run --rm {'--tls-verify=false ' if plain else ''}{reference}"
    if shutil.which("docker") and Path("/var/run/docker.sock").exists():
        return f"docker run --rm {reference}"
    return f"buildah pull {'--tls-verify=false ' if plain else ''}{reference}"
