"""What the tests on a cluster ask of a forge with webhooks, whichever it is."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.git_repositories import ENVIRONMENT, Repository


@dataclass(frozen=True, kw_only=True)
class ProposedChange:
    """A pull request."""

    number: int
    is_open: bool
    title: str
    branch: str
    """Its head, without refs/heads/."""


@dataclass(frozen=True, kw_only=True)
class GivenStatus:
    """A status that a commit was given."""

    context: str
    state: str
    description: str


class ForgeHost(Protocol):
    """An owner at a forge, with repositories that anybody may read; persons and Shipway push with logins."""

    @property
    def forges(self) -> str:
        """The setting `forges`."""

    @property
    def plain_http(self) -> str:
        """Hosts for the setting `plain-http`."""

    @property
    def maintainer(self) -> str:
        """The login name of whoever writes comments and approves."""

    @property
    def secrets(self) -> Mapping[str, Mapping[str, str]]:
        """Secrets that Shipway needs to report, to propose and to push, by name."""

    def create(self, name: str) -> str:
        """Make an empty repository and return its address."""

    def push_address(self, name: str) -> str:
        """Return the address that a person pushes to, with a login."""

    def full_name(self, name: str) -> str:
        """Return a repository's name with its owner's."""

    def watch(self, name: str, address: str, key: str) -> None:
        """Let the forge send signed webhooks of a repository to an address."""

    def statuses(self, name: str, commit: str) -> list[GivenStatus]:
        """Return the statuses of a commit, in the order in which they were given."""

    def pull_requests(self, name: str) -> list[ProposedChange]:
        """Return every pull request, the oldest first."""

    def propose(self, name: str, branch: str, title: str) -> int:
        """Open a pull request of a branch to main as a person, and return its number."""

    def say(self, name: str, number: int, text: str) -> None:
        """Write a comment under a pull request, as the maintainer."""

    def comments(self, name: str, number: int) -> list[str]:
        """Return the comments under a pull request."""

    def approve(self, name: str, number: int) -> None:
        """Approve the newest commit of a pull request, as the maintainer."""

    def approved(self, name: str, number: int) -> list[str]:
        """Return the commits whose approvals a pull request still has."""


class Person:
    """Somebody with a clone of a forge's repository."""

    def __init__(self, folder: Path, address: str) -> None:
        """Clone nothing yet: the repository is empty."""
        self.clone = Repository(folder)
        self.clone.git("remote", "add", "origin", address)

    def push(self, files: Mapping[str, str], message: str = "Change", *, branch: str = "main", base: str = "") -> str:
        """Commit files onto what a branch names now, a new one onto `base`, push, and return the commit.

        Whoever is overtaken starts again.
        """
        for _ in range(5):
            if (is_there := self.head(branch)) or base:
                self.clone.git("fetch", "--quiet", "origin")
                self.clone.git("checkout", "--quiet", "-B", branch, f"origin/{branch if is_there else base}")
            for path, content in files.items():
                self.clone.write(path, content)
            commit = self.clone.commit(message)
            with contextlib.suppress(AssertionError):
                self.clone.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
                return commit
        raise AssertionError(f"{branch} moved each time")

    def head(self, branch: str = "main") -> str:
        """Return what a branch of the forge names now, empty if there is none."""
        return self.clone.git("ls-remote", "origin", f"refs/heads/{branch}").partition("\t")[0]

    def commits(self, since: str, branch: str = "main") -> list[str]:
        """Return the commits of a branch after one, the oldest first."""
        self.clone.git("fetch", "--quiet", "origin")
        return self.clone.git("rev-list", "--reverse", "--first-parent", f"{since}..origin/{branch}").split()

    def contains(self, branch: str, commit: str) -> bool:
        """Whether a branch of the forge has a commit in its history."""
        self.clone.git("fetch", "--quiet", "origin")
        words = ["git", "merge-base", "--is-ancestor", commit, f"origin/{branch}"]
        return subprocess.run(words, cwd=self.clone.path, env=ENVIRONMENT, check=False).returncode == 0

    def file(self, path: str, branch: str = "main") -> str:
        """Return a file of a branch's head."""
        self.clone.git("fetch", "--quiet", "origin")
        return self.clone.git("show", f"origin/{branch}:{path}")
