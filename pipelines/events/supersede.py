"""The step `supersede`: of the runs of one branch or pull request the newest goes on, the others are stopped.

It sees names, labels and times of runs, and nothing from outside: labels are hashes, and no specification is asked for.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

from pipelines.errors import Misuse
from pipelines.events.event import BY_ANNOTATION, GROUP_LABEL, REF_LABEL, Superseded
from pipelines.step.signature import Arg
from pipelines.tools.kubernetes import Denied, Document, Kubernetes

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_HASH = re.compile(r"[0-9a-f]{32}")


def supersede(
    *,
    run: Annotated[str, Arg("name of this run")],
    group: Annotated[str, Arg("the hash that runs of one repository, lane and ref share")],
    account: Annotated[Path, Arg("folder of the account that may list and stop runs")] = Path("../account"),
) -> Superseded:
    """Stop every older run of the group, also those that have not begun; or this one, where a newer one has come so far.

    Newer is what was created later, by name within one second. A run comes here only after its commit was found to be what
    the ref names; a newer run that has not is not yielded to, for its event may be an old one that came late.

    Example:
        shipway step supersede --run=push-1 --group=0123456789abcdef0123456789abcdef
    """
    if not (_NAME.fullmatch(run) and _HASH.fullmatch(group)):
        raise Misuse("not a run and its group", seen=f"{run[:80]!r}, {group[:80]!r}", todo="give what decode puts out")
    cluster = Kubernetes(account)
    own = cluster.metadata(run)
    # The label comes before the list: of two runs at once each then sees the other.
    cluster.patch(run, {"metadata": {"labels": {GROUP_LABEL: group}}})
    begun = cluster.unfinished(f"{GROUP_LABEL}={group}")
    newest = max([own, *begun], key=_age)["name"]
    if newest != run:
        _stop(cluster, run, newest)
        return Superseded(newest=newest, stopped=(run,))
    found = {other["name"]: other for other in begun}
    if ref := own.get("labels", {}).get(REF_LABEL, ""):
        found |= {
            other["name"]: other
            for other in cluster.unfinished(f"{REF_LABEL}={ref}")
            # One of another lane stays: the rules have changed since it began.
            if other.get("labels", {}).get(GROUP_LABEL, group) == group
        }
    older = sorted(name for name, other in found.items() if _age(other) < _age(own))
    return Superseded(newest=run, stopped=tuple(name for name in older if _stop(cluster, name, run)))


def _age(run: Document) -> tuple[str, str]:
    return str(run["creationTimestamp"]), str(run["name"])


def _stop(cluster: Kubernetes, run: str, newest: str) -> bool:
    """Stop a run and return True, or False where it is gone; its exit handler still runs."""
    try:
        cluster.patch(run, {"metadata": {"annotations": {BY_ANNOTATION: newest}}, "spec": {"shutdown": "Stop"}})
    except Denied as error:
        if error.status != 404:
            raise
        return False
    sys.stderr.write(f"{run} is stopped: {newest} is newer\n")
    return True
