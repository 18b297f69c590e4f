"""GitHub, on github.com or on a server of one's own: docs.github.com/rest."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from pipelines.tools.forge_http import ForgeApi, identity
from pipelines.tools.forge_rest import RestForge

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
