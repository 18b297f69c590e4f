"""The step `report`: reports to the forge what became of a run, from the run's name alone.

Everything else is read through the Kubernetes API, so that no text of a commit, a log or an error is passed as an
argument. The last status wins on a forge, so a report first asks whether a newer run has reported about the same
commit.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pipelines.errors import Misuse, ShipwayError, Transient
from pipelines.events.decode import LaneSettings
from pipelines.events.event import BY_ANNOTATION, FOR_ANNOTATION, Lane
from pipelines.events.run_labels import LANE_LABEL
from pipelines.release.result import ReleaseResult
from pipelines.report import result as report_result
from pipelines.report import run as report_run
from pipelines.report import subject as report_subject
from pipelines.report import text as report_text
from pipelines.report.causes import Causes
from pipelines.report.model import ANSWER, CHECK, MARKER, RELEASE, Failure, Reported, Subject
from pipelines.report.precedence import CLOSED, GOES_ON, PHASE, Precedence, reporter_of
from pipelines.step.groups import NetworkSettings
from pipelines.step.parameters import ForgeLogins, Forges
from pipelines.step.signature import Arg, Group
from pipelines.tools.forge import connect as forge_connect
from pipelines.tools.forge.connect import FORGES, NoForge
from pipelines.tools.forge.forge import Forge, Status, StatusState
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.kubernetes import NAME, Denied, Kubernetes

PENDING, FINAL = "pending", "final"
_AT_FAULT = frozenset({1, 2, 3})
"""Exit codes that say that the commit is at fault. Any other, and a pod without one, is trouble of the run itself."""
_COMPLETED = "workflows.argoproj.io/completed"
_TOLD = {StatusState.PENDING: "goes on", StatusState.SUCCESS: "published"}
_WAITS = "waits until a maintainer writes /ok-to-test and this commit"
_MOST_CHARACTERS = 64_000
"""Of a comment; GitHub takes 65,536, and a hidden line comes before it."""
_COMMENTED = re.compile(r"<!-- run ([0-9TZ:+.-]+) ([a-z0-9.-]+) -->")


def report(
    *,
    run: Annotated[str, Arg("name of the run")],
    phase: Annotated[str, Arg("pending: it has begun, or final: it has ended")],
    account: Annotated[Path, Arg("folder of the account that may read runs; none: not on a cluster")] = Path(
        "../account"
    ),
    logins: ForgeLogins = Path("../forge"),
    forges: Forges = FORGES,
    network: Annotated[NetworkSettings, Group(without=("mirrors",))],
    argo_ui: Annotated[str, Arg("address of the Argo UI", setting="argo-ui")] = "",
    rules: Annotated[LaneSettings, Group(without=("max_age",))],
) -> Reported:
    """Set the status of a run's commit and, once the run has ended, write the one comment under its pull request.

    Without a cluster, and for a repository whose forge no setting names, nothing is reported. Raises Transient if the
    forge does not answer.

    Example:
        shipway step report --run=push-1 --phase=final
    """
    if not NAME.fullmatch(run) or phase not in {PENDING, FINAL}:
        raise Misuse("not a run's name and its phase", seen=f"{run[:80]!r}, {phase[:20]!r}", todo="pending or final")
    if not (account / "token").exists():
        return _not_reported("not on a cluster: there is nobody to tell")
    cluster = Kubernetes(account)
    workflow = cluster.workflow(run)

    subject = report_subject.of_run(workflow, rules)
    if subject is None:
        return _not_reported("the run names no commit to report on")
    try:
        forge = forge_connect.connect(RepositoryUrl(subject.repo), logins, forges=forges, network=network)
    except NoForge as error:
        return _not_reported(f"{error.what}: {error.seen}")
    link = f"{argo_ui.rstrip('/')}/workflows/{quote(cluster.namespace)}/{quote(run)}" if argo_ui else ""
    told = _Report(cluster=cluster, workflow=workflow, subject=subject, forge=forge, link=link, rules=rules)
    return told.write(phase)


@dataclass(kw_only=True)
class _Report(Precedence):
    """One report of one run."""

    forge: Forge
    link: str
    rules: LaneSettings
    replaced: str = ""
    """The run whose status this one replaced."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.causes = Causes(cluster=self.cluster, workflow=self.workflow)

    def write(self, phase: str) -> Reported:
        """Report to the forge unless a newer run does, also about the runs that were stopped for this one."""
        answer = ""
        if self.subject.answer and phase == FINAL:
            answer = self.forge.comment(self.subject.number, ANSWER, report_text.answer(self.subject.answer))
        if not self.subject.commit:
            return _not_reported(self.subject.answer, answer)
        if self.subject.newer:
            return self._follow(self.subject.newer)
        if self.is_stopped and (phase == PENDING or self.subject.is_closed):
            return _not_reported("it was stopped")
        if self.subject.is_closed:
            return self._write_closed(phase)
        if newer := self._superseded():
            return _not_reported(f"{newer} tells of this commit", answer)
        state, reason = (StatusState.PENDING, "it has begun") if phase == PENDING else self._end()
        if self.subject.waiting:
            state, reason = StatusState.PENDING, _WAITS
        done = self._write_own(phase, state, reason, answer)
        for name in self._stopped():
            self._tell(name, state)
        deployed = report_run.outputs(self.workflow, "deploy")
        made, source = deployed.get("made", ""), deployed.get("made-of", "")
        if self.subject.commit in {made, source}:
            self._tell_commit(replace(self.subject, commit=made, maker=self.repeats or self.run), state)
            # The person's, whose own run may have been killed.
            self._tell_commit(replace(self.subject, commit=source, maker=""), state)
        return done

    def _follow(self, other: str) -> Reported:
        """Tell the subject what became of another commit; raises Transient until that is known.

        The exit handler tries again for half an hour. A commit that was told anything is left to whoever told it,
        unless that run was killed and left it pending.
        """
        commit, maker = self.subject.commit, self.subject.maker
        current = self.forge.status(commit, RELEASE)
        is_left = current and self.newest(reporter_of(current))[1].get(PHASE, "") not in GOES_ON
        if current and not (is_left and current.state is StatusState.PENDING):
            return _not_reported(f"it says {current.state} already")
        # Asked first: what it has told by its end is there then.
        phase = self.newest(maker)[1].get(PHASE, "") if maker else ""
        end = self.forge.status(other, RELEASE)
        state = end.state if end else StatusState.PENDING
        if state is StatusState.PENDING and phase not in GOES_ON:  # it was terminated
            state = StatusState.SUCCESS if phase == "Succeeded" else StatusState.ERROR
        if state is StatusState.PENDING:
            raise Transient(
                f"nobody knows yet what becomes of {other}, and so of {commit}",
                seen=f"{RELEASE} says {end.state if end else 'nothing'}",
                todo="it is asked again",
            )
        return self._set(self.subject, state, _with(state, other, maker))

    def _write_closed(self, phase: str) -> Reported:
        """End what the runs of a closed pull request left pending, also one that waited for a maintainer."""
        current = self.forge.status(self.subject.commit, CHECK) if phase == FINAL else None
        if current is None or current.state is not StatusState.PENDING:
            return _not_reported("nothing of the pull request is pending")
        if why := self.kept(self.subject, current, StatusState.ERROR):
            return _not_reported(why)
        return self._set(self.subject, StatusState.ERROR, CLOSED)

    def _write_own(self, phase: str, state: StatusState, reason: str, address: str) -> Reported:
        commit, context = self.subject.commit, self.subject.context
        result, failed = report_result.release_result(self.workflow), list[Failure]()
        if state not in {StatusState.PENDING, StatusState.SUCCESS}:
            failed = self.causes.failures(result)
            result = self.causes.explained(result)
        is_ours = context == RELEASE
        words = report_text.headline(result, failed, is_ours=is_ours) if failed or result else ""
        words = words or report_run.outputs(self.workflow, "verdict").get("verdict", "")
        words = words or ("done" if state is StatusState.SUCCESS else "it did not come to its end")
        reason = f"retry of {self.repeats}: {reason or words}" if self.repeats else reason
        description = report_text.line(reason or words)
        current = self.forge.status(commit, context)
        # The comment first, so that it is there for whoever follows the status. It is the pull request's own: the push
        # of the same commit may have the status, and has no comment.
        if phase == FINAL and self.subject.number and not self.subject.waiting:
            address = self._comment(state, reason, result, failed)
        self._end_waiting(self.subject, state, description)
        if why := self.kept(self.subject, current, state):
            return _not_reported(why, address)
        self.replaced = reporter_of(current) if current else ""
        return replace(self._set(self.subject, state, description), comment=address)

    def _set(self, subject: Subject, state: StatusState, text: str) -> Reported:
        """Set a status, whose description names this run if no link does."""
        description = text if self.link else f"{text[: Forge.longest_description - len(self.run) - 3]} [{self.run}]"
        status = Status(context=subject.context, state=state, description=description, url=self.link)
        self.forge.set_status(subject.commit, status)
        sys.stderr.write(f"{subject.commit} {subject.context}: {state}, {description}\n")
        return Reported(state=str(state), reason=description, comment="")

    def _end_waiting(self, subject: Subject, state: StatusState, text: str) -> None:
        """End what a run that was killed left pending for environments: nobody waits for them any more."""
        if state is StatusState.PENDING or subject.context != RELEASE:
            return
        ended = state if state is StatusState.SUCCESS else StatusState.ERROR
        for status in self.forge.statuses(subject.commit, "shipway/"):
            if status.state is StatusState.PENDING and status.context not in {RELEASE, CHECK}:
                why = f"nobody waits for it any more: {text}"
                self._set(replace(subject, context=status.context), ended, why)

    def _stopped(self) -> list[str]:
        """Return the runs that were stopped for this one, also for those among them, or for one that it stands for."""
        noted = set(self.noted)
        if self.replaced != self.run:
            noted |= (self.metadata(self.replaced).get("annotations") or {}).keys()
        return sorted(key.removeprefix(FOR_ANNOTATION) for key in noted if key.startswith(FOR_ANNOTATION))

    def _tell(self, name: str, state: StatusState) -> None:
        """Tell the commit of a stopped run that this one goes on with it or, once that is known, how it ended."""
        try:
            if other := report_subject.of_run(self.cluster.workflow(name), self.rules):
                self._tell_commit(replace(other, maker=""), state)
        except Transient:
            raise
        except ShipwayError as error:  # its commit or its run may be gone
            sys.stderr.write(f"{name}: {error.what}: {error.seen}\n")

    def _tell_commit(self, other: Subject, state: StatusState) -> None:
        # A check tells of its own commit alone, whatever became of a later one.
        own = self.subject
        if not other.commit or (other.repo, other.context) != (own.repo, RELEASE) or other.commit == own.commit:
            return
        text = _with(state, own.commit, other.maker)
        self._end_waiting(other, state, text)
        if why := self.kept(other, self.forge.status(other.commit, RELEASE), state):
            sys.stderr.write(f"{other.commit}: {why}\n")
            return
        self._set(other, state, text)

    def _end(self) -> tuple[StatusState, str]:
        """Return how the run ended, and why if its parts do not say it."""
        if self.is_stopped:
            return self._handed_over() if self.noted.get(BY_ANNOTATION) else (StatusState.ERROR, "stopped")
        root = report_run.root(self.workflow)
        if root is None:
            return StatusState.ERROR, "it never began"
        if root.get("phase") == "Succeeded":
            return StatusState.SUCCESS, ""
        pods = self.causes.pods()
        if any(pod.code in _AT_FAULT for pod in pods):
            return StatusState.FAILURE, ""
        nodes = report_run.nodes_of(self.workflow).values()
        is_late = not pods and any("deadline" in str(node.get("message")) for node in nodes)
        return StatusState.ERROR, "it took too long" if is_late else ""

    def _handed_over(self) -> tuple[StatusState, str]:
        """Return the end of a run that was stopped for a newer one which does not tell of its commit any more."""
        name, labels = self.newest(self.noted[BY_ANNOTATION])
        phase = labels.get(PHASE, "")
        if labels.get(LANE_LABEL) == Lane.CLOSED:
            return StatusState.ERROR, CLOSED
        if phase == "Succeeded" and self.subject.context == RELEASE:
            return StatusState.SUCCESS, f"published by the newer run {name}"
        return StatusState.ERROR, f"stopped: the newer run {name} {'goes on' if phase in GOES_ON else 'has ended'}"

    def _superseded(self) -> str:
        """Return the newer run that this one was stopped for, if it is about the same commit or tells of this one."""
        name = self.noted.get(BY_ANNOTATION, "")
        if not NAME.fullmatch(name):
            return ""
        try:
            workflow = self.cluster.workflow(name)
        except Denied:
            return ""
        metadata, other = workflow["metadata"], report_subject.begun(workflow)
        if other and (other.commit, other.context) == (self.subject.commit, self.subject.context):
            return name
        is_noted = f"{FOR_ANNOTATION}{self.run}" in (metadata.get("annotations") or {})
        has_ended = (metadata.get("labels") or {}).get(_COMPLETED) == "true"
        return name if is_noted and not has_ended and self.subject.context == RELEASE else ""

    def _comment(self, state: StatusState, reason: str, result: ReleaseResult | None, failed: Sequence[Failure]) -> str:
        created, name = self.age
        text = report_text.comment(
            state=state, reason=reason, commit=self.subject.commit, link=self.link, result=result, failures=failed
        )
        impact = report_result.decoded(self.workflow, "impact", "markdown")
        text = "\n\n".join(filter(None, (text, report_text.impact(impact, room=_MOST_CHARACTERS - len(text)))))

        def is_newer(body: str) -> bool:
            match = _COMMENTED.search(body)
            return match is not None and (match[1], match[2]) > self.age

        return self.forge.comment(
            self.subject.number, MARKER, f"<!-- run {created} {name} -->\n{text}", unless=is_newer
        )


def _with(state: StatusState, other: str, maker: str) -> str:
    """Return what is said of a commit whose end is that of another one: a newer one's, or one it was made of."""
    how = f"of which run {maker} made it" if maker else "pushed after it"
    return f"{_TOLD.get(state, 'failed')} with {other[:12]}, {how}"


def _not_reported(why: str, comment: str = "") -> Reported:
    sys.stderr.write(f"{why}\n")
    return Reported(state="", reason=why, comment=comment)
