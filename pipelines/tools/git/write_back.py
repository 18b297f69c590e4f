"""Writes files to a branch, or to a branch for a pull request, without ever undoing anybody's work.

If somebody else pushes first, the new head is read and the change is computed again from it. Empty changes are not
pushed, so a lost response does no harm.

Commits are made without a working tree: some files of a commit are replaced, all others are kept by their ids. The
bytes are stored as they are, whatever .gitattributes say, and the cost depends only on the number of changed files.
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

from pipelines import bounds
from pipelines.bounds import LARGEST
from pipelines.errors import Misconfigured, Transient
from pipelines.step.log import say
from pipelines.tools.git import errors
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.git.repository import GitRepository, TreeEntry

ATTEMPTS = 12
"""How often a write is tried while others push."""
MOST_SEARCHED = 64 << 20
"""Bytes of a file that is looked through for whether it is of use at all."""
_LONGEST_PAUSE_SECONDS = 4.0
_TRAILER = "Shipway-Change: "
_BASE = "Shipway-Base: "
_FILE = "100644"
_FILES = frozenset({_FILE, "100755"})


@dataclass(frozen=True, kw_only=True)
class Author:
    """The author of commits."""

    name: str
    email: str

    @classmethod
    def parse(cls, text: str) -> Author:
        """Return the author written as `Name <address>`; raises Misconfigured."""
        name, bracket, rest = text.strip().partition("<")
        email = rest.removesuffix(">")
        is_whole = bracket and rest.endswith(">") and name.strip() and "@" in email
        if not is_whole or not text.isprintable() or any(sign in email for sign in "<> "):
            raise Misconfigured(
                "the author of commits cannot be read", seen=repr(text[:200]), todo="write Name <name@example.com>"
            )
        return cls(name=name.strip(), email=email)


@dataclass(frozen=True, kw_only=True)
class Head:
    """The commit that a branch names: every path of its tree, and the content of files on request."""

    git: Git
    repository: GitRepository
    ref: str
    commit: str

    @cached_property
    def files(self) -> Mapping[str, TreeEntry]:
        """Every file, link and submodule by path."""
        return {entry.path: entry for entry in self.repository.tree(self.commit)}

    def read(self, paths: Iterable[str], *, needs: Callable[[str, bytes], bool] | None = None) -> dict[str, bytes]:
        """Return the bytes of those paths that are files, fetched all at once.

        Raises Refused if one has more than LARGEST bytes, and what `Git.fetch` raises. One that is not needed, as its
        bytes say, up to MOST_SEARCHED of them, is told and left out.
        """
        entries = [self.files[path] for path in dict.fromkeys(paths) if path in self.files]
        entries = [entry for entry in entries if entry.mode in _FILES]
        self.git.fetch_files(self.repository, [entry.id for entry in entries])
        contents = self.repository.contents(entries, most_bytes=LARGEST)
        for entry in entries:
            if entry.path not in contents:
                fault = bounds.too_large(entry.path, self.repository.sizes([entry])[entry.id])
                data = self.repository.contents([entry], most_bytes=MOST_SEARCHED if needs else 0).get(entry.path)
                if needs is None or data is None or needs(entry.path, data):
                    raise fault
                say(f"{fault.what}, and names nothing that is written: it is left as it is")
        return contents

    @property
    def message(self) -> str:
        """The commit's message."""
        return self.repository.call("log", "-1", "--no-show-signature", "--format=%B", self.commit).stdout

    @property
    def is_ours(self) -> bool:
        """Whether the commit is one that `WriteBack.branch` made."""
        return _TRAILER in self.message


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A change to one head; without files if there is nothing to do."""

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    title: str = ""
    body: str = ""
    """Of a change without files: why there is nothing to do."""
    trailers: Sequence[str] = ()
    """Lines such as `Shipway-Source: …`."""
    is_partial: bool = False
    """Whether more may follow once it is published: what a branch proposes beside these files stays there."""
    is_marked: bool = False
    """Whether a commit onto a branch has the trailer below, too; one of a pull request always has."""

    @property
    def mark(self) -> str:
        """A trailer that identifies this proposal's files."""
        total = hashlib.sha256()
        for path, data in sorted(self.files.items()):
            total.update(f"{path}\0{len(data)}\0".encode() + data)
        return f"{_TRAILER}{'partial-' * self.is_partial}{total.hexdigest()[:32]}"

    def text(self, *trailers: str) -> str:
        """Return the commit's message."""
        parts = (self.title, self.body, "\n".join((*self.trailers, *trailers)))
        return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


Propose = Callable[[Head], Proposal]
"""Computes the change to a head; called again for each new head."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """The result of a write-back."""

    commit: str = ""
    """The commit that the branch has now; empty if there was nothing to write."""
    proposal: Proposal = field(default_factory=Proposal, repr=False)
    attempts: int = 1


@dataclass(frozen=True, kw_only=True)
class WriteBack:
    """Writes to one repository."""

    git: Git
    url: RepositoryUrl
    author: Author
    attempts: int = ATTEMPTS

    def head(self, ref: str, folder: Path) -> Head:
        """Return what a full ref of a branch names now, without files; raises ShipwayError if there is no such ref."""
        return self._fetched(ref, self.git.commit_at(self.url, ref), folder)

    def commit(self, ref: str, propose: Propose) -> Written:
        """Commit a change to a branch; raises Refused, Misconfigured, and Transient after too many races."""
        with tempfile.TemporaryDirectory(prefix="shipway-write-") as folder:
            for attempt in range(1, self.attempts + 1):
                head = self.head(ref, Path(folder) / str(attempt))
                proposal = _without_same(propose(head), head)
                if not proposal.files:
                    return Written(attempts=attempt)
                new = self._commit(head, proposal, proposal.text(*[proposal.mark] * proposal.is_marked))
                if self.git.push(head.repository, new, ref, expected=head.commit):
                    return Written(commit=new, proposal=proposal, attempts=attempt)
                _overtaken(self.url, ref, attempt)
        raise _too_often(self.url, ref, self.attempts)

    def branch(
        self, base: str, branch: str, propose: Propose, *, is_open: bool, closing: Callable[[Proposal], object]
    ) -> Written:
        """Let a pull request's branch propose the change to the base's head; raises what `commit` raises.

        While the pull request `is_open` the branch only grows, by one commit for each update, so that reviews stay: on
        its own head, merged with the base's head if that has moved. Otherwise it starts anew from the base's head. If
        there is nothing to change, and nothing will be, `closing` is called and the branch is deleted. If its head is
        somebody else's commit, the change is committed onto it, and the branch is never deleted.
        """
        with tempfile.TemporaryDirectory(prefix="shipway-write-") as folder:
            for attempt in range(1, self.attempts + 1):
                head = self.head(base, Path(folder) / str(attempt))
                proposal = _without_same(propose(head), head)
                old = self.git.head(self.url, branch)
                top = self.also(head, branch, old) if old else None
                if old and not top:
                    written = None
                elif top and (not top.is_ours or (is_open and proposal.is_partial)):
                    written = self.onto(top, propose(top))
                elif top and proposal.mark in top.message:
                    written = Written(commit=top.commit, proposal=proposal)
                elif not proposal.files:
                    written = self._removed(top, proposal, closing if is_open else None)
                else:
                    written = self._updated(head, branch, top, proposal, is_open=is_open)
                if written:
                    return replace(written, attempts=attempt)
                _overtaken(self.url, branch, attempt)
        raise _too_often(self.url, branch, self.attempts)

    def also(self, head: Head, ref: str, commit: str) -> Head | None:
        """Return a ref's commit, fetched into a head's repository; None if the server does not have it any more."""
        return replace(head, ref=ref, commit=commit) if self.git.fetch_also(head.repository, [commit]) else None

    def _removed(
        self, top: Head | None, proposal: Proposal, closing: Callable[[Proposal], object] | None
    ) -> Written | None:
        """Delete a branch; None if somebody pushed to it meanwhile."""
        if top is None:
            return Written(proposal=proposal)
        if closing:
            closing(proposal)
        is_gone = self.git.push(top.repository, None, top.ref, expected=top.commit)
        return Written(proposal=proposal) if is_gone else None

    def _updated(
        self, head: Head, branch: str, top: Head | None, proposal: Proposal, *, is_open: bool
    ) -> Written | None:
        """Push the change to the base's head; None if somebody pushed to the branch meanwhile."""
        parents = [head.commit]
        if top:
            top.read(proposal.files)  # a push sends differences to the old versions, and fetches none
        if top and is_open:
            parents = [top.commit] if f"{_BASE}{head.commit}" in top.message else [top.commit, head.commit]
        message = proposal.text(f"{_BASE}{head.commit}", proposal.mark)
        new = self._commit(head, proposal, message, parents=parents)
        if (
            top
            and parents == [top.commit]
            and head.repository.commit(new).tree == head.repository.commit(top.commit).tree
        ):
            return Written(commit=top.commit, proposal=proposal)
        pushed = self.git.push(head.repository, new, branch, expected=top.commit if top else None)
        return Written(commit=new, proposal=proposal) if pushed else None

    def onto(self, top: Head, proposal: Proposal) -> Written | None:
        """Commit a change onto a branch as it is, nothing if it has it already; None if somebody pushed meanwhile."""
        proposal = _without_same(proposal, top)
        if not proposal.files:
            return Written(commit=top.commit, proposal=proposal)
        base = [line for line in top.message.splitlines() if line.startswith(_BASE)]
        partial = replace(proposal, is_partial=True)
        new = self._commit(top, proposal, proposal.text(*base, partial.mark) if top.is_ours else proposal.text())
        pushed = self.git.push(top.repository, new, top.ref, expected=top.commit)
        return Written(commit=new, proposal=proposal) if pushed else None

    def _fetched(self, ref: str, commit: str, folder: Path) -> Head:
        repository = self.git.fetch(self.url, Resolved(commit=commit, ref=ref), folder, with_files=False)
        return Head(git=self.git, repository=repository, ref=ref, commit=commit)

    def _commit(self, head: Head, proposal: Proposal, message: str, *, parents: Sequence[str] = ()) -> str:
        files, author = proposal.files, self.author
        return commit(head.repository, head.commit, files, message=message, author=author, parents=parents)


def _without_same(proposal: Proposal, head: Head) -> Proposal:
    """Leave out files that have this content already, so that no commit is empty."""
    old = head.read(proposal.files)
    return replace(proposal, files={path: data for path, data in proposal.files.items() if old.get(path) != data})


def _overtaken(url: RepositoryUrl, ref: str, attempt: int) -> None:
    sys.stderr.write(f"{ref} of {url} moved meanwhile; starting again from its new head\n")
    # Random, so that writers that collided do not collide again.
    time.sleep(random.uniform(0, min(_LONGEST_PAUSE_SECONDS, 0.05 * 2**attempt)))  # noqa: S311 - no secret


def _too_often(url: RepositoryUrl, ref: str, attempts: int) -> Transient:
    return Transient(
        f"{ref} of {url} could not be written", seen=f"it moved {attempts} times meanwhile", todo="run it again"
    )


def commit(
    repository: GitRepository,
    onto: str,
    files: Mapping[str, bytes],
    *,
    message: str,
    author: Author,
    parents: Sequence[str] = (),
) -> str:
    """Return a new commit: another one's tree with files added, or replaced in their old mode; raises ShipwayError.

    Its parent is that one, unless others are given.
    """
    modes = {entry.path: entry.mode for entry in repository.tree(onto) if entry.path in files}
    with tempfile.TemporaryDirectory(prefix="shipway-files-") as folder:
        paths = [Path(folder) / str(number) for number in range(len(files))]
        for path, data in zip(paths, files.values(), strict=True):
            path.write_bytes(data)
        listed = "".join(f"{path}\n" for path in paths)
        ids = _checked(repository, ["hash-object", "-w", "--no-filters", "--stdin-paths"], listed).split()
    lines = "".join(f"{modes.get(path, _FILE)} {blob}\t{path}\0" for path, blob in zip(files, ids, strict=True))
    _checked(repository, ["read-tree", onto])
    _checked(repository, ["update-index", "-z", "--index-info"], lines)
    # Files that were not fetched are kept by their ids.
    tree = _checked(repository, ["write-tree", "--missing-ok"]).strip()
    identity = ["-c", f"user.name={author.name}", "-c", f"user.email={author.email}"]
    history = [word for parent in parents or (onto,) for word in ("-p", parent)]
    return _checked(repository, [*identity, "commit-tree", tree, *history, "-F", "-"], message).strip()


def _checked(repository: GitRepository, words: Sequence[str], stdin: str | None = None) -> str:
    done = repository.call(*words, stdin=stdin)
    if done.code != 0:
        raise errors.error("cannot make a commit", done, None, "")
    return done.stdout
