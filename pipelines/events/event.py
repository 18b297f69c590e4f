"""What a Sensor hands to a run about the event that started it, and what the step `decode` makes of it.

A Sensor passes on a fixed list of fields and nothing else, as base64 of a JSON object. Each class below is one list; which
one an object is follows from its fields alone. So the body of a webhook, which is signed, decides of what kind an event
is: its headers, which are not, have no part in it.

What a run knows of others: by labels that are hashes, so that nothing from outside stands in them.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, get_type_hints

from pipelines.errors import Refused

REF_LABEL = "shipway-ref"
"""Written by the Sensor when it makes a run: a hash over forge, repository and ref, so that runs that have not begun are found."""
GROUP_LABEL = "shipway-group"
"""Written once a run's event was found to be true: the hash over repository, lane and ref that `decode` gives."""
BY_ANNOTATION = "shipway/superseded-by"
"""The run for whose sake one was stopped."""


LONGEST_NAME = 1000
LONGEST: Mapping[str, int] = {
    "before": 65,
    "head": 65,
    "pushed": 40,
    "draft": 8,
    "author": 256,
    "association": 32,
    "id": 256,
}
"""Sensors cut texts to so many bytes of UTF-8, by the field's name, others to LONGEST_NAME: one that long may have been cut, and is not used."""
CUT: Mapping[str, int] = {"text": 200, "time": 16}
"""What is cut for good: a comment to its beginning, a time to the minute."""
MOST_BYTES = 16 * 1024
"""Of a whole event, before base64; more than a Sensor writes, even where each byte is escaped as six."""
_TODO = "start runs through the installed Sensors, or see `shipway simulate --help`"


class Sender(StrEnum):
    """Who sent it: written into the Sensor, per event source, and never taken from the event."""

    GITHUB = "github"
    GITEA = "gitea"
    GITLAB = "gitlab"
    CALENDAR = "calendar"
    WEBHOOK = "webhook"
    HAND = "hand"
    """A person who submits a run; no event comes from there."""


@dataclass(frozen=True, kw_only=True)
class Push:
    """A branch or tag was created, moved or deleted."""

    source: str
    repo_id: int
    """The forge's own number of the repository, which a renaming leaves alone."""
    repo: str
    ref: str
    before: str
    """The commit before, or zeros for a new ref."""
    head: str
    """The commit now, the tag object for an annotated tag, or zeros for a deleted ref."""
    pushed: str
    """When, as the forge writes it, or empty: a branch that goes back and comes again to a commit is told of anew."""


@dataclass(frozen=True, kw_only=True)
class PullRequest:
    """A pull request was opened, reopened or made ready, or has a new commit."""

    source: str
    repo_id: int
    """Of the repository that it is made to."""
    repo: str
    number: int
    base: str
    """The branch that it is made to, without refs/heads/."""
    head: str
    head_repo_id: int
    """Of the repository that it comes from; 0 for one that is gone."""
    draft: str
    """`true`, or empty."""
    author: str
    association: str
    """Of its author with the repository, in GitHub's words; empty where the forge does not say."""


@dataclass(frozen=True, kw_only=True)
class Comment:
    """Somebody wrote under a pull request."""

    source: str
    repo_id: int
    repo: str
    number: int
    """The pull request's."""
    comment_id: int
    author: str
    association: str
    """Of the comment's author."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Nightly:
    """The calendar's time came, for one repository."""

    source: str
    repo: str
    ref: str
    time: str


@dataclass(frozen=True, kw_only=True)
class Manual:
    """Somebody with the bearer token asks for a run."""

    source: str
    repo: str
    ref: str
    head: str
    """A commit, or empty for the ref's own."""
    id: str
    """Chosen by the caller: the same request with the same id starts nothing more."""


Event: TypeAlias = Push | PullRequest | Comment | Nightly | Manual
SHAPES: tuple[type[Event], ...] = (Push, PullRequest, Comment, Nightly, Manual)


class EventKind(StrEnum):
    """What started a run."""

    PUSH = "push"
    TAG = "tag"
    PULL_REQUEST = "pull_request"
    COMMENT = "comment"
    NIGHTLY = "nightly"
    MANUAL = "manual"


class Lane(StrEnum):
    """What a run may do."""

    TRUSTED = "trusted"
    """It may publish."""
    UNTRUSTED = "untrusted"
    """It builds and checks, with no secret but a read-only Git login, and publishes nothing."""
    WAITING = "waiting"
    """It does nothing until a maintainer approves of its commit."""
    IGNORED = "ignored"
    """It does nothing."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """An event, read, checked and judged; each text is safe as an argument of a further step."""

    kind: EventKind
    source: Sender
    lane: Lane
    reason: str
    """Why this lane, in words that hold nothing from outside but a commit id."""
    repo: str
    repo_id: int
    """0 where the event does not say."""
    ref: str
    """In full: refs/heads/main, refs/tags/v1.0.0, refs/pull/7/head."""
    head: str
    """The object that the ref named when the event was sent, or empty where the event does not say."""
    revision: str
    """What to check out: the commit, or the ref where only that is known, and always for a tag."""
    number: int
    """The pull request's, or 0."""
    base: str
    """The branch in full that a pull request is made to, or empty."""
    mutex: str
    """A key that all runs of one repository share, however the event spells its address."""
    group: str
    """A key that runs of one repository, lane and full ref share: of these the newest wins."""
    max_age: str
    """Age of images that are built again, where shipway.yaml gives none; empty but for the nightly run."""


@dataclass(frozen=True, kw_only=True)
class NightlyRef:
    """A branch or tag that is looked at tonight."""

    repo: str
    ref: str
    group: str
    """As `Decoded` has it."""
    event: str
    """The event of its run, as `read` takes it."""


@dataclass(frozen=True, kw_only=True)
class Tonight:
    """What a night is about."""

    time: str
    refs: tuple[NightlyRef, ...]


@dataclass(frozen=True, kw_only=True)
class Reconciled:
    """The runs of a night."""

    started: tuple[str, ...]
    existing: tuple[str, ...]
    """Runs that an earlier attempt had started."""


def longest(field: str) -> int:
    """Return the bytes to which a Sensor cuts a text, by its field's name."""
    return CUT.get(field) or LONGEST.get(field, LONGEST_NAME)


def write(event: Event) -> str:
    """Return an event as `read` takes it, and as an argument may carry it."""
    return base64.b64encode(json.dumps(dataclasses.asdict(event), sort_keys=True).encode()).decode()


def read(text: str) -> Event:
    """Return the event that a Sensor encoded; raises Refused for anything that no Sensor of ours writes."""
    if len(text) > MOST_BYTES * 4 // 3 + 4:
        raise Refused("the event is too large", seen=f"{len(text)} characters of base64", todo=_TODO)
    try:
        value = json.loads(base64.b64decode(text, validate=True))
    except (ValueError, RecursionError) as error:
        seen = f"{type(error).__name__}: {error}"[:200]
        raise Refused("the event is not base64 of JSON", seen=seen, todo=_TODO) from error
    if not isinstance(value, dict):
        raise Refused("the event is not a JSON object", seen=type(value).__name__, todo=_TODO)
    for shape in SHAPES:
        if value.keys() == {field.name for field in dataclasses.fields(shape)}:
            return _typed(shape, value)
    raise Refused("the event has the fields of no kind", seen=", ".join(sorted(value))[:200], todo=_TODO)


def _typed(shape: type[Event], value: dict[str, object]) -> Event:
    for name, kind in get_type_hints(shape).items():
        item = value[name]
        if type(item) is not kind:
            raise Refused(f"the event's {name} is no {kind.__name__}", seen=type(item).__name__, todo=_TODO)
        if isinstance(item, str) and name not in CUT and len(item.encode(errors="replace")) >= longest(name):
            raise Refused(f"the event's {name} is too long", seen=f"{item[:100]!r}…", todo="give it a shorter name")
    found: Event = shape(**value)  # type: ignore[arg-type]  # the loop above has compared every field's type
    if found.source not in set(Sender) - {Sender.HAND}:
        raise Refused("the event comes from nowhere known", seen=repr(found.source[:100]), todo=_TODO)
    return found


@dataclass(frozen=True, kw_only=True)
class Superseded:
    """Which run of a branch or pull request goes on."""

    newest: str
    """Its name."""
    stopped: tuple[str, ...]
    """Runs that were asked to stop for it."""
