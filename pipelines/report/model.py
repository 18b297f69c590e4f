"""What a report says about a run to the forge that has its commit."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.step.texts import FreeText, Name

RELEASE = "shipway/release"
CHECK = "shipway/check"
"""Contexts of statuses: of a run that publishes, and of one that only checks. A forge's rules may require either."""
MARKER = "shipway: report"
"""Hidden first line of the one comment under a pull request."""
ANSWER = "shipway: answer"
"""Hidden first line of the one that answers a maintainer's command which starts nothing."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a run is about, as far as a report needs it."""

    repo: str
    commit: str
    """Empty if no status is to be set."""
    context: str
    number: int
    """The pull request's, or 0."""
    quiet: bool
    """Whether nobody waits for it: a nightly run that found everything in order changes no status that says so."""
    waiting: bool
    """Whether nothing was done, because no maintainer has approved the commit."""
    is_closed: bool = False
    """Whether nothing was done but to end the runs of a pull request that was closed."""
    newer: str = ""
    """The commit whose end is this one's, too: of a push that came late, the newer one that the branch is at, which has
    this one in its history; of a commit that a run of ours made, the person's."""
    maker: str = ""
    """The run that made it; empty if a person did."""
    ref: str = ""
    """In full, if it is known."""
    answer: str = ""
    """What a maintainer's command came to nothing for; empty if it did not, or if nobody asked."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A pod that failed, as a person reads it."""

    title: str
    message: str
    lines: tuple[str, ...]
    told: str = ""
    """In one line, which step failed and why; empty if nobody says."""


@dataclass(frozen=True, kw_only=True)
class Reported:
    """The result of a report."""

    state: Name
    """The status's; empty where none was set."""
    reason: FreeText
    """Why none was set, or its description."""
    comment: FreeText
    """The comment's address, or empty."""
