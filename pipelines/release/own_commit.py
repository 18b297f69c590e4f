"""Commits that a run of ours made on top of a person's, recognised by what Git proves and never by an author's name.

Such a commit says in its message which run made it of which commit, and has a hash of the files that were written. It
is believed if its only parent is that commit, and if it changed exactly these files, each in scalars alone. The run
that made it publishes what it moved, so that its own webhook has nothing to do.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.bounds import LARGEST
from pipelines.declared import yaml_edit
from pipelines.errors import Misuse, ShipwayError, Transient
from pipelines.step.log import say
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.git.repository import GitRepository
from pipelines.tools.git.write_back import Proposal
from pipelines.tools.kubernetes import NAME

_SOURCE, _RUN = "Shipway-Source", "Shipway-Run"
_TRAILER = re.compile(r"(Shipway-[A-Za-z]+): (\S+)")
_MOST = 8
"""How many of them may follow each other: charts and environments of one repository, by a run and its attempts."""
_FILES = frozenset({"100644", "100755"})
_WRITTEN = re.compile(r"(?:^|/)(?!shipway\.yaml$)[^/]*(?:\.ya?ml|\.json|Chart\.lock)$")
"""Files that deployments write; another one, which `values` of shipway.yaml may name, gets a run of its own."""


@dataclass(frozen=True, kw_only=True)
class OwnCommit:
    """What a run made of a person's commit, in one commit or in several that follow each other."""

    run: str
    """The run that made the last of them."""
    source: str
    """The person's commit."""
    paths: frozenset[str]
    """The files that differ from it."""


def trailers(source: RepositoryUrl, commit: str, run: str) -> tuple[str, ...]:
    """Return the lines of a message that say of which commit it was made, and by which run if one publishes it."""
    made = (f"{_RUN}: {run}",) if NAME.fullmatch(run) else ()
    return (f"{_SOURCE}: {source}@{commit}", *made)


def read(git: Git, url: RepositoryUrl, commit: str) -> OwnCommit | None:
    """Return what a commit was made of, or None if it is anybody else's or cannot be read; raises Transient."""
    with tempfile.TemporaryDirectory(prefix="shipway-own-") as folder:
        try:
            # Of most commits the message is enough.
            alone = git.histories(url, {"refs/shipway/own": commit}, Path(folder) / "one", commit=commit, depth=1)
            if not _claims(alone, url, commit):
                return None
            repository = git.fetch(url, Resolved(commit=commit, ref=""), Path(folder) / "git", with_files=False)
            git.deepen(repository, commit, _MOST + 1)
            return _chain(git, repository, url, commit)
        except Transient:
            raise
        except ShipwayError as error:
            say(f"{commit} counts as somebody's: {error.what}: {error.seen}")
            return None


def _chain(git: Git, repository: GitRepository, url: RepositoryUrl, commit: str) -> OwnCommit | None:
    run, paths, at = "", frozenset[str](), commit
    for _ in range(_MOST):
        claims = _claims(repository, url, at)
        changed = _proven(git, repository, at, claims) if claims else None
        if not changed:
            break
        run, paths, at = run or claims[_RUN], paths | changed, claims[_SOURCE]
    return OwnCommit(run=run, source=at, paths=paths) if run else None


def _claims(repository: GitRepository, url: RepositoryUrl, commit: str) -> Mapping[str, str]:
    """Return the lines of a message by their names, the source as a commit, if it says it was made of this repository.

    Empty for another message.
    """
    last = repository.message(commit).strip().rpartition("\n\n")[2].splitlines()
    found = {match[1]: match[2] for match in map(_TRAILER.fullmatch, last) if match}
    source, _, parent = found.get(_SOURCE, "").rpartition("@")
    try:
        is_here = RepositoryUrl(source).host_and_path == url.host_and_path
    except Misuse:
        is_here = False
    return {**found, _SOURCE: parent} if is_here and NAME.fullmatch(found.get(_RUN, "")) else {}


def _proven(git: Git, repository: GitRepository, commit: str, claims: Mapping[str, str]) -> frozenset[str]:
    """Return the files that a commit changed, or none if they or its parent are not what its message says."""
    parents = repository.call("log", "-1", "--no-show-signature", "--format=%P", commit).stdout.split()
    if parents != [claims[_SOURCE]]:
        return frozenset()
    old, new = ({entry.path: entry for entry in repository.tree(one)} for one in (parents[0], commit))
    changed = [path for path in {*old, *new} if old.get(path) != new.get(path)]
    pairs = [(old[path], new[path]) for path in changed if path in old and path in new]
    is_edit = len(pairs) == len(changed) and all(one.mode == two.mode in _FILES for one, two in pairs)
    if not is_edit or not all(_WRITTEN.search(path) for path in changed):
        return frozenset()
    git.fetch_files(repository, [entry.id for pair in pairs for entry in pair])
    before = repository.contents([one for one, _ in pairs], most_bytes=LARGEST)
    after = repository.contents([two for _, two in pairs], most_bytes=LARGEST)
    is_whole = len(before) == len(after) == len(changed)
    written = claims.get("Shipway-Change", "").removeprefix("partial-")
    is_marked = Proposal(files=after).mark == f"Shipway-Change: {written}"
    is_ours = (
        is_whole and is_marked and all(yaml_edit.differ_in_scalars(before[path], after[path], path) for path in changed)
    )
    return frozenset(changed) if is_ours else frozenset()
