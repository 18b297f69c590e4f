"""`shipway runs`, `logs RUN`, `stop RUN` and `retry RUN`: the runs of an installation on a cluster."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.cli import json_output, results, run_folder, running
from pipelines.cli import options as cli_options
from pipelines.cli.command import flag, flags, group, positional, switch
from pipelines.cli.on_cluster import Cluster
from pipelines.cli.options import FollowOptions, SettingsOptions
from pipelines.engines.cluster import api as cluster_api
from pipelines.engines.cluster import arguments as cluster_arguments
from pipelines.engines.cluster import runs as cluster_runs
from pipelines.engines.cluster import status
from pipelines.engines.local.reporter import PlainReporter
from pipelines.errors import Misuse
from pipelines.events import run_labels
from pipelines.events.event import BY_ANNOTATION, Lane

_LABELS = ("repository", "ref", "commit", "pull_request", "lane")


@flags
class RunsOptions:
    """Which runs to list."""

    namespace: str = cli_options.namespace()
    repository: str = flag("of this repository: its address, or its path such as team/shop", metavar="REPO")
    ref: str = flag("of this branch or tag")
    commit: str = flag("of this commit, or of those that begin so")
    pull_request: int = flag("of the pull request of this number", type=int, default=0, metavar="N")
    lane: str = flag("in this lane", choices=[str(lane) for lane in Lane])
    limit: int = flag("show so many (default: %(default)s; 0: all)", type=int, default=20, metavar="N")
    json: bool = switch("print one JSON object")


@flags
class StopOptions:
    """Which run to stop."""

    name: str = positional("the run's name, as `shipway runs` lists it", metavar="RUN")
    namespace: str = cli_options.namespace()


@flags
class LogsOptions(StopOptions):
    """Which run to follow."""

    state: Path = cli_options.state()

    def cluster(self) -> Cluster:
        """Return the cluster of the run, without settings of this machine."""
        return Cluster(self.namespace, SettingsOptions(settings=None, registry="", state=self.state))


@flags
class RetryOptions(LogsOptions):
    """Which run to submit once more, and what to show of it."""

    follow: FollowOptions = group(FollowOptions)


def list_runs(options: RunsOptions) -> int:
    """List the runs in the namespace of an installation on the cluster that KUBECONFIG names. They are found by their
    labels `shipway.io/repository`, `ref`, `commit`, `pull-request` and `lane`, which `argo list -l` and the Argo UI
    take, too. A label decides nothing, and two names may have one: `a/b` and `a-b`.

    examples:
      shipway runs -n ci --repository team/shop --ref main
      shipway runs -n ci --commit 1a2b3c4 --json
    """
    cluster = cluster_api.connect(options.namespace)
    labels = run_labels.labels(options.repository, options.ref, number=options.pull_request, lane=options.lane)
    commit = options.commit and run_labels.apply(run_labels.LABEL, options.commit)
    rows = [_row(run) for run in cluster_runs.Runs(cluster).newest(max(options.limit, 0), labels, commit=commit)]
    if options.json:
        json_output.write({"runs": rows})
        return 0
    if not rows:
        sys.stderr.write(f"shipway: no runs in namespace {cluster.namespace} of {cluster.server}\n")
    texts = [(row["name"], row["title"], row["message"] or row["description"]) for row in rows]
    width, wide = (max((len(text[column]) for text in texts), default=0) for column in (0, 1))
    for row, (name, title, message) in zip(rows, texts, strict=True):
        took = "" if row["seconds"] is None else f"{row['seconds']:.0f} s"
        line = f"{name:<{width}}  {row['phase']:<9}  {row['created']}  {took:>7}  {title:<{wide}}  {message}"
        sys.stdout.write(line.rstrip() + "\n")
    return 0


def _row(run: Mapping[str, Any]) -> dict[str, Any]:
    run_status = run.get("status", {})
    started = status.seconds(run_status.get("startedAt"))
    ended = status.seconds(run_status.get("finishedAt")) or time.time()
    labels, notes = run["metadata"].get("labels", {}), run["metadata"].get("annotations", {})
    newer = notes.get(BY_ANNOTATION, "")
    message = f"superseded by {newer}" if newer else " ".join(str(run_status.get("message") or "").split())[:120]
    return {
        "name": str(run["metadata"]["name"]),
        "template": cluster_runs.template_of(run),
        "phase": cluster_runs.phase(run),
        "created": str(run["metadata"]["creationTimestamp"]),
        "seconds": round(max(0.0, ended - started), 1) if started else None,
        "message": message,
        "superseded_by": newer or None,
        # In the annotations they are code in Markdown.
        "title": notes.get(run_labels.TITLE, "").replace("`", ""),
        "description": notes.get(run_labels.DESCRIPTION, "").replace("`", ""),
        **{key: labels.get(f"{run_labels.OURS}{key.replace('_', '-')}") for key in _LABELS},
    }


def logs(options: LogsOptions) -> int:
    """Follow a run on the cluster, a line for each thing that happens, and exit as the run ends.

    Of a run that has ended, the logs are shown whose pods are still there.

    example: shipway logs clone-build-push-1a2b3c --namespace ci
    """
    cluster = options.cluster()
    cluster.runs.get(options.name)
    folder = run_folder.new_folder(options.state, options.name) / "run"
    result = cluster.follow(options.name, PlainReporter(sys.stdout), folder)
    sys.stderr.write(f"{result.name}: {result.phase}{f': {result.reason}' if result.reason else ''}\n")
    return results.exit_code(result)


def stop(options: StopOptions) -> int:
    """Ask Argo to stop a run.

    What it runs is ended; its exit handler is run.

    example: shipway stop clone-build-push-1a2b3c --namespace ci
    """
    runs = cluster_runs.Runs(cluster_api.connect(options.namespace))
    phase = cluster_runs.phase(runs.get(options.name))
    if phase in cluster_runs.FINAL:
        sys.stderr.write(f"shipway: {options.name} has ended already: {phase}\n")
        return 0
    runs.stop(options.name)
    sys.stderr.write(f"shipway: {options.name} is stopping; shipway logs {options.name} follows it to its end\n")
    return 0


def retry(options: RetryOptions) -> int:
    """Submit a run that has ended once more, with the same arguments, as a run of its own.

    It has the labels of the run that it repeats, and changes no status that a newer one set.

    example: shipway retry clone-build-push-1a2b3c --namespace ci
    """
    cluster = options.cluster()
    old = cluster.runs.get(options.name)
    if cluster_runs.phase(old) not in cluster_runs.FINAL:
        raise Misuse(
            f"{options.name} has not ended",
            seen=f"its phase is {cluster_runs.phase(old)}",
            todo=f"follow it with shipway logs {options.name}, or stop it first",
        )
    begin, spec, described = cluster_runs.again(old)
    if "workflowTemplateRef" in spec:
        arguments = {p["name"]: p["value"] for p in spec.get("arguments", {}).get("parameters", ()) if "value" in p}
        cluster_arguments.check(cluster.runs.template(spec["workflowTemplateRef"]["name"]), arguments)
    name = cluster.runs.submit(begin, spec, described)
    return running.report_outputs(options.follow, cluster.attend(name, options.follow))
