"""The step `decode`: what an event is about, and which lane it runs in."""

from __future__ import annotations

import sys

from pipelines.errors import Misconfigured, Misuse
from pipelines.events import event as event_event
from pipelines.events import lanes
from pipelines.events.event import Comment, Decoded, Event, EventKind, Lane, Manual, Nightly, PullRequest, Push, Sender
from pipelines.events.lanes import LaneRules
from pipelines.settings import names
from pipelines.step.parameters import (
    AskedRef,
    AskedRepo,
    AskedRevision,
    EventText,
    Maintainers,
    NightlyAge,
    ProtectedBranches,
    ProtectedTags,
    Repositories,
)
from pipelines.tools.git.address import RepositoryUrl, Revision

PROTECTED_BRANCHES = "main,master"
PROTECTED_TAGS = "v*"
MAX_AGE = "7d"


def decode(
    *,
    event: EventText = "",
    repo: AskedRepo = "",
    revision: AskedRevision = "",
    ref: AskedRef = "",
    protected_branches: ProtectedBranches = PROTECTED_BRANCHES,
    protected_tags: ProtectedTags = PROTECTED_TAGS,
    maintainers: Maintainers = "",
    repositories: Repositories = "",
    max_age: NightlyAge = MAX_AGE,
) -> Decoded:
    """Read an event, check each of its texts, and decide in which lane it runs.

    Without an event, repo, revision and ref are a person's request: who may submit runs may publish. Raises Misuse for both and
    for neither. Nothing that the event names is run. Names that Git or Argo would misread are refused with exit code 3.

    A Sensor passes on all fields of one kind of event, such as {"source": "webhook", "repo": "https://git.example.com/team/shop.git",
    "ref": "refs/heads/main", "head": "", "id": "1"}.

    Example:
        shipway step decode --event="$(base64 -w0 event.json)" --outputs=out/decode
    """
    rules = read_rules(protected_branches, protected_tags, maintainers, repositories)
    if bool(event) == bool(repo or revision or ref):
        raise Misuse(
            "an event or a repository is needed, and not both",
            seen="both" if event else "neither",
            todo="give event, or repo with revision and ref",
        )
    if not event:
        return _by_hand(repo, revision or "HEAD", ref)
    read = event_event.read(event)
    target = lanes.target(read)
    decision = lanes.decide(read, rules)
    kind = _kind(read)
    repo = lanes.watched(target.repo, rules)
    mutex = lanes.key(repo.host_and_path)
    sys.stderr.write(f"{kind} of {repo}, {target.ref}: {decision.lane}, {decision.reason}\n")
    return Decoded(
        kind=kind,
        source=Sender(read.source),
        lane=decision.lane,
        reason=decision.reason,
        repo=repo,
        repo_id=0 if isinstance(read, Nightly | Manual) else read.repo_id,
        ref=target.ref,
        head=target.head,
        revision=target.ref if kind is EventKind.TAG or not target.head else target.head,
        number=target.number,
        base=target.base,
        mutex=mutex,
        group=lanes.key(mutex, decision.lane, target.ref),
        max_age=max_age if kind is EventKind.NIGHTLY else "",
    )


def read_rules(protected_branches: str, protected_tags: str, maintainers: str, repositories: str) -> LaneRules:
    """Return the rules of the settings. Raises Misconfigured."""
    return LaneRules(
        protected_branches=lanes.patterns(protected_branches),
        protected_tags=lanes.patterns(protected_tags),
        maintainers=names(maintainers),
        repositories=tuple(_address(text) for text in sorted(names(repositories))),
    )


def _by_hand(repo: str, revision: str, ref: str) -> Decoded:
    url, asked = lanes.plain(RepositoryUrl(repo)), lanes.plain(Revision(revision))
    full = lanes.plain(Revision(ref)) if ref else ""
    mutex = lanes.key(RepositoryUrl(url).host_and_path)
    sys.stderr.write(f"{url}, {asked}: asked for by hand\n")
    return Decoded(
        kind=EventKind.MANUAL,
        source=Sender.HAND,
        lane=Lane.TRUSTED,
        reason="asked for by hand",
        repo=url,
        repo_id=0,
        ref=full,
        head="",
        revision=asked,
        number=0,
        base="",
        mutex=mutex,
        group=lanes.key(mutex, Lane.TRUSTED, full or asked),
        max_age="",
    )


def _kind(event: Event) -> EventKind:
    match event:
        case Push():
            return EventKind.TAG if event.ref.startswith("refs/tags/") else EventKind.PUSH
        case PullRequest():
            return EventKind.PULL_REQUEST
        case Comment():
            return EventKind.COMMENT
        case Nightly():
            return EventKind.NIGHTLY
        case Manual():
            return EventKind.MANUAL


def _address(text: str) -> RepositoryUrl:
    try:
        return RepositoryUrl(text)
    except Misuse as error:
        raise Misconfigured(
            "the setting `repositories` has an address that is none", seen=error.seen, todo=error.todo
        ) from error
