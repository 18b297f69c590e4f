"""What is told of a run to the forge that its commit came from."""

from __future__ import annotations

from dataclasses import dataclass

RELEASE = "shipway/release"
CHECK = "shipway/check"
"""Contexts of statuses: what a trusted run published, and what an untrusted one tried. Rules of a forge may ask for either."""
MARKER = "shipway: report"
"""Stands, hidden, at the head of the one comment under a pull request."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a run is about, as far as it must be known to be told."""

    repo: str
    commit: str
    context: str
    number: int
    """The pull request's, or 0."""
    quiet: bool
    """Whether nobody waits for it: a nightly run that found everything well changes no status that says so."""
    waiting: bool
    """Whether nothing was done, since no maintainer has approved of the commit."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A pod that failed, for people."""

    title: str
    message: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What came of a report."""

    state: str
    """The status's; empty where none was set."""
    reason: str
    """Why none was, or what it says."""
    comment: str
    """The comment's address, or empty."""
