"""The status of an application: from the source commits behind it to what Argo CD reports of it.

Reads Argo CD's Application objects, compares them with the files of the environments repository, and selects and prints
the applications that a question is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipelines.errors import Misuse

SETTLED, BROKEN, WAITING = "settled", "broken", "waiting"
"""Whether an application has become what its files ask for."""
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{7,64}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(/[a-z0-9]([a-z0-9-]*[a-z0-9])?)?")


@dataclass(frozen=True, kw_only=True)
class LiveState:
    """The status of an Application of Argo CD."""

    sync: str
    """Synced, OutOfSync, Unknown; empty before the first comparison."""
    health: str
    """Healthy, Progressing, Degraded, Suspended, Missing, Unknown."""
    operation: str
    """Running, Succeeded, Failed, Error, or empty."""
    message: str
    """Argo CD's message about a failed operation or condition, on one line."""
    revisions: tuple[str, ...]
    """What it was compared with, source by source: a chart's version, a commit."""
    targets: tuple[str, ...]
    """What these sources ask for: a version, a branch."""
    images: tuple[str, ...]
    """The images that its objects name."""
    since: float = 0.0
    """When the last operation ended or, if that was later, its health changed; seconds since 1970, 0 if unknown."""


@dataclass(frozen=True, kw_only=True)
class DeployedImage:
    """An image that an application's values name."""

    image: str
    """`registry.example.org/team/web`."""
    tag: str
    digest: str
    """The digest in the values, or the one that the tag names in the registry; empty if the registry has none."""
    revision: str
    """The commit that it was built from; empty if its labels, or an index's annotations, do not say."""
    source: str
    """The repository of that commit."""
    runs: bool | None
    """Whether this digest runs, as far as it is known: its pods run it or, if nothing is known of pods, its objects
    name it by its digest or by a tag that does not move. None if that is unknown."""
    why: str = ""
    """Why it does not run, or why that is unknown."""
    pods: tuple[str, ...] = ()
    """The digests that the pods run."""
    platforms: tuple[str, ...] = ()
    """The digests of the images for single platforms that it lists."""

    @property
    def is_contradicted(self) -> bool:
        """Whether pods run another image in its place."""
        return self.runs is False and bool(self.pods)


@dataclass(frozen=True, kw_only=True)
class ApplicationStatus:
    """One application of one environment, from the commits behind it to its health."""

    environment: str
    application: str
    chart: str
    version: str
    """The chart's version, or the revision of its Git repository."""
    chart_digest: str
    chart_revision: str
    """The commit that the chart was released from."""
    commit: str
    """The commit of the environments repository."""
    images: tuple[DeployedImage, ...]
    state: LiveState | None
    """None if no cluster was asked, or Argo CD has no such application."""
    fault: str
    """Why a part of the status is unknown; empty if nothing is."""

    @property
    def path(self) -> str:
        """Its folder in the environments repository, `dev/web`."""
        return f"{self.environment}/{self.application}"

    @property
    def full_name(self) -> str:
        """The name of its Application in Argo CD."""
        return f"{self.environment}-{self.application}"

    @property
    def is_at_version(self) -> bool:
        """Whether Argo CD has compared it with its chart's version."""
        return self.state is not None and self.version in (*self.state.targets, *self.state.revisions)

    @property
    def source_commits(self) -> frozenset[str]:
        """The commits that its images were built from, and its chart released from."""
        return frozenset({*(image.revision for image in self.images), self.chart_revision} - {""})


def live_state(document: Mapping[str, Any]) -> LiveState:
    """Return the status of an Application object; missing fields are empty."""
    status = document.get("status") or {}
    sync = status.get("sync") or {}
    operation = status.get("operationState") or {}
    compared = sync.get("comparedTo") or {}
    sources = compared.get("sources") or [compared.get("source") or {}]
    failed = operation.get("phase") in {"Failed", "Error"} or "Retrying" in str(operation.get("message"))
    conditions = [item for item in status.get("conditions") or () if "Error" in str(item.get("type"))]
    messages = [str(item.get("message") or "") for item in (*([operation] if failed else ()), *conditions)]
    return LiveState(
        sync=str(sync.get("status") or ""),
        health=str((status.get("health") or {}).get("status") or ""),
        operation=str(operation.get("phase") or ""),
        message=" ".join(" ".join(messages).split())[:300],
        revisions=tuple(map(str, sync.get("revisions") or filter(None, [sync.get("revision")]))),
        targets=tuple(str(source.get("targetRevision") or "") for source in sources),
        images=tuple(map(str, (status.get("summary") or {}).get("images") or ())),
        since=max(
            _seconds(operation.get("finishedAt")), _seconds((status.get("health") or {}).get("lastTransitionTime"))
        ),
    )


def _seconds(text: object) -> float:
    """Return a moment of Kubernetes' in seconds since 1970, 0 if it is none."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0


def rollout(status: ApplicationStatus) -> str:
    """Return SETTLED, BROKEN or WAITING.

    An application waits until Argo CD has compared it with its chart's version and with the commit of its files, or
    with their images if a later commit has replaced theirs. The version counts by itself: an ApplicationSet writes it
    some seconds after Argo CD has seen the commit, and until then all of the old version is Synced and Healthy. It
    waits as long as its pods run other images than its files name.
    """
    state = status.state
    if state is None:
        return WAITING
    compared = status.is_at_version and (
        status.commit in state.revisions
        or (bool(status.images) and all(image.runs is not False for image in status.images))
    )
    if not compared or state.operation == "Running":
        # A sync that is retried again and again is reported as running; its health shows the result.
        return BROKEN if compared and state.health == "Degraded" else WAITING
    if state.sync == "Synced" and state.health == "Healthy":
        return WAITING if any(image.is_contradicted for image in status.images) else SETTLED
    return BROKEN if state.health == "Degraded" or state.operation in {"Failed", "Error"} else WAITING


def matching(
    statuses: Iterable[ApplicationStatus], question: str, descendants: Iterable[str] = ()
) -> tuple[ApplicationStatus, ...]:
    """Return the applications that run a commit or a digest, or have a name; raises Misuse if it is none of these.

    A name is `web` or `dev/web`. `descendants` are later commits whose history contains the one in question.
    """
    if _DIGEST.fullmatch(question):
        return tuple(status for status in statuses if any(digest.startswith(question) for digest in _digests(status)))
    named = tuple(status for status in statuses if question in {status.application, status.path})
    if named or not _COMMIT.fullmatch(question):
        if not _NAME.fullmatch(question):
            raise Misuse(
                "neither a commit, nor a digest, nor an application",
                seen=repr(question[:100]),
                todo="give a commit of 7 digits or more, sha256:…, or a name: web, dev/web",
            )
        return named
    prefixes = (question, *descendants)
    return tuple(s for s in statuses if any(commit.startswith(prefixes) for commit in {*s.source_commits, s.commit}))


def is_commit(question: str) -> bool:
    """Whether a question is a full commit id, whose history can be searched."""
    return _COMMIT.fullmatch(question) is not None and len(question) in {40, 64}


def table(statuses: Sequence[ApplicationStatus]) -> str:
    """Return applications as lines for a terminal, one for each image, with their faults below."""
    head = ("APPLICATION", "CHART", "IMAGE", "DIGEST", "SOURCE", "ENVIRONMENTS", "SYNC", "HEALTH", "RUNS")
    lines = [head]
    for status in statuses:
        state = status.state
        first = (status.path, f"{status.chart.rpartition('/')[2]} {status.version[:12]}")
        last = (status.commit[:8], state.sync if state else "?", state.health if state else "?")
        for image in status.images:
            runs = {True: "yes", False: "no", None: "unknown" if state else "?"}[image.runs]
            cells = (image.image.rpartition("/")[2], image.digest[7:19] or "none", image.revision[:8] or "?")
            lines.append((*first, *cells, *last, runs))
        if not status.images:
            lines.append((*first, "", "", status.chart_revision[:8], *last, ""))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    faults = [f"{status.path}: {status.fault}" for status in statuses if status.fault]
    faults += [
        f"{item.path}: {image.image.rpartition('/')[2]}: {image.why}"
        for item in statuses
        for image in item.images
        if image.why
    ]
    faults += [f"{item.path}: {item.state.message}" for item in statuses if item.state and item.state.message]
    return "".join(f"{line}\n" for line in (*rows, *faults))


def _digests(status: ApplicationStatus) -> tuple[str, ...]:
    live = tuple(image.partition("@")[2] for image in status.state.images) if status.state else ()
    named = (digest for image in status.images for digest in (image.digest, *image.platforms, *image.pods))
    return (*named, status.chart_digest, *live)
