"""One commit of a repository, checked out into a folder that nobody else's files are in."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from pipelines.declared import shipway_yaml
from pipelines.declared.shipway_yaml import Configuration
from pipelines.errors import Misuse
from pipelines.model.source import RepositoryUrl, Revision
from pipelines.tools.git import Git
from pipelines.tools.git_refs import Resolved
from pipelines.tools.git_repository import Commit
from pipelines.tools.git_submodules import check_out_submodules


def named(resolved: Resolved, ref: str) -> Resolved:
    """Return what was resolved, under the ref that the caller resolved before, so that several images share one commit."""
    if not ref or resolved.ref == ref:
        return resolved
    if resolved.ref or not Revision(ref).startswith("refs/"):
        raise Misuse(
            "the ref does not go with the revision",
            seen=f"{ref!r}, while the revision is {resolved.ref or resolved.commit}",
            todo="give a commit id as the revision and a whole ref, refs/heads/main, beside it",
        )
    return replace(resolved, ref=ref)


def check_out(
    git: Git, url: RepositoryUrl, resolved: Resolved, source: Path, *, submodules: bool, lfs: bool
) -> tuple[Commit, tuple[str, ...]]:
    """Make the folder `source` hold exactly the commit, and return the commit with the paths of its files."""
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
    if not lfs and attributes.is_file() and not attributes.is_symlink() and b"filter=lfs" in attributes.read_bytes():
        _say("the repository keeps large files in Git LFS; their pointers are built, unless --lfs=true is given")
    return commit, files


def configuration(source: Path) -> Configuration:
    """Return what a checkout's shipway.yaml says; raises ShipwayError with the first line that it must not say."""
    path = source / shipway_yaml.NAME
    return shipway_yaml.require(path.read_bytes() if path.is_file() and not path.is_symlink() else b"")


def make_room(source: Path) -> None:
    """Remove the checkout of an earlier run, and nothing that was not made here; raises Misuse."""
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


def warn_of_changes(git: Git, url: RepositoryUrl, wanted: Revision) -> None:
    """Say how many files of a local working tree are not in any commit; whoever names a commit wants no others."""
    if not wanted.is_commit and (changes := git.uncommitted(url)):
        _say(
            f"{changes} uncommitted change{'s' * (changes > 1)} in {url} are not part of this build; commit them first"
        )


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
