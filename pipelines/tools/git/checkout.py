"""One commit of a repository, checked out into a folder that nobody else's files are in.

What a checkout may make us follow: paths of it that Shipway or a builder opens must stay inside.

A link elsewhere, as in a root file system to copy into an image, is data and stays a link. One that is followed by name
(the Dockerfile, the context, .dockerignore, shipway.yaml) could hand a file of this machine to a stranger's build.
"""

from __future__ import annotations

import difflib
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pipelines.declared import shipway_yaml
from pipelines.declared.shipway_yaml import Configuration
from pipelines.errors import Misuse, Refused, ShipwayError
from pipelines.tools.git.address import RepositoryUrl, Revision, TreePath
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.git.repository import Commit
from pipelines.tools.git.submodules import check_out_submodules


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


CONFIGURATION = "shipway.yaml"
_MAX_DOCKERFILE = 4 << 20
_IGNORE_FILES = (".dockerignore", ".containerignore")


def check(source: Path, path: TreePath, dockerfile: TreePath, tree: Iterable[str]) -> None:
    """Raise Refused where a followed path leaves the checkout, ShipwayError where folder or Dockerfile are missing.

    `tree` lists the commit's files, for naming those that might have been meant.
    """
    files = tuple(tree)
    context = inside(source, path, "the image's folder")
    if not context.is_dir():
        folders = sorted({str(parent) for file in files for parent in PurePosixPath(file).parents} - {"."})
        raise ShipwayError(f"the repository has no folder {path}", seen=_kind(context), todo=_close(path, folders))
    file = inside(source, dockerfile, "the Dockerfile")
    if not file.is_file():
        dockerfiles = [name for name in files if "dockerfile" in PurePosixPath(name).name.lower()]
        raise ShipwayError(
            f"the repository has no file {dockerfile}", seen=_kind(file), todo=_close(dockerfile, dockerfiles)
        )
    if file.stat().st_size > _MAX_DOCKERFILE:
        raise Refused(f"{dockerfile} is no Dockerfile", seen=f"it has {file.stat().st_size} bytes", todo="name another")
    for name in _IGNORE_FILES:
        inside(source, TreePath(f"{path}/{name}"), "an ignore file")
        inside(source, TreePath(f"{dockerfile}{name}"), "an ignore file")
    inside(source, TreePath(CONFIGURATION), "the configuration")


def inside(source: Path, path: TreePath, what: str) -> Path:
    """Return where a path of the checkout leads once links are followed, there or not; raises Refused outside."""
    try:
        real = (source / path).resolve()
    except (OSError, RuntimeError) as error:  # a circle of links
        raise Refused(
            f"{what} {path} cannot be followed", seen=str(error), todo="make it a file or a folder"
        ) from error
    if not real.is_relative_to(source.resolve()):
        raise Refused(
            f"{what} {path} is a link that leaves the checkout",
            seen=f"it leads to {real}",
            todo="commit the file itself, or link to a place inside the repository",
        )
    return real


def _kind(path: Path) -> str:
    return "it is a folder" if path.is_dir() else "it is a file" if path.exists() else "nothing of that name"


def _close(name: str, there: list[str]) -> str:
    close = difflib.get_close_matches(name, there, n=5, cutoff=0.4) or sorted(there)[:5]
    return f"there are: {', '.join(close)}" if close else "commit one"
