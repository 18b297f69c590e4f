"""`shipway retry RUN`: the same arguments once more; what is done already costs next to nothing."""

from __future__ import annotations

import argparse

from pipelines.cli import options, running
from pipelines.cli.on_cluster import Cluster
from pipelines.engines.cluster import arguments as cluster_arguments
from pipelines.engines.cluster import names as cluster_names
from pipelines.engines.cluster import runs
from pipelines.errors import Misuse


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = "Submit a run that has ended once more, with the same arguments, as a run of its own."
    parser.epilog = "example: shipway retry clone-build-push-1a2b3c --namespace ci"
    parser.add_argument("name", metavar="RUN", help="the run's name, as `shipway runs` lists it")
    options.namespace(parser)
    options.state(parser)
    options.following(parser)


def run(given: argparse.Namespace) -> int:
    """Submit, follow, and print what it put out."""
    cluster = Cluster(given)
    old = cluster.runs.get(given.name)
    if runs.phase(old) not in runs.FINAL:
        raise Misuse(
            f"{given.name} has not ended",
            seen=f"its phase is {runs.phase(old)}",
            todo=f"follow it with shipway logs {given.name}, or stop it first",
        )
    template, spec = runs.again(old)
    if "workflowTemplateRef" in spec:
        given_before = {p["name"]: p["value"] for p in spec.get("arguments", {}).get("parameters", ()) if "value" in p}
        cluster_arguments.check(cluster.runs.template(template), given_before)
    name = cluster.runs.submit(template, spec, {cluster_names.RETRY_OF: given.name})
    outcome = cluster.attend(name)
    if outcome is None:
        return 0 if given.detach else running.LEFT
    running.show(given, outcome)
    return running.exit_code(outcome)
