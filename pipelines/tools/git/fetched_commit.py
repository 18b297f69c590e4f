"""A commit in the workspace."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.step.texts import ObjectId, Plain, Seconds


@dataclass(frozen=True, kw_only=True)
class FetchedCommit:
    """One commit of a repository, as it was asked for and as it is."""

    repo: Plain
    revision: Plain
    """As it was asked for."""
    ref: Plain
    """The full ref that the revision named, `refs/heads/main`; empty for a bare commit id."""
    commit: ObjectId
    time: Seconds
    """The commit's time."""
    tree: ObjectId
