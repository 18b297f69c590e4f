"""The step `decode`: what an event is about, and which lane it runs in."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

from pipelines.errors import Misconfigured, Misuse
from pipelines.events import event as event_event
from pipelines.events import lanes
from pipelines.events.event import Comment, Decoded, Event, EventKind, Lane, Manual, Nightly, PullRequest, Push, Sender
from pipelines.events.lanes import LaneRules
from pipelines.settings import names
from pipelines.step.signature import Arg, Group
from pipelines.tools.git.address import RepositoryUrl, Revision


@dataclass(frozen=True, kw_only=True)
class RunInputs:
    """What a run is about: an event, or a repository that is asked for by hand."""

    event: Annotated[str, Arg("what the Sensor passed on, as base64; empty: a repository is asked for by hand")] = ""
    repo: Annotated[str, Arg("address of the Git repository that is asked for by hand, in place of an event")] = ""
    revision: Annotated[str, Arg("its branch, tag or full commit id; empty: HEAD")] = ""
    ref: Annotated[str, Arg("full name of the branch or tag, where the revision is a commit id")] = ""


@dataclass(frozen=True, kw_only=True)
class LaneSettings:
    """Which events may publish."""

    protected_branches: Annotated[str, Arg("branches that may publish", setting="protected-branches")] = "main,master"
    protected_tags: Annotated[str, Arg("tags that may publish", setting="protected-tags")] = "v*"
    maintainers: Annotated[str, Arg("who may approve pull requests of strangers", setting="maintainers")] = ""
    repositories: Annotated[str, Arg("repositories that are watched", setting="repositories")] = ""
    max_age: Annotated[str, Arg("age of images that the nightly run builds again", setting="max-age")] = "7d"
    branch_checks: Annotated[str, Arg("which event checks a branch", setting="branch-checks")] = lanes.PULL_REQUEST
    skip_ci: Annotated[str, Arg("whether [skip ci] is honoured", setting="skip-ci")] = lanes.BRANCHES

    def read(self) -> LaneRules:
        """Return the rules that the settings write; raises Misconfigured."""
        return LaneRules(
            protected_branches=lanes.patterns(self.protected_branches),
            protected_tags=lanes.patterns(self.protected_tags),
            maintainers=frozenset(map(lanes.small, names(self.maintainers))),
            repositories=tuple(_address(text) for text in sorted(names(self.repositories))),
            branch_checks=_one_of("branch-checks", self.branch_checks, lanes.PULL_REQUEST, lanes.PUSH),
            skip_ci=_one_of("skip-ci", self.skip_ci, lanes.BRANCHES, lanes.NEVER),
        )


def decode(
    *,
    inputs: Annotated[RunInputs, Group()],
    rules: Annotated[LaneSettings, Group()],
) -> Decoded:
    """Read an event, check each of its texts, and decide in which lane it runs.

    Without an event, repo, revision and ref are a person's request: who may submit runs may publish. Raises Misuse for
    both and for neither. Nothing that the event names is run. Names that Git or Argo would misread are refused with
    exit code 3.

    A Sensor passes on all fields of one kind of event, such as {"source": "webhook", "repo":
    "https://git.example.com/team/shop.git", "ref": "refs/heads/main", "head": "", "id": "1"}.

    Example:
        shipway step decode --event="$(base64 -w0 event.json)" --outputs=out/decode
    """
    lane_rules = rules.read()
    if bool(inputs.event) == bool(inputs.repo or inputs.revision or inputs.ref):
        raise Misuse(
            "an event or a repository is needed, and not both",
            seen="both" if inputs.event else "neither",
            todo="give event, or repo with revision and ref",
        )
    if not inputs.event:
        return _by_hand(inputs.repo, inputs.revision or "HEAD", inputs.ref)
    read = event_event.read(inputs.event)
    target = lanes.target(read)
    decision = lanes.decide(read, lane_rules)
    kind = _kind(read)
    repo = lanes.watched(target.repo, lane_rules)
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
        # What ends the runs of a pull request is one of them.
        group=lanes.key(mutex, Lane.UNTRUSTED if decision.lane is Lane.CLOSED else decision.lane, target.ref),
        max_age=rules.max_age if kind is EventKind.NIGHTLY else "",
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


def _one_of(key: str, value: str, *known: str) -> str:
    """Return the value of a setting, of which the first is the default. Raises Misconfigured for any other."""
    if value not in {"", *known}:
        todo = f"write {' or '.join(known)}"
        raise Misconfigured(f"the setting `{key}` has an unknown value", seen=repr(value), todo=todo)
    return value or known[0]


def _address(text: str) -> RepositoryUrl:
    try:
        return RepositoryUrl(text)
    except Misuse as error:
        raise Misconfigured(
            "the setting `repositories` has an invalid address", seen=error.seen, todo=error.todo
        ) from error
