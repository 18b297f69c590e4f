"""Runs on the local engine, for the commands that start them: files, folders, and who is told."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
import textwrap
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

import pipelines
from pipelines.cli import failures
from pipelines.engines.local.nodes import RunResult
from pipelines.engines.local.reporter import PlainReporter, Reporter
from pipelines.tools.processes.fork_server import ForkServer

if TYPE_CHECKING:
    from pipelines.engines.local import documents as local_documents

TEMPLATES = Path(pipelines.__path__[0]).parent / "charts" / "shipway" / "files"
CONFIG_MAP = "shipway"
KEPT_RUNS = 20
LEFT = 130
"""Exit code of a command that was interrupted while its run goes on."""


def run(
    given: Namespace,
    settings: Mapping[str, str],
    template: str,
    arguments: Mapping[str, str],
    *,
    workflow: Mapping[str, Any] | None = None,
) -> RunResult:
    """Run a compiled template, or `workflow` over the compiled ones, and return how it ended."""
    program = Path(sys.executable).with_name("shipway")
    with contextlib.closing(ForkServer(program, "pipelines.cli.main")) as server:
        # Loaded while the server starts.
        from pipelines.engines.local import documents as local_documents  # noqa: PLC0415
        from pipelines.engines.local import engine as local_engine  # noqa: PLC0415

        name = f"{template}-{secrets.token_hex(3)}"
        folder = new_folder(given.state, name)
        (folder / "definition").mkdir()
        files = sorted(TEMPLATES.glob("*.yaml"))
        if workflow is not None:
            files.append(folder / "definition" / "workflow.yaml")
            files[-1].write_text(yaml.safe_dump(dict(workflow), sort_keys=False), encoding="utf-8")
        loaded = local_documents.load(files)
        server.prepare(["step", step] for step in _steps(loaded, template))
        return local_engine.run(
            loaded,
            template,
            arguments,
            config_maps={CONFIG_MAP: {key: value for key, value in settings.items() if key != "secrets"}},
            secrets=Path(settings["secrets"]),
            folder=folder / "run",
            jobs=given.jobs or os.cpu_count() or 1,
            reporter=reporter(quiet=given.quiet),
            name=name,
            start=server.start,
        )


def _steps(loaded: local_documents.Documents, template: str) -> list[str]:
    """Return the steps that a template calls, about as it comes to them.

    What other tasks wait for comes before what none does, as reports; a reference that none waits for counts only where there is
    nothing else. Nothing is judged here.
    """
    found: dict[str, None] = {}
    elsewhere: dict[tuple[str, str], None] = {}
    seen: set[tuple[str, str]] = set()

    def visit(document: str, name: str) -> None:
        if (document, name) in seen or document not in loaded.by_name:
            return
        seen.add((document, name))
        templates = loaded.by_name[document].value["spec"]["templates"]
        one: Mapping[str, Any] = next((template for template in templates if template["name"] == name), {})
        for container in one.get("containerSet", {}).get("containers", ()):
            match container:
                case {"command": ["shipway"], "args": ["step", str(step), *_]}:
                    found[step] = None
        tasks = one.get("dag", {}).get("tasks", ())
        waits = " ".join(task.get("depends", "") for task in tasks)
        awaited = {task["name"] for task in tasks if f"{task['name']}." in waits}
        for task in sorted(tasks, key=lambda task: task["name"] not in awaited):
            match task:
                case {"template": str(inner)}:
                    visit(document, inner)
                case {"templateRef": {"name": str(other), "template": str(inner)}} if task["name"] in awaited:
                    visit(other, inner)
                case {"templateRef": {"name": str(other), "template": str(inner)}}:
                    elsewhere[other, inner] = None

    spec = loaded.get(template).value["spec"]
    for name in (spec.get("entrypoint"), spec.get("onExit")):
        visit(template, name or "")
    for place in [] if found else list(elsewhere):
        visit(*place)
    return list(found)


def on_cluster(
    given: Namespace, template: str, arguments: Mapping[str, str]
) -> tuple[RunResult | None, Mapping[str, str]]:
    """Run an installed template on the cluster; return how it ended, or None where it is left running, and the settings."""
    from pipelines.cli.on_cluster import Cluster  # noqa: PLC0415 - the Kubernetes client is for clusters only

    cluster = Cluster(given)
    outcome = cluster.attend(cluster.submit(template, arguments))
    return outcome, cluster.settings if outcome else {}


def show(given: Namespace, outcome: RunResult) -> None:
    """Print how a run ended and what it put out."""
    if given.json:
        sys.stdout.write(json.dumps(outcome.to_json()) + "\n")
        return
    width = max(map(len, outcome.outputs), default=0)
    sys.stdout.writelines(f"{name:<{width}}  {value}\n" for name, value in outcome.outputs.items())
    sys.stderr.write(f"{outcome.name}: {outcome.phase}{f': {outcome.reason}' if outcome.reason else ''}\n")
    failed = failures.last(outcome.root) if outcome.phase.is_bad else None
    if failed is not None and failed.log is not None:
        sys.stderr.write(f"{textwrap.indent(failures.error(failed.log), '  ')}\n  log   {failed.log}\n")


def new_folder(state: Path, name: str) -> Path:
    """Return a new folder for a run's logs; the oldest runs' folders go."""
    runs = state / "runs"
    _prune(runs)
    folder = runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def exit_code(outcome: RunResult) -> int:
    """Return the command's exit code, 130 after a stop.

    It is that of the first container that failed with 2, 3 or 78; 75 where every one failed for the other side's sake; else 1.
    """
    if outcome.stopped:
        return 130
    if not outcome.phase.is_bad:
        return 0
    codes = [
        node.exit_code
        for root in filter(None, (outcome.root, outcome.on_exit))
        for node in failures.causes(root)
        if node.exit_code
    ]
    own = next((code for code in codes if code in {2, 3, 78}), 1)
    # 143: it was ended because another one had failed.
    return 75 if set(codes) - {143} == {75} else own


def reporter(*, quiet: bool) -> Reporter:
    """Return who tells of a run: a tree for a terminal, lines for everything else."""
    if sys.stderr.isatty():
        from pipelines.engines.local.tree_reporter import TreeReporter  # noqa: PLC0415 - rich is for terminals only

        return TreeReporter()
    return PlainReporter(with_output=not quiet)


def _prune(runs: Path) -> None:
    """Keep the newest runs only; their names begin with the time."""
    old = sorted(runs.iterdir())[: -KEPT_RUNS + 1] if runs.is_dir() else []
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
