"""The step `supersede`: stops all runs of one branch or pull request but the newest.

It reads names, labels and times of runs, and no text from outside: labels are hashes, and it asks for no specification.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pipelines.errors import Misuse
from pipelines.events import run_labels
from pipelines.events.event import BY_ANNOTATION, FOR_ANNOTATION, GROUP_LABEL, REF_LABEL, Superseded
from pipelines.events.run_age import run_age
from pipelines.events.run_labels import DESCRIPTION
from pipelines.step.signature import Arg
from pipelines.tools.kubernetes import NAME, Denied, Document, Kubernetes

_HASH = re.compile(r"[0-9a-f]{32}")
_MOST = 100
"""Of the runs that one run tells of."""
_LONGEST_KEY = 63
"""Of what follows the slash in an annotation's key."""


def supersede(
    *,
    run: Annotated[str, Arg("name of this run")],
    group: Annotated[str, Arg("the hash that runs of one repository, lane and ref share")],
    lane: Annotated[str, Arg("its lane, for its label")] = "",
    head: Annotated[str, Arg("the commit that it builds, for its label")] = "",
    account: Annotated[Path, Arg("folder of the account that may list and stop runs")] = Path("../account"),
) -> Superseded:
    """Stop every older run of the group, also those that have not begun; or this run, if a newer one has got this far.

    `run_age` says which run is newer. A run gets here only if its ref names its commit. This run does not yield to a
    newer one that has not got here, because that one's event may be old and late.

    Example:
        shipway step supersede --run=push-1 --group=0123456789abcdef0123456789abcdef
    """
    if not (NAME.fullmatch(run) and _HASH.fullmatch(group)):
        raise Misuse("not a run and its group", seen=f"{run[:80]!r}, {group[:80]!r}", todo="give what decode puts out")
    cluster = Kubernetes(account)
    # The label is set before the list is read, so that two runs at once see each other.
    labels = {GROUP_LABEL: group, **run_labels.labels("", "", commit=head, lane=lane)}
    own = cluster.patch(run, {"metadata": {"labels": labels}})
    begun = cluster.unfinished(f"{GROUP_LABEL}={group}")
    newest = max([own, *begun], key=run_age)["name"]
    if newest != run:
        _take_over(cluster, newest, [own])
        _stop(cluster, own, newest)
        return Superseded(newest=newest, stopped=(run,))
    group_runs = {other["name"]: other for other in begun}
    if ref := own.get("labels", {}).get(REF_LABEL, ""):
        group_runs |= {
            other["name"]: other
            for other in cluster.unfinished(f"{REF_LABEL}={ref}")
            # A run of another lane stays: the rules have changed since it began.
            if other.get("labels", {}).get(GROUP_LABEL, group) == group
        }
    older = sorted(name for name, other in group_runs.items() if run_age(other) < run_age(own))
    # Before they are stopped, so that a run that stops this one finds the names here or these runs unfinished.
    _take_over(cluster, run, [group_runs[name] for name in older])
    return Superseded(newest=run, stopped=tuple(name for name in older if _stop(cluster, group_runs[name], run)))


def _take_over(cluster: Kubernetes, newest: str, older: Sequence[Document]) -> None:
    """Note at the run that goes on which runs it is to tell of, also those that the older ones were to tell of."""
    names = {str(run["name"]) for run in older}
    for run in older:
        noted = run.get("annotations") or {}
        names |= {key.removeprefix(FOR_ANNOTATION) for key in noted if key.startswith(FOR_ANNOTATION)}
    if names:
        annotations = {f"{FOR_ANNOTATION}{name}": "" for name in sorted(names)[-_MOST:] if len(name) <= _LONGEST_KEY}
        cluster.patch(newest, {"metadata": {"annotations": annotations}})


def _stop(cluster: Kubernetes, run: Document, newest: str) -> bool:
    """Stop a run, whose exit handler still runs, and say for which one. Return False if it is gone."""
    name, noted = str(run["name"]), run.get("annotations") or {}
    why = f"superseded by `{newest}`; {noted.get(DESCRIPTION, '')}".removesuffix("; ")
    notes = {BY_ANNOTATION: newest, DESCRIPTION: why}
    try:
        cluster.patch(name, {"metadata": {"annotations": notes}, "spec": {"shutdown": "Stop"}})
    except Denied as error:
        if error.status != 404:
            raise
        return False
    sys.stderr.write(f"{name} is stopped: {newest} is newer\n")
    return True
