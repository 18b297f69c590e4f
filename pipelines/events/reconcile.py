"""The step `reconcile`: starts one run for each branch and tag of the night, whether or not a webhook came for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from pipelines.events import lanes, run_labels
from pipelines.events.event import GROUP_LABEL, NightlyRef, Reconciled, Tonight
from pipelines.step.signature import Arg
from pipelines.tools.kubernetes import Document, Kubernetes

TEMPLATE = "release"


def reconcile(
    *,
    tonight: Annotated[Tonight, Arg("what the step list-refs found")],
    account: Annotated[Path, Arg("folder of the account that may start runs")] = Path("../account"),
) -> Reconciled:
    """Start a run of `release` for each ref.

    It is named after repository, ref and night, so a second attempt finds the first one's runs.
    Names from the repository are in the run as base64, and in what people read of it. Mostly, such a run finds nothing
    to do.

    Example:
        shipway step reconcile --tonight=out/list-refs
    """
    cluster = Kubernetes(account)
    started: list[str] = []
    existing: list[str] = []
    for ref in tonight.refs:
        run = _run(ref, tonight.time)
        name = str(run["metadata"]["name"])
        (started if cluster.create(run) else existing).append(name)
        sys.stderr.write(f"{name}: {ref.ref}\n")
    return Reconciled(started=tuple(started), existing=tuple(existing))


def _run(ref: NightlyRef, time: str) -> Document:
    labels = {"app.kubernetes.io/name": "shipway", "app.kubernetes.io/component": "run", GROUP_LABEL: ref.group}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "name": f"nightly-{run_labels.slug(ref.repo, ref.ref)}-{lanes.key(ref.repo, ref.ref, time)[:16]}",
            "labels": labels | run_labels.labels(ref.repo, ref.ref, commit=ref.commit, lane=ref.lane),
            "annotations": run_labels.notes(ref.repo, ref.ref, "nightly run"),
        },
        "spec": {
            "workflowTemplateRef": {"name": TEMPLATE},
            "arguments": {"parameters": [{"name": "event", "value": ref.event}]},
        },
    }
