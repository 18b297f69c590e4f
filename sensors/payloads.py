"""The bodies of each forge's webhooks, and the fields of them that a run gets.

One entry of SHAPES is one shape of payload. It names the event's class in pipelines.events.event, holds an expression
over the body for each field of the class, and patterns that keep pods from starting for nothing. If a body lacks a
path, Argo drops the event (argo-events: pkg/sensors/dependencies/filter.go), so each shape has an entry of its own.

The patterns are for RE2 and are anchored. They decide nothing: the step `decode` checks every field again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.events import run_labels
from pipelines.events.event import Comment, Event, Manual, Nightly, PullRequest, Push, Sender, longest
from pipelines.events.lanes import PULL_REFS
from pipelines.events.run_labels import LABEL, NOTE, PATH, SHORT, SLUGS
from sensors import target as targets

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
ACTIONS = "^(opened|synchronized?|reopened|ready_for_review)$"
_GITHUB_REPOSITORY = ("body.repository.id", "body.repository.clone_url", "body.repository.full_name")
_REPOSITORY = {
    Sender.GITHUB: _GITHUB_REPOSITORY,
    Sender.GITEA: _GITHUB_REPOSITORY,
    Sender.GITLAB: ("body.project.id", "body.project.git_http_url", "body.project.path_with_namespace"),
}
"""Paths of a repository's number, address, and name with owner, whose pattern the chart sets to the watched names."""
_EVENTS: Mapping[str, type[Event]] = {"push": Push, "tag": Push, "pull-request": PullRequest, "comment": Comment}
_TARGETS: Mapping[type[Event], str] = {
    PullRequest: targets.PROPOSAL,
    Comment: targets.PROPOSAL,
    Nightly: targets.NIGHTLY,
}
NAME_HASH = 16
"""Hexadecimal digits of the hash in a run's name: 64 bits, for events of one kind and slug."""
_REF_FIELDS: Mapping[type[Event], str] = {Push: "ref", PullRequest: "number", Comment: "number"}
"""The field that names the branch, tag or pull request, by which a run is found before it has started."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One shape of payload from one source."""

    source: Sender
    name: str
    """The kind of event; runs and dependencies are named after it."""
    event: type[Event]
    fields: Mapping[str, str]
    """An expression for every field of the event but `source`."""
    patterns: Mapping[str, str]
    """The pattern that the text at each path must match."""
    runs: str = ""
    """The beginning of its runs' names, if other than its own name: two shapes of the same event start one run."""
    why: tuple[str, ...] = ()
    """What started a run, for people: words with a %s for each of the expressions that follow."""
    commit: str = ""
    """An expression for the commit, if the event's `head` is not it."""

    def __post_init__(self) -> None:
        """Raise ValueError unless the fields are those of the event."""
        names = {field.name for field in dataclasses.fields(self.event)} - {"source"}
        if names != self.fields.keys():
            raise ValueError(f"{self.id}: the fields {sorted(names ^ self.fields.keys())} do not fit the event")

    @property
    def target(self) -> str:
        """The name of the WorkflowTemplate that it starts: no pull request starts one that can publish."""
        return _TARGETS.get(self.event, targets.NAME)

    @property
    def id(self) -> str:
        """The name of its dependency and of its trigger."""
        return f"{self.source}-{self.name}"

    @property
    def expression(self) -> str:
        """An expression in Go's templates for the event as JSON; it must be encoded before use."""
        return self._json(tuple(self.fields))

    @property
    def ref_expression(self) -> str:
        """An expression for the repository and its branch, tag or pull request as JSON; empty if the event has none."""
        field = _REF_FIELDS.get(self.event)
        return self._json(("repo_id", "repo", field)) if field else ""

    @property
    def ref(self) -> str:
        """An expression for the full name of the branch, the tag or the pull request."""
        form = run_labels.quoted(PULL_REFS[self.source].format("%d"))
        return f"(printf {form} {self.fields['number']})" if "number" in self.fields else self.fields["ref"]

    @property
    def run_name(self) -> str:
        """An expression for what follows the kind in a run's name: a slug, and a hash of the event."""
        repository, ref = map(run_labels.expression, SLUGS, (self.fields["repo"], self.ref))
        return f'printf "%s-%s-%s" {repository} {ref} ({self.expression} | sha256sum | trunc {NAME_HASH})'

    @property
    def labels(self) -> dict[str, str]:
        """Expressions for the labels that people find a run by; each gives a valid value, whatever the event says."""
        commit = self.commit or self.fields.get("head", "")
        number = f"(toString {self.fields['number']})" if "number" in self.fields else ""
        texts = {
            run_labels.REPOSITORY_LABEL: run_labels.expression(PATH, self.fields["repo"]),
            run_labels.REF_LABEL: run_labels.expression(SHORT, self.ref),
            # A request by hand may be for the head of a branch.
            run_labels.COMMIT_LABEL: "" if self.event is Manual else commit,
            run_labels.PULL_REQUEST_LABEL: number,
        }
        return {key: run_labels.expression(LABEL, text) for key, text in texts.items() if text}

    @property
    def notes(self) -> dict[str, str]:
        """Expressions for the annotations that the Argo UI shows."""
        names = ((PATH, self.fields["repo"]), (SHORT, self.ref))
        title = " ".join(run_labels.expression((*operations, *NOTE), text) for operations, text in names)
        words, *texts = self.why
        why = [run_labels.quoted(words), *(run_labels.expression(NOTE, text) for text in texts)]
        return {run_labels.TITLE: f'printf "`%s` `%s`" {title}', run_labels.DESCRIPTION: f"printf {' '.join(why)}"}

    def _json(self, names: tuple[str, ...]) -> str:
        pairs = " ".join(f'"{name}" {self.fields[name]}' for name in names)
        return f'dict "source" "{self.source}" {pairs} | toJson'


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
) -> list[Shape]:
    """Return the shapes of pushed branches and tags; `push` and `tag` are the forge's own patterns for them.

    `commit` is an expression for a tag's commit: `after` is the object of an annotated tag.
    """
    fields = {**texts(ref="body.ref", before="body.before", head="body.after"), **pushed}

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
        },
        {"body.action": ACTIONS, f"{pull}.head.sha": COMMIT, f"{pull}.base.ref": ANY, f"{pull}.user.login": ANY},
        _pull_request(f"{pull}.head.sha", pull),
    )
    # Gitea marks a draft in its title, so a draft that is made ready was edited.
    ready = {"body.action": "^edited$", "body.changes.title.from": ANY, f"{pull}.draft": "^false$"}
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
    return [
        *_pushes(
            source,
            {"pushed": '""'},
            push={"body.object_kind": "^push$"},
            tag={"body.object_kind": "^tag_push$"},
            # GitLab lists the newest commit last, and none of a tag.
            subject='(get (last (.Input.body.commits | default (list (dict)))) "message" | default "" | toString)',
            commit=f"(.Input.body.checkout_sha | default {texts(head='body.after')['head']} | toString)",
        ),
        _shape(
            source,
            "pull-request",
            {
                "number": number(f"{merge}.iid"),
                "head_repo_id": number(f"{merge}.source_project_id"),
                **texts(base=f"{merge}.target_branch", head=f"{merge}.last_commit.id", draft=f"{merge}.draft"),
                # GitLab names who changed a merge request, and gives only the number of its author.
                "author": '""',
                "association": '""',
            },
            {
                "body.object_kind": "^merge_request$",
                f"{merge}.action": "^(open|update|reopen)$",
                f"{merge}.last_commit.id": COMMIT,
                f"{merge}.target_branch": ANY,
            },
            _pull_request(f"{merge}.last_commit.id", merge),
        ),
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
                f"{merge}.note": COMMAND,
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
