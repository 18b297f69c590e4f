"""The bodies of each forge's webhooks, and the fields of them that a run gets.

One entry of SHAPES is one shape of payload. It names the event's class in pipelines.events.event, holds an expression
over the body for each field of the class, and patterns that keep pods from starting for nothing. If a body lacks a
path, Argo drops the event (argo-events: pkg/sensors/dependencies/filter.go), so each shape has an entry of its own.

The patterns are for RE2 and are anchored. They decide no lane: the step `decode` checks every field again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pipelines.events import run_labels
from pipelines.events.event import Comment, Event, Manual, Nightly, PullRequest, Push, Sender, longest
from pipelines.events.run_labels import Cut, Operations, Replace
from sensors.shape import Shape

COMMIT = "^[0-9a-f]{40}([0-9a-f]{24})?$"
NOT_ZEROS = "^[0-9a-f]*[1-9a-f][0-9a-f]*$"
BRANCH = "^refs/heads/.+$"
TAG = "^refs/tags/.+$"
NUMBER = "^[1-9][0-9]*$"
ANY = "^.+$"
OBJECT = r"^\{[\s\S]+\}$"
# Whatever follows /ok-to-test: a maintainer who cut the commit short gets an answer.
COMMAND = r"^/(retest[ \t]*|ok-to-test([ \t][^\r\n]*)?)(\r?\n[\s\S]*)?$"
# Gitea writes `synchronized`, GitHub `synchronize`.
ACTIONS = "^(opened|synchronized?|reopened|ready_for_review|closed)$"
# How the titles of drafts begin, in Gitea and Forgejo; whoever names other beginnings there writes /retest.
DRAFT = r"^\[?([Ww][Ii][Pp]|[Dd][Rr][Aa][Ff][Tt])[:\]][\s\S]*$"
MESSAGE: Operations = (
    Replace(r'^([\s\S]*"message":"|[\s\S]*$)', ""),
    Replace(r'","[\s\S]*$', ""),
    Cut(longest("message")),
)
"""From commits as JSON to the message of the last, as JSON writes it; a commit that is none costs no event."""
_GITHUB_REPOSITORY = ("body.repository.id", "body.repository.clone_url", "body.repository.full_name")
_REPOSITORY = {
    Sender.GITHUB: _GITHUB_REPOSITORY,
    Sender.GITEA: _GITHUB_REPOSITORY,
    Sender.GITLAB: ("body.project.id", "body.project.git_http_url", "body.project.path_with_namespace"),
}
"""Paths of a repository's number, address, and name with owner, whose pattern the chart sets to the watched names."""
_EVENTS: Mapping[str, type[Event]] = {"push": Push, "tag": Push, "pull-request": PullRequest, "comment": Comment}


def texts(**paths: str) -> dict[str, str]:
    """Return an expression for the text of each field, cut to the field's length; a missing or null one is empty."""
    return {name: f'(.Input.{path} | default "" | toString | trunc {longest(name)})' for name, path in paths.items()}


def number(path: str) -> str:
    """Return an expression for a whole number; 0 if it is not one."""
    return f"(.Input.{path} | int64)"


def number_in(path: str, key: str) -> str:
    """Return an expression for a number in an object that may be null."""
    return f'(get (.Input.{path} | default (dict)) "{key}" | int64)'


def text_in(path: str, key: str, other: str = '""') -> str:
    """Return an expression for a text in an object that may be null, or `other` if it is missing or empty."""
    return f'(get (.Input.{path} | default (dict)) "{key}" | default {other} | toString)'


def _shape(
    source: Sender, name: str, fields: Mapping[str, str], patterns: Mapping[str, str], why: tuple[str, ...]
) -> Shape:
    """Return a shape of a forge's, with the repository among its fields and patterns."""
    identity, address, name_with_owner = _REPOSITORY[source]
    return Shape(
        why=why,
        source=source,
        name=name,
        event=_EVENTS[name],
        fields={"repo_id": number(identity), **texts(repo=address), **fields},
        patterns={**patterns, identity: NUMBER, address: ANY, name_with_owner: ANY},
    )


def _pushes(
    source: Sender,
    pushed: Mapping[str, str],
    *,
    push: Mapping[str, str],
    tag: Mapping[str, str],
    subject: str,
    commit: str,
    commits: str,
) -> list[Shape]:
    """Return the shapes of pushed branches and tags; `push` and `tag` are the forge's own patterns for them.

    `commit` is an expression for a tag's commit: `after` is the object of an annotated tag. `commits` is the path of
    the pushed commit, or of commits of which it is the last.
    """
    message = run_labels.expression(MESSAGE, f"(.Input.{commits} | toJson)")
    fields = {**texts(ref="body.ref", before="body.before", head="body.after"), **pushed, "message": message}

    def shape(name: str, own: Mapping[str, str], ref: str, commit: str) -> Shape:
        why = (f"{name} at `%s`: `%s`", f"(trunc 10 {commit})", subject)
        patterns = {**own, "body.ref": ref, "body.after": NOT_ZEROS}
        return dataclasses.replace(_shape(source, name, fields, patterns, why), commit=commit)

    return [shape("push", push, BRANCH, fields["head"]), shape("tag", tag, TAG, commit)]


def _github(source: Sender, pushed: Mapping[str, str]) -> list[Shape]:
    """Return GitHub's shapes, which are also Gitea's and Forgejo's."""
    pull = "body.pull_request"
    opened = _shape(
        source,
        "pull-request",
        {
            "number": number(f"{pull}.number"),
            "head_repo_id": number_in(f"{pull}.head.repo", "id"),
            **texts(base=f"{pull}.base.ref", head=f"{pull}.head.sha", draft=f"{pull}.draft"),
            **texts(author=f"{pull}.user.login", association=f"{pull}.author_association"),
            **texts(action="body.action", before="body.before", updated=f"{pull}.updated_at"),
        },
        {"body.action": ACTIONS, f"{pull}.head.sha": COMMIT, f"{pull}.base.ref": ANY, f"{pull}.user.login": ANY},
        _pull_request(f"{pull}.head.sha", pull),
    )
    # Gitea marks a draft in its title, so a draft that is made ready was edited.
    ready = {"body.action": "^edited$", "body.changes.title.from": DRAFT, f"{pull}.draft": "^false$"}
    edited = dataclasses.replace(opened, name="ready", runs=opened.name, patterns={**opened.patterns, **ready})
    comment = _shape(
        source,
        "comment",
        {
            "number": number("body.issue.number"),
            "comment_id": number("body.comment.id"),
            **texts(author="body.comment.user.login", association="body.comment.author_association"),
            **texts(text="body.comment.body"),
        },
        {
            "body.action": "^created$",
            "body.issue.pull_request": OBJECT,
            "body.issue.state": "^open$",
            "body.issue.number": NUMBER,
            "body.comment.user.login": ANY,
            "body.comment.body": COMMAND,
        },
        _comment("body.comment.body", "body.issue"),
    )
    pushes = _pushes(
        source,
        pushed,
        push={},
        tag={},
        subject=text_in("body.head_commit", "message"),
        commit=text_in("body.head_commit", "id", other=texts(head="body.after")["head"]),
        commits="body.head_commit",
    )
    return [*pushes, opened, *([edited] if source is Sender.GITEA else []), comment]


def _pull_request(head: str, pull: str) -> tuple[str, ...]:
    """Return what started the run of a pull request."""
    return "pull request at `%s`: `%s`", f"(trunc 10 {texts(head=head)['head']})", text_in(pull, "title")


def _comment(text: str, pull: str) -> tuple[str, ...]:
    """Return what started the run of a comment on a pull request."""
    return "comment `%s`: `%s`", texts(text=text)["text"], text_in(pull, "title")


def _gitlab() -> list[Shape]:
    """Return GitLab's shapes. GitLab names neither a merge request's author nor who may approve: a setting does."""
    source, merge = Sender.GITLAB, "body.object_attributes"
    opened = _shape(
        source,
        "pull-request",
        {
            "number": number(f"{merge}.iid"),
            "head_repo_id": number(f"{merge}.source_project_id"),
            **texts(base=f"{merge}.target_branch", head=f"{merge}.last_commit.id", draft=f"{merge}.draft"),
            # GitLab names who changed a merge request, and gives only the number of its author.
            "author": '""',
            "association": '""',
            **texts(action=f"{merge}.action", before=f"{merge}.oldrev", updated=f"{merge}.updated_at"),
        },
        {
            "body.object_kind": "^merge_request$",
            f"{merge}.action": "^(open|reopen|close|merge)$",
            f"{merge}.last_commit.id": COMMIT,
            f"{merge}.target_branch": ANY,
        },
        _pull_request(f"{merge}.last_commit.id", merge),
    )

    def updated(name: str, patterns: Mapping[str, str]) -> Shape:
        """Return a shape of an update, of which most change a label or a text."""
        patterns = {**opened.patterns, f"{merge}.action": "^update$", **patterns}
        return dataclasses.replace(opened, name=name, runs=opened.name, patterns=patterns)

    return [
        *_pushes(
            source,
            {"pushed": '""'},
            push={"body.object_kind": "^push$"},
            tag={"body.object_kind": "^tag_push$"},
            # GitLab lists the newest commit last, and none of a tag.
            subject='(get (last (.Input.body.commits | default (list (dict)))) "message" | default "" | toString)',
            commit=f"(.Input.body.checkout_sha | default {texts(head='body.after')['head']} | toString)",
            commits="body.commits",
        ),
        opened,
        updated("new-commit", {f"{merge}.oldrev": COMMIT}),
        updated("ready", {"body.changes.draft.previous": "^true$", "body.changes.draft.current": "^false$"}),
        _shape(
            source,
            "comment",
            {
                "number": number("body.merge_request.iid"),
                "comment_id": number(f"{merge}.id"),
                "association": '""',
                **texts(author="body.user.username", text=f"{merge}.note"),
            },
            {
                "body.object_kind": "^note$",
                f"{merge}.noteable_type": "^MergeRequest$",
                f"{merge}.action": "^create$",
                f"{merge}.note": COMMAND,
                "body.merge_request.state": "^opened$",
                "body.merge_request.iid": NUMBER,
                "body.user.username": ANY,
            },
            _comment(f"{merge}.note", "body.merge_request"),
        ),
    ]


NIGHTLY = Shape(
    source=Sender.CALENDAR,
    name="nightly",
    event=Nightly,
    # The time to the minute: a calendar that is started twice sends the same minute.
    fields=texts(repo="metadata.repo", ref="metadata.ref", time="eventTime"),
    patterns={"metadata.repo": ANY, "metadata.ref": BRANCH},
    why=("starts the runs of the night",),
)
MANUAL = Shape(
    source=Sender.WEBHOOK,
    name="manual",
    event=Manual,
    fields=texts(**{name: f"body.{name}" for name in ("repo", "ref", "head", "id")}),
    # No pattern: Argo logs the whole event if it lacks a filter's path, and the headers hold the bearer token.
    patterns={},
    why=("asked for as `%s`", texts(id="body.id")["id"]),
)
SHAPES: tuple[Shape, ...] = (
    *_github(Sender.GITHUB, {"pushed": "(.Input.body.repository.pushed_at | int64 | toString)"}),
    *_github(Sender.GITEA, texts(pushed="body.repository.updated_at")),
    *_gitlab(),
    NIGHTLY,
    MANUAL,
)
