"""Gitea and Forgejo, whose API is the same here: their /api/swagger says it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pipelines.tools.forge_http import identity
from pipelines.tools.forge_rest import RestForge


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
