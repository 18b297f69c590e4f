"""What a forge is asked for, whichever it is: statuses of commits, one comment under a pull request, pull requests, links.

A forge here is the place of one repository: its address and its login are bound to it when it is made (`forge_login`), so
that no call can send a token to another host. Every call raises

    Transient       no answer, a busy server, or a limit of calls; the same call may succeed later
    Misconfigured   a login that is missing, ended or lacks a right, or a repository that it cannot see
    Refused         understood and never done: a commit that the forge does not have, a rule that forbids it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class StatusState(StrEnum):
    """What a status says of a commit, in the words that GitHub, Gitea and Forgejo share."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    """The commit is at fault."""
    ERROR = "error"
    """The run is: stopped, or broken by its surroundings."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """One line that a forge shows beside a commit; the newest of its context counts."""

    context: str
    """Tells it from statuses of other programs."""
    state: StatusState
    description: str
    """A line of plain text; what is longer than the forge takes is cut."""
    url: str = ""
    """Where more is to be seen: http or https, or empty."""


@dataclass(frozen=True, kw_only=True)
class OpenPullRequest:
    """An open pull request of a branch of the repository itself."""

    number: int
    url: str
    """For people."""
    head: str
    """The branch that it comes from, without refs/heads/."""
    base: str
    """The branch that it is made to, the same."""
    title: str
    body: str


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A branch as the forge has it."""

    name: str
    commit: str
    protected: bool
    """Whether rules of the forge stand before a push."""


class Forge(Protocol):
    """One repository at its forge, with one login."""

    def status(self, commit: str, context: str) -> Status | None:
        """Return the newest status of this context that the commit has, or None."""

    def set_status(self, commit: str, status: Status) -> None:
        """Give the commit (a full id) a status; one of the same context is replaced."""

    def comment(self, number: int, marker: str, text: str, *, unless: Callable[[str], bool] | None = None) -> str:
        """Write the one comment of a pull request that `marker` is hidden in, and return its address.

        The comment that this login wrote with the same marker is changed, unless `unless` says of its text that it is to stay;
        a stranger's with that marker is left alone.
        """

    def pull_request(self, head: str, *, base: str = "") -> OpenPullRequest | None:
        """Return the open pull request of a branch of this repository, made to `base` where it is given, or None."""

    def propose(self, *, head: str, base: str, title: str, body: str) -> OpenPullRequest:
        """Return the open pull request of the branch `head` to `base`, with this title and text: made, or changed."""

    def branch(self, name: str) -> Branch | None:
        """Return what the forge knows of a branch, or None where there is none."""

    def default_branch(self) -> str:
        """Return the branch that pull requests are made to unless another is named."""

    def commit_link(self, commit: str) -> str:
        """Return the address of a page that shows a commit."""

    def compare_link(self, old: str, new: str) -> str:
        """Return the address of a page that shows what came between two commits, branches or tags."""
