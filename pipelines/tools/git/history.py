"""Questions about history, which need commits and no files: what stands on what, and when refs were made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.remote import Git

_ONE = "refs/shipway/one"
_OTHER = "refs/shipway/other"


def is_reachable(git: Git, url: RepositoryUrl, commit: str, ref: str, folder: Path) -> bool:
    """Whether a full ref has the commit in its history: a host also gives, by id, what only a fork has.

    Fetches the ref's history without its files into a new repository in `folder`. Raises what `Git.fetch` raises.
    """
    repository = git.histories(url, {_ONE: ref}, folder, commit=commit)
    return repository.call("merge-base", "--is-ancestor", commit, _ONE).code == 0


def merge_base(git: Git, url: RepositoryUrl, commit: str, other: str, folder: Path) -> str:
    """Return the last commit that two commits have in common, or an empty text where there is none.

    Fetches their histories without files into a new repository in `folder`. Raises what `Git.fetch` raises.
    """
    repository = git.histories(url, {_ONE: commit, _OTHER: other}, folder, commit=commit)
    return repository.call("merge-base", commit, other).stdout.strip()


def times(git: Git, url: RepositoryUrl, refs: Iterable[str], folder: Path) -> Mapping[str, int]:
    """Return when each ref's tag or commit was made, in seconds since 1970, by full name; those without a date are left out.

    Fetches tags and commits alone, without what came before them, into a new repository in `folder`. Raises what `Git.fetch` raises.
    """
    repository = git.histories(url, {ref: ref for ref in refs}, folder, depth=1)
    told = repository.call("for-each-ref", "--format=%(refname) %(creatordate:unix)").stdout
    found = (line.rpartition(" ") for line in told.split("\n"))
    return {name: int(time) for name, _, time in found if time.isdecimal()}
