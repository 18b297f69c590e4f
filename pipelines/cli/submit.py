"""`shipway submit TEMPLATE`: one workflow, from its compiled template."""

from __future__ import annotations

import argparse

from pipelines.cli import options, repository, running
from pipelines.engines.local.nodes import RunResult
from pipelines.errors import Misuse


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = (
        "Run a compiled WorkflowTemplate on this machine, as Argo would run it on a cluster; or, with --engine argo, the "
        "installed WorkflowTemplate of that name on the cluster that KUBECONFIG names."
    )
    parser.epilog = "example: shipway submit clone-build-push -p repo=. -p revision=main -p path=apps/web"
    parser.add_argument("template", help="the WorkflowTemplate's name, as in charts/shipway/files")
    parser.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="an argument; may be repeated"
    )
    options.settings(parser)
    options.running(parser)


def run(given: argparse.Namespace) -> int:
    """Run it and print what it put out."""
    arguments: dict[str, str] = {}
    for text in given.parameter:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise Misuse("a parameter cannot be read", seen=repr(text), todo="write -p name=value")
        if name in arguments:
            raise Misuse("a parameter is given twice", seen=name, todo="give it once")
        arguments[name] = value
    options.check_engine(given)
    outcome = (
        running.on_cluster(given, given.template, arguments)[0] if given.engine == "argo" else _here(given, arguments)
    )
    if outcome is None:
        return 0 if given.detach else running.LEFT
    running.show(given, outcome)
    return running.exit_code(outcome)


def _here(given: argparse.Namespace, arguments: dict[str, str]) -> RunResult:
    if "repo" in arguments:
        arguments["repo"] = repository.here(arguments["repo"])
    return running.run(given, options.read_settings(given, embedded=True), given.template, arguments)
