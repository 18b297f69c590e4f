"""`shipway stop RUN`: end a run on a cluster; its exit handler still runs."""

from __future__ import annotations

import argparse
import sys

from pipelines.cli import options
from pipelines.engines.cluster import api as cluster_api
from pipelines.engines.cluster import runs


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = "Ask Argo to stop a run. What it runs is ended; its exit handler is run."
    parser.epilog = "example: shipway stop clone-build-push-1a2b3c --namespace ci"
    parser.add_argument("name", metavar="RUN", help="the run's name, as `shipway runs` lists it")
    options.namespace(parser)


def run(given: argparse.Namespace) -> int:
    """Ask, unless it has ended."""
    all_runs = runs.Runs(cluster_api.connect(given.namespace))
    phase = runs.phase(all_runs.get(given.name))
    if phase in runs.FINAL:
        sys.stderr.write(f"shipway: {given.name} has ended already: {phase}\n")
        return 0
    all_runs.stop(given.name)
    sys.stderr.write(f"shipway: {given.name} is stopping; shipway logs {given.name} follows it to its end\n")
    return 0
