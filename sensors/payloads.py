"""What each forge writes into a webhook's body, and which fields of it a run gets.

One entry of SHAPES is one shape of payload: it names the event's class in pipelines.events.event, gives each field of it an
expression over the body, and the patterns without which a pod would start for nothing. A path that a body lacks makes Argo
drop the event (argo-events: pkg/sensors/dependencies/filter.go), so no two shapes share an entry.

The patterns are for RE2 and stand anchored; they decide nothing: the step `decode` looks at every field again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.events.event import Comment, Event, Manual, Nightly, PullRequest, Push, Sender, longest
from sensors import target as targets

COMMIT = "^[0-9a-f]{40}([0-9a-f]{24})?$"
NOT_ZEROS = "^[0-9a-f]*[1-9a-f][0-9a-f]*$"
BRANCH = "^refs/heads/.+$"
TAG = "^refs/tags/.+$"
NUMBER = "^[1-9][0-9]*$"
ANY = "^.+$"
OBJECT = r"^\{[\s\S]+\}$"
COMMAND = r"^/(retest|ok-to-test [0-9a-f]{40}([0-9a-f]{24})?)[ \t]*(\r?\n[\s\S]*)?$"
# Gitea says `synchronized` where GitHub says `synchronize`.
ACTIONS = "^(opened|synchronized?|reopened|ready_for_review)$"
WATCHED = {
    Sender.GITHUB: "body.repository.full_name",
    Sender.GITEA: "body.repository.full_name",
    Sender.GITLAB: "body.project.path_with_namespace",
}
"""The path of a repository's name, owner included: the chart puts the names that are watched in place of its pattern."""

_TARGETS: Mapping[type[Event], str] = {
    PullRequest: targets.PROPOSAL,
    Comment: targets.PROPOSAL,
    Nightly: targets.NIGHTLY,
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One shape of payload from one source."""

    source: Sender
    name: str
    """Of the kind of event, as runs and dependencies are named after it."""
    event: type[Event]
    fields: Mapping[str, str]
    """An expression for every field of the event but `source`."""
    patterns: Mapping[str, str]
    """By path, what the text there must match."""
    ref: tuple[str, ...] = ()
    """The fields that name the branch, tag or pull request, by which a run is found before it has begun."""
    runs: str = ""
    """How names of its runs begin, where not as its own: two shapes that tell of the same have one run."""

    def __post_init__(self) -> None:
        """Raise ValueError where the fields are not those of the event."""
        names = {field.name for field in dataclasses.fields(self.event)} - {"source"}
        if names != self.fields.keys():
            raise ValueError(f"{self.id}: the fields {sorted(names ^ self.fields.keys())} do not fit the event")

    @property
    def target(self) -> str:
        """The name of what it starts: no pull request publishes, so none gets near what could."""
        return _TARGETS.get(self.event, targets.NAME)

    @property
    def id(self) -> str:
        """The name of its dependency and of its trigger."""
        return f"{self.source}-{self.name}"

    @property
    def expression(self) -> str:
        """The event as JSON: an expression in Go's templates, to be encoded before it stands anywhere."""
        return self._json(tuple(self.fields))

    @property
    def ref_expression(self) -> str:
        """The repository and its branch, tag or pull request as JSON; empty where the event has none of its own."""
        return self._json(("repo_id", "repo", *self.ref)) if self.ref else ""

    def _json(self, names: tuple[str, ...]) -> str:
        pairs = " ".join(f'"{name}" {self.fields[name]}' for name in names)
        return f'dict "source" "{self.source}" {pairs} | toJson'


def texts(**paths: str) -> dict[str, str]:
    """Return for each field the expression of a text, cut as the field's are; what is missing or null is an empty one."""
    return {name: f'(.Input.{path} | default "" | toString | trunc {longest(name)})' for name, path in paths.items()}


def number(path: str) -> str:
    """Return the expression of a whole number; what is none is 0."""
    return f"(.Input.{path} | int64)"


def number_in(path: str, key: str) -> str:
    """Return the expression of a number in an object that may be null."""
    return f'(get (.Input.{path} | default (dict)) "{key}" | int64)'


_PUSH = texts(ref="body.ref", before="body.before", head="body.after")
_PUSHED: Mapping[Sender, Mapping[str, str]] = {
    Sender.GITHUB: {"pushed": "(.Input.body.repository.pushed_at | int64 | toString)"},
    Sender.GITEA: texts(pushed="body.repository.updated_at"),
}


def _github(source: Sender) -> tuple[Shape, ...]:
    """Return GitHub's shapes, which are Gitea's and Forgejo's, too."""
    repository = {"repo_id": number("body.repository.id"), **texts(repo="body.repository.clone_url")}
    known = {"body.repository.id": NUMBER, "body.repository.clone_url": ANY, WATCHED[source]: ANY}
    push = repository | _PUSH | dict(_PUSHED[source])
    pull = "body.pull_request"
    opened = Shape(
        source=source,
        name="pull-request",
        event=PullRequest,
        ref=("number",),
        fields=repository
        | {
            "number": number(f"{pull}.number"),
            "head_repo_id": number_in(f"{pull}.head.repo", "id"),
            **texts(base=f"{pull}.base.ref", head=f"{pull}.head.sha", draft=f"{pull}.draft"),
            **texts(author=f"{pull}.user.login", association=f"{pull}.author_association"),
        },
        patterns={
            "body.action": ACTIONS,
            f"{pull}.head.sha": COMMIT,
            f"{pull}.base.ref": ANY,
            f"{pull}.user.login": ANY,
            **known,
        },
    )
    # Gitea's drafts are those whose title says so: one that is made ready was edited.
    ready = {"body.action": "^edited$", "body.changes.title.from": ANY, f"{pull}.draft": "^false$"}
    edited = dataclasses.replace(opened, name="ready", runs=opened.name, patterns={**opened.patterns, **ready})
    return (
        Shape(
            source=source,
            name="push",
            event=Push,
            ref=("ref",),
            fields=push,
            patterns={"body.ref": BRANCH, "body.after": NOT_ZEROS, **known},
        ),
        Shape(
            source=source,
            name="tag",
            event=Push,
            ref=("ref",),
            fields=push,
            patterns={"body.ref": TAG, "body.after": NOT_ZEROS, **known},
        ),
        opened,
        *((edited,) if source is Sender.GITEA else ()),
        Shape(
            source=source,
            name="comment",
            event=Comment,
            ref=("number",),
            fields=repository
            | {
                "number": number("body.issue.number"),
                "comment_id": number("body.comment.id"),
                **texts(author="body.comment.user.login", association="body.comment.author_association"),
                **texts(text="body.comment.body"),
            },
            patterns={
                "body.action": "^created$",
                "body.issue.pull_request": OBJECT,
                "body.issue.number": NUMBER,
                "body.comment.user.login": ANY,
                "body.comment.body": COMMAND,
                **known,
            },
        ),
    )


def _gitlab() -> tuple[Shape, ...]:
    """Return GitLab's shapes; who may approve is always a setting, since GitLab does not say, nor whose a merge request is."""
    repository = {"repo_id": number("body.project.id"), **texts(repo="body.project.git_http_url")}
    known = {"body.project.id": NUMBER, "body.project.git_http_url": ANY, WATCHED[Sender.GITLAB]: ANY}
    push = repository | _PUSH | {"pushed": '""'}
    merge = "body.object_attributes"
    return (
        Shape(
            source=Sender.GITLAB,
            name="push",
            event=Push,
            ref=("ref",),
            fields=push,
            patterns={"body.object_kind": "^push$", "body.ref": BRANCH, "body.after": NOT_ZEROS, **known},
        ),
        Shape(
            source=Sender.GITLAB,
            name="tag",
            event=Push,
            ref=("ref",),
            fields=push,
            patterns={"body.object_kind": "^tag_push$", "body.ref": TAG, "body.after": NOT_ZEROS, **known},
        ),
        Shape(
            source=Sender.GITLAB,
            name="pull-request",
            event=PullRequest,
            ref=("number",),
            fields=repository
            | {
                "number": number(f"{merge}.iid"),
                "head_repo_id": number(f"{merge}.source_project_id"),
                **texts(base=f"{merge}.target_branch", head=f"{merge}.last_commit.id", draft=f"{merge}.draft"),
                # GitLab names whoever changed a merge request, and of its author the number alone.
                "author": '""',
                "association": '""',
            },
            patterns={
                "body.object_kind": "^merge_request$",
                f"{merge}.action": "^(open|update|reopen)$",
                f"{merge}.last_commit.id": COMMIT,
                f"{merge}.target_branch": ANY,
                **known,
            },
        ),
        Shape(
            source=Sender.GITLAB,
            name="comment",
            event=Comment,
            ref=("number",),
            fields=repository
            | {
                "number": number("body.merge_request.iid"),
                "comment_id": number(f"{merge}.id"),
                "association": '""',
                **texts(author="body.user.username", text=f"{merge}.note"),
            },
            patterns={
                "body.object_kind": "^note$",
                f"{merge}.noteable_type": "^MergeRequest$",
                f"{merge}.note": COMMAND,
                "body.merge_request.iid": NUMBER,
                "body.user.username": ANY,
                **known,
            },
        ),
    )


NIGHTLY = Shape(
    source=Sender.CALENDAR,
    name="nightly",
    event=Nightly,
    # The time to the minute: a calendar that is started twice tells of the same minute.
    fields=texts(repo="metadata.repo", ref="metadata.ref", time="eventTime"),
    patterns={"metadata.repo": ANY, "metadata.ref": BRANCH},
)
MANUAL = Shape(
    source=Sender.WEBHOOK,
    name="manual",
    event=Manual,
    fields=texts(**{name: f"body.{name}" for name in ("repo", "ref", "head", "id")}),
    # None: Argo logs an event that lacks a filter's path, whole, and the bearer token is among its headers.
    patterns={},
)
SHAPES: tuple[Shape, ...] = (*_github(Sender.GITHUB), *_github(Sender.GITEA), *_gitlab(), NIGHTLY, MANUAL)
"""Every shape there is."""
