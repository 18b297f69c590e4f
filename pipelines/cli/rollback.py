"""`shipway rollback`: an application at what it ran before."""

from __future__ import annotations

import argparse

from pipelines.cli import environment
from pipelines.declared.shipway_yaml import COMMIT
from pipelines.deploy.rollback import rollback
from pipelines.errors import Misuse


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = (
        "Let an application run again what it ran last and was healthy with, digest by digest, if the registry still has it. What "
        "is left behind is written to held.yaml beside its values, and deployments do not bring it back until the line is taken "
        "out or it is promoted again."
    )
    parser.epilog = "examples:\n  shipway rollback prod/web\n  shipway rollback web --environment prod --to 1a2b3c4"
    parser.add_argument(
        "application", metavar="APP", help="the application: its name where one environment has it, or ENVIRONMENT/NAME"
    )
    parser.add_argument("--environment", default="", metavar="NAME", help="its environment, where APP names none")
    parser.add_argument(
        "--to", default="", metavar="COMMIT", help="of the environments repository (default: the last healthy one)"
    )
    environment.flags(parser, way=COMMIT)


def run(given: argparse.Namespace) -> int:
    """Roll back, and print what was written."""
    place, slash, name = given.application.rpartition("/")
    if slash and given.environment:
        raise Misuse(
            "two environments are named",
            seen=f"{given.application} and --environment {given.environment}",
            todo="name one",
        )
    with environment.moving(given) as moving:
        where = place or given.environment or moving.environment_of(name)
        target = rollback(moving, name, environment=where, to=given.to, way=given.way)
    environment.show(target, as_json=given.json)
    return 0
