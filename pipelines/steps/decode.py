"""The step `decode`: what an event is about, and which lane it runs in."""

from __future__ import annotations

import sys
from typing import Annotated

from pipelines.errors import Misconfigured, Misuse
from pipelines.model import event as events
from pipelines.model.event import Comment, Decoded, Event, Kind, Manual, Nightly, PullRequest, Push, Source
from pipelines.model.source import RepositoryUrl
from pipelines.plan import lanes
from pipelines.plan.lanes import Rules
from pipelines.settings import names
from pipelines.steps.signature import Arg

PROTECTED_BRANCHES = "main,master"
PROTECTED_TAGS = "v*"


def decode(
    *,
    event: Annotated[str, Arg("what the Sensor passed on, as base64")],
    protected_branches: Annotated[
        str, Arg("branches that may publish", setting="protected-branches")
    ] = PROTECTED_BRANCHES,
    protected_tags: Annotated[str, Arg("tags that may publish", setting="protected-tags")] = PROTECTED_TAGS,
    maintainers: Annotated[str, Arg("who may approve pull requests of strangers", setting="maintainers")] = "",
    repositories: Annotated[str, Arg("repositories that are watched", setting="repositories")] = "",
) -> Decoded:
    """Read an event, check every text of it, and say in which lane it runs and why.

    Nothing is run that the event names. Names that Git or Argo would take for something else are refused, exit code 3.

    Example:
        shipway step decode --event=eyJoZWFkIjoiIiwiaWQiOiIxIiwicmVmIjoicmVmcy9oZWFkcy9tYWluIiw… --outputs=out/decode
    """
    rules = Rules(
        protected_branches=lanes.patterns(protected_branches),
        protected_tags=lanes.patterns(protected_tags),
        maintainers=names(maintainers),
        repositories=tuple(_address(text) for text in sorted(names(repositories))),
    )
    found = events.read(event)
    about = lanes.target(found)
    verdict = lanes.decide(found, rules)
    kind = _kind(found)
    repo = lanes.watched(about.repo, rules)
    mutex = lanes.key(lanes.place(repo))
    sys.stderr.write(f"{kind} of {repo}, {about.ref}: {verdict.lane}, {verdict.reason}\n")
    return Decoded(
        kind=kind,
        source=Source(found.source),
        lane=verdict.lane,
        reason=verdict.reason,
        repo=repo,
        repo_id=0 if isinstance(found, Nightly | Manual) else found.repo_id,
        ref=about.ref,
        head=about.head,
        revision=about.ref if kind is Kind.TAG or not about.head else about.head,
        number=about.number,
        base=about.base,
        mutex=mutex,
        group=lanes.key(mutex, verdict.lane, about.ref),
    )


def _kind(event: Event) -> Kind:
    match event:
        case Push():
            return Kind.TAG if event.ref.startswith("refs/tags/") else Kind.PUSH
        case PullRequest():
            return Kind.PULL_REQUEST
        case Comment():
            return Kind.COMMENT
        case Nightly():
            return Kind.NIGHTLY
        case Manual():
            return Kind.MANUAL


def _address(text: str) -> RepositoryUrl:
    try:
        return RepositoryUrl(text)
    except Misuse as error:
        raise Misconfigured(
            "the setting `repositories` has an address that is none", seen=error.seen, todo=error.todo
        ) from error
