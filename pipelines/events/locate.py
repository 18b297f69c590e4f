"""The step `locate`: compares an event with the repository itself, before anything is done for it."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

from pipelines.errors import Refused
from pipelines.events import event as event_event
from pipelines.events import lanes
from pipelines.events.decode import LaneSettings, RunInputs, decode
from pipelines.events.event import Decoded, EventKind, Lane, Push, Sender
from pipelines.events.lanes import LaneRules
from pipelines.release import own_commit
from pipelines.step.groups import NetworkSettings
from pipelines.step.parameters import GitLogin, Patience
from pipelines.step.signature import Group
from pipelines.tools.git import history as git_history
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git

TAGS = "refs/tags/"
PATIENCE_SECONDS = 15
_UNASKED = frozenset({EventKind.PUSH, EventKind.PULL_REQUEST, EventKind.NIGHTLY})
"""What no person asks for, so that a commit's message may ask for nothing to run."""


def locate(
    *,
    inputs: Annotated[RunInputs, Group()],
    rules: Annotated[LaneSettings, Group()],
    credentials: GitLogin = Path("../git"),
    network: Annotated[NetworkSettings, Group(without=("plain_http", "mirrors"))],
    patience: Patience = PATIENCE_SECONDS,
) -> Decoded:
    """Decode an event as the step decode does, and compare it with what its ref names now. Raises what decode raises.

    An event may be late or early. If its commit is in the ref's history but no longer its head, it is ignored: the
    newer commit has an event of its own, unless a run of ours made it of this one. If its commit was never on a
    protected ref, Refused is raised: a forge also serves, by id, commits that only a fork has. `/retest` names no
    commit, so it approves none: a commit that is on no branch of the repository waits, and so does an `/ok-to-test`
    without a whole commit. A person's request is not compared with the ref's head. A commit whose message says
    [skip ci] is ignored at a branch and a pull request, unless somebody asks for it.

    Example:
        shipway step locate --event="$(base64 -w0 event.json)" --outputs=out/main
    """
    decoded = decode(inputs=inputs, rules=rules)
    is_incomplete = decoded.lane is Lane.WAITING and decoded.kind is EventKind.COMMENT
    nothing = {Lane.IGNORED, Lane.WAITING, Lane.CLOSED}
    if decoded.source is Sender.HAND or (decoded.lane in nothing and not is_incomplete):
        return decoded
    with Git(GitCredentials.read(credentials), ca_file=network.authorities) as git:
        located = _located(git, decoded, patience)
        if decoded.kind in _UNASKED:
            event = event_event.read(inputs.event)
            # What decode has seen of a message is all of it, unless the Sensor cut it.
            is_read = isinstance(event, Push) and 0 < len(event.message.encode()) < event_event.longest("message")
            located = _unless_skipped(git, decoded, located, rules.read(), is_read=is_read)
    sys.stderr.write(f"{located.ref}: {located.lane}, {located.reason}\n")
    return located


def _located(git: Git, decoded: Decoded, patience: int) -> Decoded:
    url = RepositoryUrl(decoded.repo)
    deadline = time.monotonic() + patience
    tag = decoded.ref.startswith(TAGS)
    while True:
        now = git.target(url, decoded.ref)
        if now is not None and decoded.head in {"", now.object, now.commit}:
            event = _at(decoded, now.commit)
            if decoded.lane is Lane.WAITING:
                return dataclasses.replace(event, reason=f"{decoded.reason}; the pull request is at {now.commit}")
            if decoded.kind is EventKind.COMMENT and not decoded.head and not _is_own(git, url, now.commit):
                return dataclasses.replace(event, lane=Lane.WAITING, reason=lanes.waiting(now.commit))
            return event
        if now is not None and not tag and _has(git, decoded):
            if decoded.kind is EventKind.MANUAL:
                return decoded
            own = own_commit.read(git, url, now.commit) if decoded.kind is EventKind.PUSH else None
            if own and own.source == decoded.head:
                # Built is what a run made of it, which is the same but for values; reported on is the commit itself.
                return dataclasses.replace(decoded, revision=now.commit)
            # What a run made says that it was made; the person's commit says what became of it.
            return _ignored(decoded, lanes.late(decoded.ref, own.source if own else now.commit))
        # A forge may send the event of a push before all of its servers know of it.
        if time.monotonic() >= deadline:
            break
        time.sleep(min(3.0, max(0.0, deadline - time.monotonic())))
    if now is None:
        return _ignored(decoded, "the ref is gone")
    if decoded.lane is Lane.TRUSTED and not tag:
        raise Refused(
            f"{decoded.head} is not on {decoded.ref}",
            seen=f"{decoded.ref} is at {now.commit}, and its history has no such commit",
            todo="push the commit to the branch, or ask for one that is on it",
        )
    return _ignored(decoded, f"{decoded.ref} is at {now.commit} by now, without it")


def _unless_skipped(git: Git, decoded: Decoded, located: Decoded, rules: LaneRules, *, is_read: bool) -> Decoded:
    """Return a located event, unless a message asks for nothing to run: its commit's, or a newer one's.

    No event is late because of a newer commit that nothing runs for.
    """
    newer = lanes.newer(located.reason)
    if not newer and (is_read or located.lane is Lane.IGNORED):
        return located
    with tempfile.TemporaryDirectory(prefix="shipway-message-") as folder:
        url, commit = RepositoryUrl(located.repo), newer or located.head
        message = git_history.message(git, url, commit, located.ref, Path(folder) / "git")
    why = lanes.skipped(located.ref, message, rules)
    if newer:
        return decoded if why else located
    return _ignored(located, why) if why else located


def _has(git: Git, decoded: Decoded) -> bool:
    with tempfile.TemporaryDirectory(prefix="shipway-history-") as folder:
        return git_history.is_reachable(
            git, RepositoryUrl(decoded.repo), decoded.head, decoded.ref, Path(folder) / "git"
        )


def _is_own(git: Git, url: RepositoryUrl, commit: str) -> bool:
    """Whether a branch of the repository is at a commit, so that somebody who may push put it there."""
    return commit in git.refs(url, "heads").commits.values()


def _at(decoded: Decoded, commit: str) -> Decoded:
    """Return an event with the commit to build."""
    return dataclasses.replace(decoded, head=commit, revision=decoded.ref if decoded.ref.startswith(TAGS) else commit)


def _ignored(decoded: Decoded, reason: str) -> Decoded:
    return dataclasses.replace(decoded, lane=Lane.IGNORED, reason=reason)
