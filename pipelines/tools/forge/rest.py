"""What GitHub's API and Gitea's have in common, which is most: the same paths, and nearly the same objects.

Every operation is tried again as a whole, looking first: a comment or a pull request whose answer was lost is found by the
next attempt, and is not made twice.

Gitea and Forgejo, whose API is the same here: their /api/swagger says it.

GitHub, on github.com or on a server of one's own: docs.github.com/rest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any
from urllib.parse import quote

from pipelines.tools.forge.forge import Branch, OpenPullRequest, Status, StatusState
from pipelines.tools.forge.http import ForgeApi, Taken, fields, identity
from pipelines.tools.registry.connection import Unanswered


class RestForge:
    """A forge with the common API; what differs is in `GitHub` and `Gitea`."""

    state_field = "state"
    """Where a status that was read says its state."""
    longest_description = 140
    longest_text = 65_000
    """Of a comment or a pull request's body, in characters."""

    def __init__(self, api: ForgeApi, *, web: str) -> None:
        """Use an API; `web` is the address of the repository's own page."""
        self.api = api
        self.web = web
        self.path = f"/repos/{'/'.join(quote(part, safe='') for part in api.repository.split('/'))}"

    def is_own(self, comment: dict[str, Any]) -> bool:
        """Return whether this login wrote a comment."""
        raise NotImplementedError

    def open_pull_requests(self, head: str) -> list[dict[str, Any]]:
        """Return the open pull requests of a branch of this repository."""
        raise NotImplementedError

    def status(self, commit: str, context: str) -> Status | None:
        """Return the newest status of this context, or None."""
        what = f"the statuses of {commit} cannot be read"
        path = f"{self.path}/commits/{quote(commit, safe='')}/status"

        def look() -> Status | None:
            for item in self.api.pages(path, inside="statuses", what=what):
                if item.get("context") == context:
                    return Status(
                        context=context,
                        state=_state(item.get(self.state_field), what),
                        description=str(item.get("description") or ""),
                        url=str(item.get("target_url") or ""),
                    )
            return None

        return self.api.network.persist(look)

    def set_status(self, commit: str, status: Status) -> None:
        """Give the commit a status."""
        body = {
            "context": status.context,
            "state": str(status.state),
            "description": _cut(" ".join(status.description.split()), self.longest_description),
            **({"target_url": status.url} if status.url.startswith(("https://", "http://")) else {}),
        }
        path = f"{self.path}/statuses/{quote(commit, safe='')}"
        self._persist("POST", path, body, what=f"the status of {commit} cannot be set")

    def comment(self, number: int, marker: str, text: str, *, unless: Callable[[str], bool] | None = None) -> str:
        """Write the one comment of a pull request that the marker is hidden in, and return its address."""
        hidden = f"<!-- {marker} -->"
        body = {"body": _cut(f"{hidden}\n{text}", self.longest_text)}
        what = f"the comment under pull request {number} cannot be written"
        comments = f"{self.path}/issues/{number}/comments"

        def write() -> str:
            for item in self.api.pages(comments, what=what):
                if str(item.get("body") or "").startswith(hidden) and self.is_own(item):
                    if item.get("body") == body["body"] or (unless and unless(str(item["body"]))):
                        return str(item.get("html_url") or "")
                    place = f"{self.path}/issues/comments/{identity(item, what)}"
                    return _page(self.api.call("PATCH", place, body=body, what=what).value, what)
            return _page(self.api.call("POST", comments, body=body, what=what).value, what)

        return self.api.network.persist(write)

    def pull_request(self, head: str, *, base: str = "") -> OpenPullRequest | None:
        """Return the open pull request of a branch, or None."""
        return self.api.network.persist(lambda: self._found(head, base))

    def propose(self, *, head: str, base: str, title: str, body: str) -> OpenPullRequest:
        """Return the open pull request of `head` to `base` with this title and text."""
        what = f"a pull request of {head} to {base} cannot be opened"
        wanted = {"title": _cut(title, 250), "body": _cut(body, self.longest_text)}

        def write() -> OpenPullRequest:
            found = self._found(head, base)
            if found is None:
                try:
                    made = self.api.call(
                        "POST", f"{self.path}/pulls", body={**wanted, "head": head, "base": base}, what=what
                    )
                except Taken:
                    # Another run has opened it since.
                    found = self._found(head, base)
                    if found is None:
                        raise
                else:
                    return _pull_request(made.value, what)
            if (found.title, found.body) == (wanted["title"], wanted["body"]):
                return found
            place = f"{self.path}/pulls/{found.number}"
            return _pull_request(self.api.call("PATCH", place, body=wanted, what=what).value, what)

        return self.api.network.persist(write)

    def branch(self, name: str) -> Branch | None:
        """Return what the forge knows of a branch, or None."""
        what = f"the branch {name} cannot be looked at"
        # Gitea takes a branch's slashes as they are, and GitHub takes either.
        path = f"{self.path}/branches/{quote(name, safe='/')}"

        def look() -> Branch | None:
            answer = self.api.call("GET", path, allow=(404,), what=what)
            if answer.status == 404:
                self.default_branch()  # a repository that is not to be seen is no branch that is not there
                return None
            found = fields(answer.value, what)
            commit = fields(found.get("commit"), what)
            return Branch(
                name=name,
                commit=str(commit.get("sha") or commit.get("id") or ""),
                protected=bool(found.get("protected")),
            )

        return self.api.network.persist(look)

    def default_branch(self) -> str:
        """Return the branch that pull requests are made to unless another is named."""
        what = f"{self.api.repository} cannot be looked at"
        found = self.api.network.persist(lambda: self.api.call("GET", self.path, what=what).value)
        return str(fields(found, what).get("default_branch") or "")

    def commit_link(self, commit: str) -> str:
        """Return the address of a page that shows a commit."""
        return f"{self.web}/commit/{quote(commit, safe='')}"

    def compare_link(self, old: str, new: str) -> str:
        """Return the address of a page that shows what came between."""
        return f"{self.web}/compare/{quote(old, safe='/')}...{quote(new, safe='/')}"

    def _found(self, head: str, base: str) -> OpenPullRequest | None:
        what = f"the pull requests of {head} cannot be read"
        found = [_pull_request(item, what) for item in self.open_pull_requests(head)]
        return next((one for one in found if one.head == head and base in {"", one.base}), None)

    def _persist(self, method: str, path: str, body: dict[str, str], *, what: str) -> None:
        self.api.network.persist(lambda: self.api.call(method, path, body=body, what=what))


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
        raise Unanswered(what, seen="the answer is no pull request") from error


def _state(text: object, what: str) -> StatusState:
    # Gitea also knows warning and skipped, which nothing of ours writes.
    try:
        return StatusState(str(text))
    except ValueError as error:
        raise Unanswered(what, seen=f"a status is {str(text)[:40]!r}") from error


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


class Gitea(RestForge):
    """A repository on Gitea or Forgejo."""

    state_field = "status"
    longest_description = 255

    def is_own(self, comment: dict[str, Any]) -> bool:
        """Return whether this login wrote a comment."""
        return bool((comment.get("user") or {}).get("id") == self._user)

    def open_pull_requests(self, head: str) -> list[dict[str, Any]]:
        """Return the open pull requests of a branch of this repository, picked from all: the list has no such filter."""
        found = self.api.pages(f"{self.path}/pulls", query={"state": "open"}, what=f"the pull requests of {head}")
        return [item for item in found if _is_from_here(item, head)]

    @cached_property
    def _user(self) -> int:
        what = "the token's own user cannot be asked for"
        return identity(self.api.call("GET", "/user", what=what).value, what)


def _is_from_here(item: dict[str, Any], head: str) -> bool:
    comes, goes = item.get("head") or {}, item.get("base") or {}
    return bool(comes.get("ref") == head and comes.get("repo_id") == goes.get("repo_id"))


HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


class GitHub(RestForge):
    """A repository on GitHub; `app` gives the name of the App that signs in, where it is one."""

    def __init__(self, api: ForgeApi, *, web: str, app: Callable[[], str] | None = None) -> None:
        super().__init__(api, web=web)
        self._app = app

    def is_own(self, comment: dict[str, Any]) -> bool:
        """Return whether this login wrote a comment."""
        user = comment.get("user") or {}
        if self._app is not None:
            # A person may take the name of a bot, but neither its brackets nor its type.
            return user.get("type") == "Bot" and user.get("login") == f"{self._app()}[bot]"
        return bool(user.get("id") == self._user)

    def open_pull_requests(self, head: str) -> list[dict[str, Any]]:
        """Return the open pull requests of a branch of this repository."""
        owner = self.api.repository.partition("/")[0]
        query = {"state": "open", "head": f"{owner}:{head}"}
        return list(self.api.pages(f"{self.path}/pulls", query=query, what=f"the pull requests of {head}"))

    @cached_property
    def _user(self) -> int:
        what = "the token's own user cannot be asked for"
        return identity(self.api.call("GET", "/user", what=what).value, what)
