"""Events as Sensors pass them to runs, and what the steps that read them return.

A Sensor passes on a fixed list of fields and nothing else, as base64 of a JSON object. Each of the first five classes
is one such list, and an object's fields alone say which. So the kind of an event depends on a webhook's body, which is
signed, and not on its headers, which are not.

Runs find each other by labels that are hashes, so that no text from outside is in them.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, get_type_hints

from pipelines.bounds import NotJson, read_json
from pipelines.errors import Refused
from pipelines.step.texts import Hash, Name, ObjectId, Plain

REF_LABEL = "shipway-ref"
"""Set by the Sensor: a hash of forge, repository and ref, by which runs that have not begun yet are found."""
GROUP_LABEL = "shipway-group"
"""Set once the repository confirms a run's event: the `group` of `Decoded`."""
BY_ANNOTATION = "shipway/superseded-by"
"""The newer run that a run was stopped for."""
FOR_ANNOTATION = "supersedes.shipway/"
"""What annotations of that newer run begin with, each followed by the name of a run that was stopped for it. The newer
one tells their commits what becomes of them."""
RETRY_ANNOTATION = "shipway/retry-of"
FIRST_ANNOTATION = "shipway/first-created"
"""Of a run that was submitted once more: the run that it repeats, and when the first of them was created."""
LONGEST_NAME = 1000
LONGEST: Mapping[str, int] = {
    "before": 65,
    "head": 65,
    "pushed": 40,
    "action": 32,
    "updated": 40,
    "draft": 8,
    "author": 256,
    "association": 32,
    "id": 256,
}
"""Bytes of UTF-8 that Sensors cut a text to, by the field's name; others to LONGEST_NAME. A text that long may be cut,
and is refused."""
CUT: Mapping[str, int] = {"text": 200, "time": 16, "message": 300}
"""Texts whose beginning is enough: a comment, a time to the minute, and a commit's message, which Git has as well."""
MOST_BYTES = 16 * 1024
"""Of a whole event, before base64: more than a Sensor writes, even if each byte is escaped as six."""
_TODO = "start runs through the installed Sensors, or see `shipway simulate --help`"


class Sender(StrEnum):
    """Who sent an event, its `source`: the Sensor has it for each event source, and never takes it from the event."""

    GITHUB = "github"
    GITEA = "gitea"
    GITLAB = "gitlab"
    CALENDAR = "calendar"
    WEBHOOK = "webhook"
    HAND = "hand"
    """A person who submits a run, without an event."""


@dataclass(frozen=True, kw_only=True)
class Push:
    """A branch or tag was created, moved or deleted."""

    source: str
    repo_id: int
    """The forge's number of the repository, which stays when it is renamed."""
    repo: str
    ref: str
    before: str
    """The commit before, or zeros for a new ref."""
    head: str
    """The commit now, the tag object for an annotated tag, or zeros for a deleted ref."""
    pushed: str
    """When, as the forge writes it, or empty. It makes an event new if a branch comes back to a commit."""
    message: str
    """The commit's, as JSON writes it and as far as the forge sends it."""


@dataclass(frozen=True, kw_only=True)
class PullRequest:
    """A pull request was opened, reopened, made ready for review or closed, or has a new commit."""

    source: str
    repo_id: int
    """Of the repository that it would be merged into."""
    repo: str
    number: int
    base: str
    """The branch that it would be merged into, without refs/heads/."""
    head: str
    head_repo_id: int
    """Of the repository that it comes from; 0 if that is deleted."""
    draft: str
    """`true`, or empty."""
    author: str
    association: str
    """What its author is to the repository, in GitHub's words; empty if the forge does not say."""
    action: str
    """What happened, in the forge's word."""
    before: str
    """The commit before a new one, where the forge says so."""
    updated: str
    """When, as the forge writes it. It makes an event new if a pull request comes back to a commit, or is reopened."""


@dataclass(frozen=True, kw_only=True)
class Comment:
    """A comment was written under a pull request."""

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
    """It is time for the nightly run of one repository."""

    source: str
    repo: str
    ref: str
    time: str


@dataclass(frozen=True, kw_only=True)
class Manual:
    """Somebody with the bearer token requests a run."""

    source: str
    repo: str
    ref: str
    head: str
    """A commit, or empty for the head of the ref."""
    id: str
    """Chosen by the caller: a second request with the same id starts nothing."""


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
    """It does nothing until a maintainer approves its commit."""
    OWN = "own"
    """It does nothing: a run of ours made its commit, and publishes what it moved."""
    CLOSED = "closed"
    """It ends the runs of its pull request, and does nothing else."""
    IGNORED = "ignored"
    """It does nothing."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """An event, checked, with its lane. Each text is safe as an argument of another step."""

    kind: EventKind
    source: Sender
    lane: Lane
    reason: Plain
    """Why it runs in this lane; the only text from outside in it is a commit id."""
    repo: Plain
    repo_id: int
    """0 if the event does not say."""
    ref: Plain
    """In full: refs/heads/main, refs/tags/v1.0.0, refs/pull/7/head."""
    head: ObjectId
    """The object that the ref named when the event was sent, or empty if the event does not say."""
    revision: Plain
    """What to check out: the commit; the ref for a tag, and if no commit is known."""
    number: int
    """The pull request's, or 0."""
    base: Plain
    """The full ref of the branch that a pull request would be merged into, or empty."""
    mutex: Hash
    """A key of the repository, whichever way the event spells its address."""
    group: Hash
    """A key of repository, lane and full ref; the newest run of a group wins."""
    max_age: Name
    """Age at which a nightly run builds an image again, if shipway.yaml gives none; empty for other runs."""


@dataclass(frozen=True, kw_only=True)
class NightlyRef:
    """A branch or tag that gets a run tonight."""

    repo: str
    ref: str
    commit: str
    lane: str
    group: str
    """As in `Decoded`."""
    event: str
    """The event of its run, encoded."""


@dataclass(frozen=True, kw_only=True)
class Tonight:
    """The branches and tags of one night."""

    time: str
    refs: tuple[NightlyRef, ...]


@dataclass(frozen=True, kw_only=True)
class Reconciled:
    """The runs of a night."""

    started: tuple[Name, ...]
    existing: tuple[Name, ...]
    """Runs that an earlier attempt had started."""


@dataclass(frozen=True, kw_only=True)
class Superseded:
    """Which run of a branch or pull request continues."""

    newest: Name
    """Its name."""
    stopped: tuple[Name, ...]
    """Runs that were stopped for it."""


def longest(field: str) -> int:
    """Return how many bytes a Sensor cuts a text to, by its field's name."""
    return CUT.get(field) or LONGEST.get(field, LONGEST_NAME)


def write(event: Event) -> str:
    """Return an event, encoded for an argument as Sensors do it."""
    return base64.b64encode(json.dumps(dataclasses.asdict(event), sort_keys=True).encode()).decode()


def read(text: str) -> Event:
    """Return the event that a Sensor encoded. Raises Refused for anything that our Sensors do not write."""
    if len(text) > MOST_BYTES * 4 // 3 + 4:
        raise Refused("the event is too large", seen=f"{len(text)} characters of base64", todo=_TODO)
    try:
        value = read_json(base64.b64decode(text, validate=True), "the event")
    except NotJson as error:
        raise Refused("the event is not base64 of JSON", seen=f"{error.what}: {error.seen}", todo=_TODO) from error
    except ValueError as error:
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
    event: Event = shape(**value)  # type: ignore[arg-type]  # the loop above has compared every field's type
    if event.source not in set(Sender) - {Sender.HAND}:
        raise Refused("the event comes from nowhere known", seen=repr(event.source[:100]), todo=_TODO)
    return event
