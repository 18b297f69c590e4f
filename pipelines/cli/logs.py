"""`shipway logs RUN`: what a run on a cluster does and writes, from its beginning to its end."""

from __future__ import annotations

import argparse
import sys

from pipelines.cli import options, running
from pipelines.cli.on_cluster import Cluster
from pipelines.engines.local.reporter import PlainReporter


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = (
        "Follow a run on the cluster, a line for each thing that happens, and exit as the run ends. Of a run that has "
        "ended, the logs are shown whose pods are still there."
    )
    parser.epilog = "example: shipway logs clone-build-push-1a2b3c --namespace ci"
    parser.add_argument("name", metavar="RUN", help="the run's name, as `shipway runs` lists it")
    options.namespace(parser)
    options.state(parser)


def run(given: argparse.Namespace) -> int:
    """Follow it; Ctrl-C leaves it running."""
    cluster = Cluster(given)
    cluster.runs.get(given.name)
    folder = running.new_folder(given.state, given.name) / "run"
    outcome = cluster.follow(given.name, PlainReporter(sys.stdout), folder)
    sys.stderr.write(f"{outcome.name}: {outcome.phase}{f': {outcome.reason}' if outcome.reason else ''}\n")
    return running.exit_code(outcome)
