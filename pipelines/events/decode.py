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
    """Read an event, check every text of it, and say in which lane it runs and why.

    Without one, repo, revision and ref say what a person asks for: who may submit runs may publish. Raises Misuse for both, and for neither.
    Nothing is run that the event names. Names that Git or Argo would take for something else are refused, exit code 3.

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
    found = event_event.read(event)
    about = lanes.target(found)
    verdict = lanes.decide(found, rules)
    kind = _kind(found)
    repo = lanes.watched(about.repo, rules)
    mutex = lanes.key(repo.host_and_path)
    sys.stderr.write(f"{kind} of {repo}, {about.ref}: {verdict.lane}, {verdict.reason}\n")
    return Decoded(
        kind=kind,
        source=Sender(found.source),
        lane=verdict.lane,
        reason=verdict.reason,
        repo=repo,
        repo_id=0 if isinstance(found, Nightly | Manual) else found.repo_id,
        ref=about.ref,
        head=about.head,
        revision=about.ref if kind is EventKind.TAG or not about.head else about.head,
        number=about.number,
        base=about.base,
        mutex=mutex,
        group=lanes.key(mutex, verdict.lane, about.ref),
        max_age=max_age if kind is EventKind.NIGHTLY else "",
    )


def read_rules(protected_branches: str, protected_tags: str, maintainers: str, repositories: str) -> LaneRules:
    """Return the rules that settings write; raises Misconfigured."""
    return LaneRules(
        protected_branches=lanes.patterns(protected_branches),
        protected_tags=lanes.patterns(protected_tags),
        maintainers=names(maintainers),
        repositories=tuple(_address(text) for text in sorted(names(repositories))),
    )


def _by_hand(repo: str, revision: str, ref: str) -> Decoded:
    url, wanted = lanes.plain(RepositoryUrl(repo)), lanes.plain(Revision(revision))
    full = lanes.plain(Revision(ref)) if ref else ""
    mutex = lanes.key(RepositoryUrl(url).host_and_path)
    sys.stderr.write(f"{url}, {wanted}: asked for by hand\n")
    return Decoded(
        kind=EventKind.MANUAL,
        source=Sender.HAND,
        lane=Lane.TRUSTED,
        reason="asked for by hand",
        repo=url,
        repo_id=0,
        ref=full,
        head="",
        revision=wanted,
        number=0,
        base="",
        mutex=mutex,
        group=lanes.key(mutex, Lane.TRUSTED, full or wanted),
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
