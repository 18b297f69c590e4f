"""`shipway promote`: what one environment runs, in another one."""

from __future__ import annotations

import argparse

from pipelines.cli import environment
from pipelines.declared.shipway_yaml import PULL_REQUEST
from pipelines.deploy.promote import promote


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = (
        "Let an application run in one environment exactly what it runs in another: the same digests, the same version of its "
        "chart. Both must be in the registry. By default people are asked, by a pull request in the environments repository."
    )
    parser.epilog = "example: shipway promote web --from dev --to prod"
    parser.add_argument("application", metavar="APP", help="the application's name")
    parser.add_argument("--from", dest="source", required=True, metavar="ENVIRONMENT", help="where it is proven")
    parser.add_argument("--to", dest="target", required=True, metavar="ENVIRONMENT", help="where it is to run")
    environment.flags(parser, way=PULL_REQUEST)


def run(given: argparse.Namespace) -> int:
    """Promote, and print what was written."""
    with environment.moving(given) as moving:
        target = promote(moving, given.application, source=given.source, target=given.target, way=given.way)
    environment.show(target, as_json=given.json)
    return 0
