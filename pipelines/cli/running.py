"""Runs of a template on the local engine or on a cluster, for the commands that start them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import secrets
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipelines.cli import isolation, json_output, repository, results, run_folder
from pipelines.cli import options as cli_options
from pipelines.cli import secrets as cli_secrets
from pipelines.cli.options import BuildRunOptions, FollowOptions, RunOptions, TemplateOptions
from pipelines.engines.local.nodes import RunResult
from pipelines.errors import Misuse, ShipwayError, Transient
from pipelines.step import signature, texts
from pipelines.step.groups import RegistrySettings
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.processes.fork_client import ForkClient
from pipelines.tools.registry.reference import Reference

if TYPE_CHECKING:
    from pipelines.cli.on_cluster import Cluster
    from pipelines.engines.local import documents as local_documents

Options = TypeVar("Options", bound=TemplateOptions)
TEMPLATES = repository.DATA / "charts" / "shipway" / "files"
CONFIG_MAP, VARIABLES = "shipway", "shipway-variables"
PUBLISH = ("publish to", "set `registry`, or give --registry")
"""What a run needs that publishes, as arguments of `options.require_registry`."""
UNSPOKEN = frozenset(
    "start begin plan again verdict check-verdict report tell impact gather render pass-on-impact".split()
)
"""Pods and steps that decide and tell: the command itself tells what came of them."""
_LEFT = 130
"""Exit code of a command that was interrupted while its run goes on."""
_ATTEMPTS = 3
"""The step push waits for a registry that restarts; this is for one that does not exist."""


class EngineChoice:
    """The engine that a command's options choose: this machine's, or the cluster's."""

    def __init__(self, options: RunOptions, *, examples: bool = False) -> None:
        """Raises Misuse for flags of a cluster if the run is not on one; nothing is connected yet."""
        options.check()
        self.options = options
        self.examples = examples

    @cached_property
    def cluster(self) -> Cluster | None:
        """The cluster, or None for this machine; raises as Cluster does."""
        if not self.options.on_cluster:
            return None
        from pipelines.cli.on_cluster import Cluster  # noqa: PLC0415 - the Kubernetes client is for clusters only

        return Cluster(self.options.namespace, self.options.settings)

    @cached_property
    def settings(self) -> dict[str, str]:
        """The settings of the run; raises as `options.read_settings` and `Cluster.settings` do."""
        if self.cluster:
            return self.cluster.settings
        return cli_options.read_settings(self.options.settings, embedded=True, examples=self.examples)

    def address(self, repo: str, *needs: str) -> str:
        """Return the address of a repository, as `repository.named` does.

        Raises Misuse if a cluster cannot reach it. On this machine, `needs` are arguments of
        `options.require_registry`, which raises Misconfigured.
        """
        address = repository.named(repo, examples=self.examples)
        if self.options.on_cluster:
            return cluster_address(address)
        cli_options.require_registry(self.settings, *needs)
        return address or repository.examples(self.options.settings.state, self.settings)

    def run(
        self,
        template: str,
        arguments: Mapping[str, str],
        *,
        source: tuple[str, str],
        workflow: Mapping[str, Any] | None = None,
        unspoken: frozenset[str] = frozenset(),
    ) -> RunResult | None:
        """Run a template, or a `workflow` named `template`, and return the result, or None if it is left running.

        `source` decides how far a build is kept from this machine: a repository and a revision. Nothing is told of pods
        and steps that are `unspoken`, unless they fail.
        """
        if self.cluster is None:
            settings = self.settings
            if isinstance(self.options, BuildRunOptions):
                repo, revision = source
                own = "" if self.examples else local_address(repo)
                settings = isolation.settle(settings, self.options.isolation, template, repo=own, revision=revision)
            if "repo" in arguments:
                arguments = {**arguments, "repo": local_address(arguments["repo"])}
            return run(self.options, settings, template, arguments, workflow=workflow, unspoken=unspoken)
        jobs = self.options.jobs
        if workflow is None:
            name = self.cluster.submit(template, arguments, jobs=jobs)
        else:
            name = self.cluster.submit_composed(template, workflow, jobs=jobs)
        return self.cluster.attend(name, self.options.follow)


def run_template(
    command: Options,
    template: str,
    arguments: Mapping[str, str],
    describe: Callable[[Options, RunResult], dict[str, Any]],
    show: Callable[[Mapping[str, Any], Mapping[str, str]], None],
    *,
    needs: Sequence[str],
) -> int:
    """Run a template for a repository here or on a cluster, print the result as `report` does, return the exit code.

    `needs` are arguments of `options.require_registry`. `describe` gets the options with the repository's address.
    """
    engine = EngineChoice(command.run, examples=command.examples)
    repo = engine.address(command.repo, *needs)
    source = (repo, arguments.get("revision", "HEAD"))
    result = engine.run(template, {"repo": repo, **arguments}, source=source, unspoken=UNSPOKEN)
    return report(engine, result, functools.partial(describe, dataclasses.replace(command, repo=repo)), show)


def report(
    engine: EngineChoice,
    result: RunResult | None,
    describe: Callable[[RunResult], dict[str, Any]],
    show: Callable[[Mapping[str, Any], Mapping[str, str]], None],
) -> int:
    """Print a run's result as `describe` returns it, as JSON or with `show`, and return the exit code."""
    follow = engine.options.follow
    if result is None:
        return left(follow)
    if follow.json:
        json_output.write(describe(result))
    else:
        show(describe(result), engine.settings)
        own = engine.options.settings
        if not engine.cluster and cli_options.is_embedded(own, examples=engine.examples):
            sys.stdout.write(f"the registry of this machine goes on: {cli_options.stop_hint(own.state)}\n")
    return results.exit_code(result)


def report_outputs(follow: FollowOptions, result: RunResult | None) -> int:
    """Print how a run ended and its outputs, and return the exit code."""
    if result is None:
        return left(follow)
    if follow.json:
        json_output.write(result.to_json())
        return results.exit_code(result)
    width = max(map(len, result.outputs), default=0)
    sys.stdout.writelines(f"{name:<{width}}  {texts.shown(value)}\n" for name, value in result.outputs.items())
    sys.stderr.write(f"{result.name}: {result.phase}{f': {result.reason}' if result.reason else ''}\n")
    if result.phase.is_bad and (log := results.failed_log(result.root)):
        sys.stderr.write(f"{textwrap.indent(results.error(log), '  ')}\n  log   {log}\n")
    return results.exit_code(result)


def left(follow: FollowOptions) -> int:
    """Return the exit code of a command whose run goes on: 0 if that was asked for."""
    return 0 if follow.detach else _LEFT


def run(
    options: RunOptions,
    settings: Mapping[str, str],
    template: str,
    arguments: Mapping[str, str],
    *,
    workflow: Mapping[str, Any] | None = None,
    unspoken: frozenset[str] = frozenset(),
) -> RunResult:
    """Run a compiled template, or `workflow` over the compiled ones, on this machine and return its result."""
    program = Path(sys.executable).with_name("shipway")
    with contextlib.closing(ForkClient(program, "pipelines.cli.main")) as server:
        # Loaded while the server starts.
        from pipelines.engines.local import documents as local_documents  # noqa: PLC0415
        from pipelines.engines.local import engine as local_engine  # noqa: PLC0415

        name = f"{template}-{secrets.token_hex(3)}"
        folder = run_folder.new_folder(options.settings.state, name)
        (folder / "definition").mkdir()
        files = sorted(TEMPLATES.glob("*.yaml"))
        if workflow is not None:
            files.append(folder / "definition" / "workflow.yaml")
            files[-1].write_text(json.dumps(workflow), encoding="utf-8")  # JSON is YAML that quotes all texts
        loaded = local_documents.load(files)
        server.prepare(["step", step] for step in _steps(loaded, template))
        return local_engine.run(
            loaded,
            template,
            arguments,
            config_maps={
                CONFIG_MAP: (given := {key: value for key, value in settings.items() if key != "secrets"}),
                VARIABLES: {signature.variable(key): value for key, value in given.items()},
            },
            secrets=cli_secrets.linked(settings, folder / "secrets"),
            folder=folder / "run",
            jobs=options.jobs or os.cpu_count() or 1,
            reporter=run_folder.reporter(quiet=options.follow.quiet, unspoken=unspoken),
            name=name,
            start=server.start,
        )


def _steps(loaded: local_documents.Documents, template: str) -> list[str]:
    """Return the steps that a template calls, about in the order in which it starts them.

    Tasks that others wait for come before those that none waits for, such as reports; a reference that none waits for
    counts only if there is nothing else. Nothing is checked here.
    """
    steps: dict[str, None] = {}
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
                    steps[step] = None
        tasks = one.get("dag", {}).get("tasks", ())
        constants = one.get("inputs", {}).get("parameters", ())
        named = {f"{{{{inputs.parameters.{each['name']}}}}}": each["value"] for each in constants if "value" in each}
        waits = " ".join(task.get("depends", "") for task in tasks)
        awaited = {task["name"] for task in tasks if f"{task['name']}." in waits}
        for task in sorted(tasks, key=lambda task: task["name"] not in awaited):
            match task:
                case {"template": str(inner)}:
                    visit(document, inner)
                case {"templateRef": {"name": str(other), "template": str(inner)}} if {task["name"], other} & {
                    *awaited,
                    document,
                }:
                    visit(other, named.get(inner, inner))
                case {"templateRef": {"name": str(other), "template": str(inner)}}:
                    elsewhere[other, named.get(inner, inner)] = None

    spec = loaded.get(template).value["spec"]
    visit(template, spec.get("entrypoint") or "")
    for reference in [] if steps else list(elsewhere):
        visit(*reference)
    visit(template, spec.get("onExit") or "")
    return list(steps)


def local_address(repo: str) -> str:
    """Return the address for a run on this machine, with an absolute path: its pods work in folders of their own."""
    return repo if "://" in repo or not Path(repo).is_dir() else str(Path(repo).resolve())


def cluster_address(repo: str) -> str:
    """Return the address for a run on a cluster; raises Misuse if a cluster cannot reach it."""
    if not repo or RepositoryUrl(repo).local_path:
        raise Misuse(
            "a cluster cannot read a folder of this machine",
            seen=repo or "--examples",
            todo="give an address that its pods reach: REPO=https://git.example.com/team/shop.git",
        )
    return repo


def preflight(settings: Mapping[str, str], name: str) -> None:
    """Ask the registry before a build: raises Transient if it does not answer; the step push reports other answers."""
    from pipelines.images.names import published_as  # noqa: PLC0415 - only a local build asks
    from pipelines.tools.registry import client as registry_client  # noqa: PLC0415
    from pipelines.tools.registry.connection import Timing  # noqa: PLC0415

    try:
        registry_settings = signature.from_settings(RegistrySettings, settings)
        docker_config = cli_secrets.secret(settings, "shipway-push")
        registry = registry_client.connect(docker_config, registry_settings, timing=Timing(attempts=_ATTEMPTS))
        registry.resolve(
            Reference.under(registry_settings.registry, registry_settings.project, published_as(name), tag="latest")
        )
    except Transient:
        raise
    except ShipwayError:
        return
