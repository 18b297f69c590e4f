"""Files of a branch written by a commit onto its head, or proposed as a pull request; nobody's work is ever taken away.

Whoever pushes in between was first: the new head is read, and what is to be written is worked out again from it. Nothing is
pushed that would change nothing, so an answer that was lost does no harm.
"""

from __future__ import annotations

import hashlib
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from pipelines.errors import Transient
from pipelines.tools.git import writing
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.git.repository import GitRepository, TreeEntry
from pipelines.tools.git.writing import Author

ATTEMPTS = 12
"""Pushes of others that one deployment waits out."""
_LONGEST_PAUSE_SECONDS = 4.0
_TRAILER = "Shipway-Change: "
_FILES = frozenset({"100644", "100755"})


@dataclass(frozen=True, kw_only=True)
class Head:
    """The commit that a branch names: every path of its tree, and the content of files that are asked for."""

    git: Git
    repository: GitRepository
    ref: str
    commit: str

    @cached_property
    def files(self) -> Mapping[str, TreeEntry]:
        """Every file, link and submodule by path."""
        return {entry.path: entry for entry in self.repository.tree(self.commit)}

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the bytes of those of some paths that are files, fetched all at once; raises what `Git.fetch` raises."""
        found = [self.files[path] for path in dict.fromkeys(paths) if path in self.files]
        found = [entry for entry in found if entry.mode in _FILES]
        self.git.fetch_files(self.repository, [entry.id for entry in found])
        return self.repository.contents(found) if found else {}

    @property
    def message(self) -> str:
        """The commit's message."""
        return self.repository.call("log", "-1", "--no-show-signature", "--format=%B", self.commit).stdout


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What is to be written onto one head; no files where there is nothing to do."""

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    title: str = ""
    body: str = ""
    trailers: Sequence[str] = ()
    """Lines such as `Shipway-Source: …`."""

    @property
    def mark(self) -> str:
        """Tell this proposal's files from every other's."""
        total = hashlib.sha256()
        for path, data in sorted(self.files.items()):
            total.update(f"{path}\0{len(data)}\0".encode() + data)
        return f"{_TRAILER}{total.hexdigest()[:32]}"

    def text(self, *trailers: str) -> str:
        """Return the commit's message."""
        parts = (self.title, self.body, "\n".join((*self.trailers, *trailers)))
        return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


Make = Callable[[Head], Proposal]
"""Works out what is to be written onto a head; called again for each new one."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What came of a write-back."""

    commit: str = ""
    """The one that was pushed; empty where there was nothing to write."""
    proposal: Proposal = field(default_factory=Proposal, repr=False)
    attempts: int = 1


@dataclass(frozen=True, kw_only=True)
class WriteBack:
    """One repository that is written to."""

    git: Git
    url: RepositoryUrl
    author: Author
    attempts: int = ATTEMPTS

    def head(self, ref: str, folder: Path) -> Head:
        """Return what a full ref names now, without its files; raises ShipwayError where there is none."""
        return self._fetched(ref, self.git.commit_at(self.url, ref), folder)

    def commit(self, ref: str, make: Make) -> Written:
        """Commit what is to be written onto a branch; raises Refused, Misconfigured, and Transient after too many races."""
        with tempfile.TemporaryDirectory(prefix="shipway-write-") as folder:
            for attempt in range(1, self.attempts + 1):
                head = self.head(ref, Path(folder) / str(attempt))
                proposal = _without_same(make(head), head)
                if not proposal.files:
                    return Written(attempts=attempt)
                new = self._made(head, proposal, proposal.text())
                if self.git.push(head.repository, new, ref, expected=head.commit):
                    return Written(commit=new, proposal=proposal, attempts=attempt)
                _overtaken(self.url, ref, attempt)
        raise _too_often(self.url, ref, self.attempts)

    def branch(self, base: str, branch: str, make: Make) -> Written:
        """Bring a branch of our own to the base's head with what is to be written; raises what `commit` raises.

        Where nothing is to be written the branch goes. Commits that people put onto it stay, and ours come after them; without
        such it is made anew, one commit onto the base.
        """
        with tempfile.TemporaryDirectory(prefix="shipway-write-") as folder:
            for attempt in range(1, self.attempts + 1):
                head = self.head(base, Path(folder) / f"{attempt}-base")
                proposal = _without_same(make(head), head)
                old = self.git.head(self.url, branch)
                top = self._fetched(branch, old, Path(folder) / f"{attempt}-branch") if old else None
                if top and _TRAILER not in top.message:
                    found = self._onto_others(top, make)
                elif top and proposal.mark in top.message:
                    return Written(commit=top.commit, proposal=proposal, attempts=attempt)
                elif not proposal.files:
                    if top is None or self.git.push(head.repository, None, branch, expected=old):
                        return Written(attempts=attempt)
                    found = None
                else:
                    new = self._made(head, proposal, proposal.text(proposal.mark))
                    pushed = self.git.push(head.repository, new, branch, expected=old)
                    found = Written(commit=new, proposal=proposal) if pushed else None
                if found:
                    return replace(found, attempts=attempt)
                _overtaken(self.url, branch, attempt)
        raise _too_often(self.url, branch, self.attempts)

    def _onto_others(self, top: Head, make: Make) -> Written | None:
        """Add what is to be written to a branch that people work on; None where somebody was faster."""
        proposal = _without_same(make(top), top)
        if not proposal.files:
            return Written(commit=top.commit, proposal=proposal)
        new = self._made(top, proposal, proposal.text())
        pushed = self.git.push(top.repository, new, top.ref, expected=top.commit)
        return Written(commit=new, proposal=proposal) if pushed else None

    def _fetched(self, ref: str, commit: str, folder: Path) -> Head:
        repository = self.git.fetch(self.url, Resolved(commit=commit, ref=ref), folder, with_files=False)
        return Head(git=self.git, repository=repository, ref=ref, commit=commit)

    def _made(self, head: Head, proposal: Proposal, message: str) -> str:
        return writing.commit(
            head.repository, head.commit, proposal.files, parents=[head.commit], message=message, author=self.author
        )


def _without_same(proposal: Proposal, head: Head) -> Proposal:
    """Leave out files that are there as they are to be, so that no commit is empty."""
    there = head.read(proposal.files)
    return replace(proposal, files={path: data for path, data in proposal.files.items() if there.get(path) != data})


def _overtaken(url: RepositoryUrl, ref: str, attempt: int) -> None:
    sys.stderr.write(f"{ref} of {url} moved meanwhile; starting again from its new head\n")
    # Writers that lost together must not meet again.
    time.sleep(random.uniform(0, min(_LONGEST_PAUSE_SECONDS, 0.05 * 2**attempt)))  # noqa: S311 - no secret


def _too_often(url: RepositoryUrl, ref: str, attempts: int) -> Transient:
    return Transient(
        f"{ref} of {url} could not be written", seen=f"it moved {attempts} times meanwhile", todo="run it again"
    )
