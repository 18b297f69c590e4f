"""`shipway submit TEMPLATE`: one workflow, from its compiled template."""

from __future__ import annotations

import argparse
import json
import sys

from pipelines.cli import options, running
from pipelines.errors import Misuse


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = "Run a compiled WorkflowTemplate on this machine, as Argo would run it on a cluster."
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
    settings = options.read_settings(given, embedded=True)
    outcome = running.run(given, settings, given.template, arguments)
    if given.json:
        sys.stdout.write(json.dumps(outcome.to_json()) + "\n")
    else:
        width = max(map(len, outcome.outputs), default=0)
        sys.stdout.writelines(f"{name:<{width}}  {value}\n" for name, value in outcome.outputs.items())
        sys.stderr.write(f"{outcome.name}: {outcome.phase}{f': {outcome.message}' if outcome.message else ''}\n")
    return running.exit_code(outcome)
