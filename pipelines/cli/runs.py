"""`shipway runs`: the runs of an installation on a cluster, the newest first."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from pipelines.cli import options
from pipelines.engines.cluster import api as cluster_api
from pipelines.engines.cluster import runs, status


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = "List the runs in the namespace of an installation on the cluster that KUBECONFIG names."
    parser.epilog = "example: shipway runs --namespace ci --json"
    options.namespace(parser)
    parser.add_argument(
        "--limit", type=int, default=20, metavar="N", help="show so many (default: %(default)s; 0: all)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(given: argparse.Namespace) -> int:
    """Print the list."""
    cluster = cluster_api.connect(given.namespace)
    rows = [_row(one) for one in runs.Runs(cluster).newest(max(given.limit, 0))]
    if given.json:
        sys.stdout.write(json.dumps(rows) + "\n")
        return 0
    if not rows:
        sys.stderr.write(f"shipway: no runs in namespace {cluster.namespace} of {cluster.server}\n")
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        took = "" if row["seconds"] is None else f"{row['seconds']:.0f} s"
        line = f"{row['name']:<{width}}  {row['phase']:<9}  {row['created']}  {took:>7}  {row['message']}"
        sys.stdout.write(line.rstrip() + "\n")
    return 0


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    told = one.get("status", {})
    started = status.seconds(told.get("startedAt"))
    ended = status.seconds(told.get("finishedAt")) or time.time()
    return {
        "name": str(one["metadata"]["name"]),
        "template": runs.template_of(one),
        "phase": runs.phase(one),
        "created": str(one["metadata"]["creationTimestamp"]),
        "seconds": round(max(0.0, ended - started), 1) if started else None,
        "message": " ".join(str(told.get("message") or "").split())[:120],
    }
