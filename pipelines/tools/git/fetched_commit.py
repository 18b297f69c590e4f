"""A commit in the workspace."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FetchedCommit:
    """One commit of a repository, as it was asked for and as it is."""

    repo: str
    revision: str
    """As it was asked for."""
    ref: str
    """The full ref that the revision named, `refs/heads/main`; empty for a bare commit id."""
    commit: str
    time: int
    """The commit's time, in seconds since 1970."""
    tree: str
