"""Runs on the cluster: creates, finds, watches and stops Workflows through the Kubernetes API alone."""

from __future__ import annotations

import copy
import re
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pipelines.bounds import read_json
from pipelines.engines.cluster import names, problems
from pipelines.engines.cluster.api import ANYTHING, Api, Query
from pipelines.errors import ShipwayError, Transient
from pipelines.events import event, run_labels
from pipelines.tools.kubernetes import ARGO, METADATA, Denied, Document, Lost

FINAL = frozenset({"Succeeded", "Failed", "Error"})
WATCH_SECONDS = 50
SILENCE_SECONDS = 60.0
"""A watch ends by itself before that; a longer silence means that the connection has died."""
AGAIN_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
# The fields of a template's spec that a composed run needs itself: Argo takes none of them from a referenced template.
_FRAME = ("serviceAccountName", "automountServiceAccountToken", "executor", "ttlStrategy", "podGC")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BEFORE = re.compile(r"^(?:retry of `[^`]+`(?:: )?|superseded by `[^`]+`(?:; )?)+")
"""What stands in a description before what started the first run."""
_LANES = {"release": "trusted", "check": "untrusted"}
"""Of what a person starts."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Described:
    """What people know a run by, beside its name."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]


NOTHING = Described(labels={}, annotations={})


class Runs:
    """The Workflows of one namespace."""

    def __init__(self, api: Api, *, again_seconds: tuple[float, ...] = AGAIN_SECONDS) -> None:
        """`again_seconds` are the pauses between tries of a request that gets no answer."""
        self.api = api
        self.again_seconds = again_seconds
        self.path = f"{ARGO}/namespaces/{api.namespace}/workflows"

    def template(self, name: str) -> Document:
        """Return an installed WorkflowTemplate; raises Misconfigured if it, the chart or Argo is missing."""
        path = f"{ARGO}/namespaces/{self.api.namespace}/workflowtemplates/{names.check('WorkflowTemplate', name)}"
        return self._ask(lambda: self.api.call("GET", path), "get", "workflowtemplates", name)

    def settings(self) -> dict[str, str]:
        """Return the installation's settings, from the ConfigMap `shipway`; empty if there is none."""
        path = f"/api/v1/namespaces/{self.api.namespace}/configmaps/{names.CONFIG_MAP}"
        config_map = self._if_exists(path, "configmaps", names.CONFIG_MAP) or {}
        return {str(key): str(value) for key, value in (config_map.get("data") or {}).items()}

    def submit(self, begin: str, spec: Mapping[str, Any], described: Described = NOTHING) -> str:
        """Make a run of a spec, with labels and annotations, and return its name, which begins with `begin`.

        The name is chosen here and the run is marked: when the answer is lost, asking again finds the run that was
        made.
        """
        mark = secrets.token_hex(8)
        labels = {names.APP_LABEL: names.APP, **described.labels}
        if "workflowTemplateRef" in spec:
            labels[names.TEMPLATE_LABEL] = spec["workflowTemplateRef"]["name"]
        for _ in range(5):
            name = f"{begin}-{secrets.token_hex(3)}"
            document: Document = {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Workflow",
                "metadata": {
                    "name": name,
                    "labels": labels,
                    "annotations": {names.MARK: mark, **described.annotations},
                },
                "spec": dict(spec),
            }
            if self._create(document, mark):
                return name
        raise Transient("no free name for the run", todo="try again")

    def get(self, name: str) -> Document:
        """Return a run; raises ShipwayError if there is none."""
        return self._ask(lambda: self.look(name), "get", "workflows", name)

    def look(self, name: str) -> Document:
        """Return a run, with one request; raises Lost or Denied."""
        return self.api.call("GET", f"{self.path}/{names.check('run', name)}")

    def newest(self, most: int, labels: Mapping[str, str] | None = None, *, commit: str = "") -> list[Document]:
        """Return so many runs of the namespace, the newest first; all of them for 0.

        They have the `labels`, and a commit that begins with `commit`. A run is large, and there may be thousands,
        which the API lists by name: so names and times of all are asked for, and then the runs that are wanted.
        """
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())} if labels else None
        listed = self._ask(
            lambda: self.api.call("GET", self.path, query=query, accept=METADATA.format("List") if most else ANYTHING),
            "list",
            "workflows",
        )
        items = sorted(
            (
                run
                for run in listed.get("items", ())
                if run["metadata"].get("labels", {}).get(run_labels.COMMIT_LABEL, "").startswith(commit)
            ),
            key=lambda run: str(run["metadata"]["creationTimestamp"]),
            reverse=True,
        )
        if not most:
            return items
        listed_names = [names.check("run", item["metadata"]["name"]) for item in items[:most]]
        found = [self._if_exists(f"{self.path}/{name}", "workflows", name) for name in listed_names]
        return [run for run in found if run]  # one may have been deleted after the list

    def watch(self, name: str, version: str) -> Iterator[Document]:
        """Yield a run's later states until the watch ends, which is often.

        Raises Lost, Denied, or ShipwayError if the run is deleted.
        """
        query: Query = {
            "watch": True,
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": version,
            "timeoutSeconds": WATCH_SECONDS,
        }
        for line in self.api.lines(self.path, query=query, silence_seconds=SILENCE_SECONDS):
            try:
                event = read_json(line, "the watch")
            except ValueError as error:
                raise Lost("the watch broke off within a line") from error
            if event["type"] == "DELETED":
                raise gone(name)
            if event["type"] == "ERROR":  # most often 410: the version is too old to watch from
                return
            yield event["object"]

    def stop(self, name: str) -> None:
        """Ask Argo to stop a run; its exit handler still runs. A run that has ended stays as it is."""
        path = f"{self.path}/{names.check('run', name)}"
        patch: Document = {"spec": {"shutdown": "Stop"}}
        self._ask(lambda: self.api.call("PATCH", path, body=patch), "stop", "workflows", name)

    def _if_exists(self, path: str, kind: str, name: str) -> Document | None:
        """Return an object, or None if there is none."""

        def read() -> Document | None:
            try:
                return self.api.call("GET", path)
            except Denied as error:
                if error.status == 404:
                    return None
                raise

        return self._ask(read, "get", kind, name)

    def _create(self, document: Document, mark: str) -> bool:
        """Create a run and return True, or False if another one has its name."""

        def once() -> bool:
            try:
                self.api.call("POST", self.path, body=document)
            except Denied as error:
                if error.status != 409:
                    raise
                existing = self.look(document["metadata"]["name"])
                return bool(existing["metadata"].get("annotations", {}).get(names.MARK) == mark)
            return True

        return self._ask(once, "create", "workflows")

    def _ask(self, call: Callable[[], T], verb: str, kind: str, name: str = "") -> T:
        """Return the result of a call, repeated while it gets no answer; raises its errors in words for people.

        A message on stderr says once that it waits.
        """
        pauses = iter(self.again_seconds)
        is_reported = False
        while True:
            try:
                return call()
            except Denied as error:
                raise problems.denied(self.api, error, verb, kind, name) from error
            except Lost as error:
                pause = next(pauses, None)
                if pause is None:
                    raise problems.lost(self.api, error) from error
                if not is_reported:
                    is_reported = True
                    seconds = f"{sum(self.again_seconds):.0f}"
                    sys.stderr.write(
                        f"shipway: the cluster {self.api.server} does not answer; asking again for {seconds} s\n"
                    )
                threading.Event().wait(pause)


def of_template(name: str, arguments: Mapping[str, str], *, parallelism: int | None = None) -> Document:
    """Return the spec of a run of an installed template."""
    parameters = [{"name": key, "value": value} for key, value in arguments.items()]
    spec: Document = {"workflowTemplateRef": {"name": name}, "arguments": {"parameters": parameters}}
    return spec | ({"parallelism": parallelism} if parallelism else {})


def composed(workflow: Mapping[str, Any], template: Mapping[str, Any], *, parallelism: int | None = None) -> Document:
    """Return the spec of a Workflow document with the accounts and keeping times of an installed template."""
    frame = {key: template["spec"][key] for key in _FRAME if key in template["spec"]}
    spec = {**frame, **workflow["spec"]}
    return spec | ({"parallelism": parallelism} if parallelism else {})


def described(template: str, arguments: Mapping[str, str]) -> tuple[str, Described]:
    """Return what the name of a run by hand begins with, and what else people know it by."""
    if not (repo := arguments.get("repo", "")):
        return template, NOTHING
    revision = arguments.get("revision") or "HEAD"
    commit = revision if _COMMIT.fullmatch(revision) else ""
    ref = arguments.get("ref") or ("" if commit else revision)
    labels = run_labels.labels(repo, ref, commit=commit, lane=_LANES.get(template, ""))
    notes = run_labels.notes(repo, ref or commit[:10], "asked for by hand")
    return f"{template}-{run_labels.slug(repo, ref or commit)}", Described(labels=labels, annotations=notes)


def again(run: Mapping[str, Any]) -> tuple[str, Document, Described]:
    """Return what submits the same run again: the beginning of its name, its spec, and what people know it by."""
    spec = copy.deepcopy(dict(run["spec"]))
    spec.pop("shutdown", None)
    spec.pop("suspend", None)
    name, metadata = str(run["metadata"]["name"]), run["metadata"]
    # GROUP_LABEL says that a run's event was confirmed, so the new run sets it itself.
    kept = (run_labels.OURS, event.REF_LABEL)
    labels = {key: value for key, value in metadata.get("labels", {}).items() if key.startswith(kept)}
    old = metadata.get("annotations", {})
    started = _BEFORE.sub("", old.get(run_labels.DESCRIPTION, ""))
    why = f"retry of `{name}`" + (f": {started}" if started else "")
    title = {run_labels.TITLE: old[run_labels.TITLE]} if run_labels.TITLE in old else {}
    first = old.get(event.FIRST_ANNOTATION) or metadata["creationTimestamp"]
    notes = {event.RETRY_ANNOTATION: name, event.FIRST_ANNOTATION: first, run_labels.DESCRIPTION: why, **title}
    notes |= {key: text for key, text in old.items() if key.startswith(event.FOR_ANNOTATION)}
    return name.rpartition("-")[0] or template_of(run), spec, Described(labels=labels, annotations=notes)


def template_of(run: Mapping[str, Any]) -> str:
    """Return the name of the template that a run was made from, or the beginning of the run's own name."""
    named = run["spec"].get("workflowTemplateRef", {}).get("name")
    label = run["metadata"].get("labels", {}).get(names.TEMPLATE_LABEL)
    return str(named or label or run["metadata"]["name"].rpartition("-")[0] or run["metadata"]["name"])


def phase(run: Mapping[str, Any]) -> str:
    """Return a run's phase; Pending before any controller has seen it."""
    return str(run.get("status", {}).get("phase") or "Pending")


def gone(name: str) -> ShipwayError:
    """Return the error for a run that somebody deleted while it was followed."""
    return ShipwayError(f"the run {name} was deleted", seen="it is no longer on the cluster", todo="submit it again")
