"""Whose status of a commit counts: that of a newer run, of one that goes on in its place, or of one at another ref."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipelines.events.event import BY_ANNOTATION, RETRY_ANNOTATION
from pipelines.events.run_age import run_age
from pipelines.report import subject as report_subject
from pipelines.report.model import RELEASE, Subject
from pipelines.tools.forge.forge import Status, StatusState
from pipelines.tools.kubernetes import NAME, Denied, Document, Kubernetes

CLOSED = "stopped: its pull request was closed"
PHASE = "workflows.argoproj.io/phase"
GOES_ON = frozenset({"", "Pending", "Running"})
"""Phases of a run that has not ended."""
_GONE: Document = {"labels": {PHASE: "Failed"}}
"""Stands for the metadata of a run that is gone."""
_RUN = re.compile(r"\[([a-z0-9][a-z0-9.-]*)\]$")


@dataclass(kw_only=True)
class Precedence:
    """One run among those that tell of the same commits."""

    cluster: Kubernetes
    workflow: Document
    subject: Subject

    def __post_init__(self) -> None:
        metadata = self.workflow["metadata"]
        self.run, self.age = str(metadata["name"]), run_age(metadata)
        self.noted: Mapping[str, str] = metadata.get("annotations") or {}
        self.repeats = self.noted.get(RETRY_ANNOTATION, "")
        self.is_stopped = bool((self.workflow.get("spec") or {}).get("shutdown"))

    def newest(self, name: str) -> tuple[str, Mapping[str, str]]:
        """Return the run that goes on in place of a run, which may be itself, and its labels."""
        while newer := (self.metadata(name).get("annotations") or {}).get(BY_ANNOTATION, ""):
            name = newer
        return name, self.metadata(name).get("labels") or {}

    def metadata(self, name: str) -> Document:
        """Return the metadata of a run, of one that failed if it is gone."""
        try:
            return self.cluster.metadata(name) if NAME.fullmatch(name) else _GONE
        except Denied:
            return _GONE

    def kept(self, subject: Subject, current: Status | None, state: StatusState) -> str:
        """Return why the current status is kept, or an empty text."""
        if current is None:
            return ""
        if subject.waiting and not current.description.startswith(CLOSED):
            # A stranger may open a pull request with a commit of another one, whose status they must not change.
            return f"it says {current.state} already"
        if subject != self.subject and (current.state in {StatusState.SUCCESS, state} or state is StatusState.PENDING):
            # What an older run has said by its end stays, unless this one knows better.
            return "" if current.state is StatusState.PENDING else f"it says {current.state} already"
        reporter = reporter_of(current)
        if subject.maker:  # what its own run said is known no better
            return ""
        if reporter == self.run:
            # A pending report that was delayed comes after the final one.
            is_late = state is StatusState.PENDING and current.state is not state
            return "this run's end is reported already" if is_late else ""
        is_good = current.state is StatusState.SUCCESS
        # That the night had trouble, or that a run was stopped, says nothing of what is published.
        is_idle = is_good and state is StatusState.ERROR and (subject.quiet or self.is_stopped)
        if is_idle or (subject.quiet and state in {current.state, StatusState.PENDING}):
            return f"it says {current.state} already"
        if not NAME.fullmatch(reporter):
            return ""
        try:
            workflow = self.cluster.workflow(reporter)
        except Denied:
            # Gone, so older: runs are kept for a day at least. But what failed, and can be retried, is kept for longer
            # than a newer run that succeeded.
            is_newer = reporter != (self.repeats or reporter) and is_good
            return f"it says {current.state} already" if is_newer else ""
        other = report_subject.begun(workflow) or subject
        is_beside = other.ref != subject.ref and "" not in {other.ref, subject.ref}
        if subject.is_closed and is_beside:
            return f"{reporter} tells of this commit, which is another pull request's, too"
        if subject.context == RELEASE and other.commit == subject.commit and is_beside:
            # Pushed as a branch and as a tag, it is good once both are.
            phase = (workflow["metadata"].get("labels") or {}).get(PHASE, "")
            is_over = current.state is StatusState.PENDING and phase not in GOES_ON
            is_bad = state in {StatusState.FAILURE, StatusState.ERROR}
            return "" if is_bad or is_good or is_over else f"{reporter} tells of this commit at another ref, too"
        # What this run published is published, whatever becomes of a newer commit.
        is_handed = other.commit != subject.commit and state is StatusState.SUCCESS
        if run_age(workflow["metadata"]) > self.age and not is_handed:
            return f"the newer run {reporter} tells of this commit"
        return ""


def reporter_of(status: Status) -> str:
    """Return the run that set a status, from its description or its link, or an empty text."""
    match = _RUN.search(status.description)
    return match[1] if match else urlsplit(status.url).path.rpartition("/")[2]
