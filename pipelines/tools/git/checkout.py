"""One commit of a repository, checked out into a folder of its own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from pipelines import bounds
from pipelines.bounds import LARGEST
from pipelines.declared import shipway_yaml
from pipelines.declared.shipway_yaml import Configuration
from pipelines.errors import Misuse
from pipelines.step.groups import CommitInputs
from pipelines.step.log import say
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.git.fetched_commit import FetchedCommit
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.git.repository import Commit
from pipelines.tools.git.submodules import check_out_submodules


def with_ref(resolved: Resolved, ref: str) -> Resolved:
    """Return a resolved commit under the ref that the caller resolved before; raises Misuse if it has another ref."""
    if not ref or resolved.ref == ref:
        return resolved
    if resolved.ref or not Revision(ref).startswith("refs/"):
        raise Misuse(
            "the ref does not go with the revision",
            seen=f"{ref!r}, while the revision is {resolved.ref or resolved.commit}",
            todo="give a commit id as the revision and a whole ref, refs/heads/main, beside it",
        )
    return replace(resolved, ref=ref)


def check_out_commit(
    git: Git, inputs: CommitInputs, source: Path, *, submodules: bool = False, lfs: bool = False
) -> tuple[FetchedCommit, tuple[str, ...]]:
    """Check out the requested commit, as `check_out` does, and report which it is; raises what Git does, and Misuse."""
    url, revision = RepositoryUrl(inputs.repo), Revision(inputs.revision)
    resolved = with_ref(git.resolve(url, revision), inputs.ref)
    names = [word for word in (resolved.ref, resolved.commit) if word and word != str(revision)]
    say(f"{url} {revision}{' is ' if names else ''}{' at '.join(names)}")
    warn_of_changes(git, url, revision)
    commit, files = check_out(git, url, resolved, source, submodules=submodules, lfs=lfs)
    return FetchedCommit(
        **vars(inputs) | {"ref": resolved.ref}, commit=commit.id, time=commit.time, tree=commit.tree
    ), files


def check_out(
    git: Git, url: RepositoryUrl, resolved: Resolved, source: Path, *, submodules: bool, lfs: bool
) -> tuple[Commit, tuple[str, ...]]:
    """Check out a commit into `source`, which then holds nothing else; return the commit and the paths of its files."""
    make_room(source)
    work = source.with_name(f".{source.name}.work")
    shutil.rmtree(work, ignore_errors=True)
    try:
        repository = git.fetch(url, resolved, work / "git")
        commit = repository.commit(resolved.commit)
        files = tuple(entry.path for entry in repository.tree(commit.id) if not entry.is_submodule)
        repository.check_out(commit.id, source, lfs=lfs)
        if submodules:
            check_out_submodules(git, repository, commit.id, source, lfs=lfs)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    attributes = source / ".gitattributes"
    if not lfs and attributes.is_file() and not attributes.is_symlink():
        with attributes.open("rb") as file:
            if b"filter=lfs" in file.read(LARGEST):
                say("the repository keeps large files in Git LFS; their pointers are built, unless --lfs=true is given")
    return commit, files


def configuration(source: Path) -> Configuration:
    """Return what a checkout's shipway.yaml says; raises ShipwayError with its first invalid line, Refused if large."""
    path = source / shipway_yaml.NAME
    if path.is_symlink():
        return shipway_yaml.require(b"", is_link=True)
    return shipway_yaml.require(bounds.read_file(path, shipway_yaml.NAME) if path.is_file() else b"")


def make_room(source: Path) -> None:
    """Remove the checkout of an earlier run; raises Misuse if something else is there."""
    if source.name in {"", ".."}:
        raise Misuse(f"{source} cannot be made anew", todo="name a folder of its own with --source")
    mark = source.with_name(f".{source.name}.made-by-shipway")
    if source.is_symlink() or (
        source.exists() and not mark.exists() and (not source.is_dir() or any(source.iterdir()))
    ):
        raise Misuse(
            f"{source} is in the way",
            seen="it was not made by this step",
            todo="run in an empty folder, or name another one with --source",
        )
    source.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    if source.exists():
        shutil.rmtree(source)


def warn_of_changes(git: Git, url: RepositoryUrl, revision: Revision) -> None:
    """Report how many files of a local working tree are uncommitted, unless the revision is a commit id."""
    if not revision.is_commit and (changes := git.uncommitted(url)):
        say(f"warning: {changes} uncommitted change{'s' * (changes > 1)} in {url} are not part of it: commit first")
