"""History without files: whether a ref contains a commit, the merge base of two, a message, the dates of refs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.remote import Git

_ONE = "refs/shipway/one"
_OTHER = "refs/shipway/other"


def is_reachable(git: Git, url: RepositoryUrl, commit: str, ref: str, folder: Path) -> bool:
    """Whether the history of a full ref contains the commit: a host also serves, by id, commits of forks.

    Fetches the ref's history without files into a new repository in `folder`. Raises what `Git.fetch` raises.
    """
    repository = git.histories(url, {_ONE: ref}, folder, commit=commit)
    return repository.call("merge-base", "--is-ancestor", commit, _ONE).code == 0


def merge_base(git: Git, url: RepositoryUrl, commit: str, other: str, folder: Path) -> str:
    """Return the last common ancestor of two commits, or an empty string if there is none.

    Fetches their histories without files into a new repository in `folder`. Raises what `Git.fetch` raises.
    """
    repository = git.histories(url, {_ONE: commit, _OTHER: other}, folder, commit=commit)
    return repository.call("merge-base", commit, other).stdout.strip()


def message(git: Git, url: RepositoryUrl, commit: str, ref: str, folder: Path) -> str:
    """Return the message of the commit that a full ref names, empty if the ref has moved.

    Fetches the commit into a new repository in `folder`. Raises what `Git.fetch` raises.
    """
    return git.histories(url, {_ONE: ref}, folder, commit=commit, depth=1).message(commit)


def times(git: Git, url: RepositoryUrl, refs: Iterable[str], folder: Path) -> Mapping[str, int]:
    """Return the date of each ref's tag or commit, in seconds since 1970, by full name, without refs that have none.

    Fetches these tags and commits without their history into a new repository in `folder`. Raises what `Git.fetch`
    raises.
    """
    repository = git.histories(url, {ref: ref for ref in refs}, folder, depth=1)
    listing = repository.call("for-each-ref", "--format=%(refname) %(creatordate:unix)").stdout
    lines = (line.rpartition(" ") for line in listing.split("\n"))
    return {name: int(time) for name, _, time in lines if time.isdecimal()}
