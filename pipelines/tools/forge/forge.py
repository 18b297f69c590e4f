"""One repository at its forge: statuses of commits, one comment under a pull request, pull requests, branches, links.

GitHub's API and that of Gitea and Forgejo have the same paths and nearly the same objects. A forge is bound to its
repository's address and login when it is made (`connect`), so no call can send a token to another host. Each operation
is retried as a whole and reads before it writes, so a comment or a pull request whose response was lost is found by the
next attempt and not made twice. Every call raises

    Transient       no answer, a busy server, or a rate limit; the same call may succeed later
    Misconfigured   the login is missing, has expired or lacks a right, or cannot see the repository
    Refused         the forge understood and will never do it: an unknown commit, a rule that forbids it

References: docs.github.com/rest, and /api/swagger of a Gitea or Forgejo server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any
from urllib.parse import quote

from pipelines.errors import visible
from pipelines.tools.forge.http import AlreadyExists, ForgeApi, fields, identity
from pipelines.tools.registry.connection import Unanswered

GITHUB_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


class StatusState(StrEnum):
    """The state of a commit's status, in the words that GitHub, Gitea and Forgejo share."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    """The commit is at fault."""
    ERROR = "error"
    """The run is at fault: it was stopped, or its environment failed."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """One line that a forge shows beside a commit; the newest status of a context counts."""

    context: str
    """Distinguishes it from the statuses of other programs."""
    state: StatusState
    description: str
    """A line of plain text, cut at the forge's limit."""
    url: str = ""
    """An http or https address with details, or empty."""


@dataclass(frozen=True, kw_only=True)
class OpenPullRequest:
    """An open pull request from a branch of the repository itself."""

    number: int
    url: str
    """The address of its page."""
    head: str
    """The source branch, without refs/heads/."""
    base: str
    """The target branch, without refs/heads/."""
    title: str
    body: str


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A branch as the forge reports it."""

    name: str
    commit: str
    protected: bool
    """Whether rules of the forge restrict pushes."""


class Forge:
    """One repository at its forge, with one login; `GitHub` and `Gitea` hold what differs."""

    state_field = "state"
    """The field of a status that holds its state."""
    longest_description = 140
    longest_text = 65_000
    """Limit of a comment or a pull request's body, in characters."""

    def __init__(self, api: ForgeApi, *, web: str) -> None:
        """Use an API; `web` is the address of the repository's page."""
        self.api = api
        self.web = web
        self.path = f"/repos/{'/'.join(quote(part, safe='') for part in api.repository.split('/'))}"

    def is_own(self, comment: dict[str, Any]) -> bool:
        """Return whether this login wrote a comment."""
        return bool((comment.get("user") or {}).get("id") == self._user)

    def open_pull_requests(self, head: str) -> list[dict[str, Any]]:
        """Return the open pull requests from a branch of this repository."""
        raise NotImplementedError

    def status(self, commit: str, context: str) -> Status | None:
        """Return the newest status of a commit in this context, or None."""
        return next((one for one in self.statuses(commit, context) if one.context == context), None)

    def statuses(self, commit: str, prefix: str) -> tuple[Status, ...]:
        """Return the newest status of a commit in each context that begins so."""
        what = f"the statuses of {commit} cannot be read"
        path = f"{self.path}/commits/{quote(commit, safe='')}/status"

        def read() -> tuple[Status, ...]:
            newest: dict[str, Status] = {}
            for item in self.api.pages(path, inside="statuses", what=what):
                context = str(item.get("context"))
                if context.startswith(prefix) and context not in newest:
                    newest[context] = Status(
                        context=context,
                        state=_state(item.get(self.state_field), what),
                        description=str(item.get("description") or ""),
                        url=str(item.get("target_url") or ""),
                    )
            return tuple(newest.values())

        return self.api.network.persist(read)

    def set_status(self, commit: str, status: Status) -> None:
        """Give a commit (a full id) a status, which replaces the one of the same context."""
        body = {
            "context": status.context,
            "state": str(status.state),
            "description": _cut(" ".join(status.description.split()), self.longest_description),
            **({"target_url": status.url} if status.url.startswith(("https://", "http://")) else {}),
        }
        path = f"{self.path}/statuses/{quote(commit, safe='')}"
        what = f"the status of {commit} cannot be set"
        self.api.network.persist(lambda: self.api.call("POST", path, body=body, what=what))

    def comment(self, number: int, marker: str, text: str, *, unless: Callable[[str], bool] | None = None) -> str:
        """Write the one comment of a pull request that hides `marker`, and return its address.

        Changes the comment that this login wrote with the same marker, unless `unless` returns True for its text.
        Leaves other people's comments with that marker alone.
        """
        hidden = f"<!-- {marker} -->"
        body = {"body": _cut(f"{hidden}\n{text}", self.longest_text)}
        what = f"the comment under pull request {number} cannot be written"
        comments = f"{self.path}/issues/{number}/comments"

        def write() -> str:
            for item in self.api.pages(comments, what=what):
                if str(item.get("body") or "").startswith(hidden) and self.is_own(item):
                    if item.get("body") == body["body"] or (unless and unless(str(item["body"]))):
                        return str(item.get("html_url") or "")
                    own = f"{self.path}/issues/comments/{identity(item, what)}"
                    return _page(self.api.call("PATCH", own, body=body, what=what).value, what)
            return _page(self.api.call("POST", comments, body=body, what=what).value, what)

        return self.api.network.persist(write)

    def pull_request(self, head: str, *, base: str = "") -> OpenPullRequest | None:
        """Return the open pull request from a branch of this repository, to `base` if it is given, or None."""
        return self.api.network.persist(lambda: self._open(head, base))

    def propose(self, *, head: str, base: str, title: str, body: str) -> OpenPullRequest:
        """Return the open pull request from `head` to `base` with this title and body, created or updated."""
        what = f"a pull request of {head} to {base} cannot be opened"
        texts = {"title": _cut(title, 250), "body": _cut(body, self.longest_text)}

        def write() -> OpenPullRequest:
            current = self._open(head, base)
            if current is None:
                new = {**texts, "head": head, "base": base}
                try:
                    return _pull_request(self.api.call("POST", f"{self.path}/pulls", body=new, what=what).value, what)
                except AlreadyExists:
                    # Another run has opened it since.
                    current = self._open(head, base)
                    if current is None:
                        raise
            if (current.title, current.body) == (texts["title"], texts["body"]):
                return current
            path = f"{self.path}/pulls/{current.number}"
            return _pull_request(self.api.call("PATCH", path, body=texts, what=what).value, what)

        return self.api.network.persist(write)

    def close(self, number: int) -> None:
        """Close a pull request; one that is closed already stays so."""
        path, what = f"{self.path}/pulls/{number}", f"the pull request {number} cannot be closed"
        self.api.network.persist(lambda: self.api.call("PATCH", path, body={"state": "closed"}, what=what))

    def branch(self, name: str) -> Branch | None:
        """Return a branch as the forge reports it, or None if there is none."""
        what = f"the branch {name} cannot be looked at"
        # Gitea expects the slashes of a branch's name unescaped; GitHub accepts both forms.
        path = f"{self.path}/branches/{quote(name, safe='/')}"

        def read() -> Branch | None:
            answer = self.api.call("GET", path, allow=(404,), what=what)
            if answer.status == 404:
                self.default_branch()  # raises if the 404 means that the repository itself cannot be seen
                return None
            branch = fields(answer.value, what)
            commit = fields(branch.get("commit"), what)
            identifier = str(commit.get("sha") or commit.get("id") or "")
            return Branch(name=name, commit=identifier, protected=bool(branch.get("protected")))

        return self.api.network.persist(read)

    def default_branch(self) -> str:
        """Return the branch that pull requests are made to unless they name another."""
        what = f"{self.api.repository} cannot be looked at"
        repository = self.api.network.persist(lambda: self.api.call("GET", self.path, what=what).value)
        return str(fields(repository, what).get("default_branch") or "")

    def commit_link(self, commit: str) -> str:
        """Return the address of a page that shows a commit."""
        return f"{self.web}/commit/{quote(commit, safe='')}"

    def compare_link(self, old: str, new: str) -> str:
        """Return the address of a page that shows the changes between two commits, branches or tags."""
        return f"{self.web}/compare/{quote(old, safe='/')}...{quote(new, safe='/')}"

    def _open(self, head: str, base: str) -> OpenPullRequest | None:
        what = f"the pull requests of {head} cannot be read"
        opened = [_pull_request(item, what) for item in self.open_pull_requests(head)]
        return next((one for one in opened if one.head == head and base in {"", one.base}), None)

    @cached_property
    def _user(self) -> int:
        what = "the token's own user cannot be asked for"
        return identity(self.api.call("GET", "/user", what=what).value, what)


def _page(value: Any, what: str) -> str:
    return str(fields(value, what).get("html_url") or "")


def _pull_request(value: Any, what: str) -> OpenPullRequest:
    try:
        return OpenPullRequest(
            number=int(value["number"]),
            url=str(value.get("html_url") or ""),
            head=str(value["head"]["ref"]),
            base=str(value["base"]["ref"]),
            title=str(value.get("title") or ""),
            body=str(value.get("body") or ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unanswered(what, seen="the answer is not a pull request") from error


def _state(text: object, what: str) -> StatusState:
    # Gitea also has warning and skipped, which Shipway never writes.
    try:
        return StatusState(str(text))
    except ValueError as error:
        raise Unanswered(what, seen=f"a status is {str(text)[:40]!r}") from error


def _cut(text: str, most: int) -> str:
    text = visible(text)
    return text if len(text) <= most else text[: most - 1] + "…"


class Gitea(Forge):
    """A repository on Gitea or Forgejo."""

    state_field = "status"
    longest_description = 255

    def open_pull_requests(self, head: str) -> list[dict[str, Any]]:
        """Return the open pull requests from a branch of this repository; the API cannot filter them."""
        items = self.api.pages(f"{self.path}/pulls", query={"state": "open"}, what=f"the pull requests of {head}")
        return [item for item in items if _is_own_branch(item, head)]


def _is_own_branch(item: dict[str, Any], name: str) -> bool:
    head, base = item.get("head") or {}, item.get("base") or {}
    return bool(head.get("ref") == name and head.get("repo_id") == base.get("repo_id"))


class GitHub(Forge):
    """A repository on GitHub; `app` returns the name of the App that signs in, if it is one."""

    def __init__(self, api: ForgeApi, *, web: str, app: Callable[[], str] | None = None) -> None:
        super().__init__(api, web=web)
        self._app = app

    def is_own(self, comment: dict[str, Any]) -> bool:
        """Return whether this login wrote a comment."""
        if self._app is None:
            return super().is_own(comment)
        # A person may take the name of a bot, but neither its brackets nor its type.
        user = comment.get("user") or {}
        return user.get("type") == "Bot" and user.get("login") == f"{self._app()}[bot]"

    def open_pull_requests(self, head: str) -> list[dict[str, Any]]:
        """Return the open pull requests from a branch of this repository."""
        owner = self.api.repository.partition("/")[0]
        query = {"state": "open", "head": f"{owner}:{head}"}
        return list(self.api.pages(f"{self.path}/pulls", query=query, what=f"the pull requests of {head}"))
