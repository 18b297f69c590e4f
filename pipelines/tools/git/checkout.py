"""One commit of a repository, checked out into a folder of its own; paths in it that are opened must stay inside.

Links that a build copies, as in a root file system, are data and stay links. Those that Shipway or a builder opens by
name (the Dockerfile, the context, .dockerignore, shipway.yaml) could expose a file of this machine to a stranger.
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

_MAX_DOCKERFILE = 4 << 20
_IGNORE_FILES = (".dockerignore", ".containerignore")


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
    if not lfs and attributes.is_file() and not attributes.is_symlink() and b"filter=lfs" in attributes.read_bytes():
        _say("the repository keeps large files in Git LFS; their pointers are built, unless --lfs=true is given")
    return commit, files


def configuration(source: Path) -> Configuration:
    """Return the configuration in a checkout's shipway.yaml; raises ShipwayError with its first invalid line."""
    path = source / shipway_yaml.NAME
    return shipway_yaml.require(path.read_bytes() if path.is_file() and not path.is_symlink() else b"")


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
        _say(
            f"{changes} uncommitted change{'s' * (changes > 1)} in {url} are not part of this build; commit them first"
        )


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def check(source: Path, path: TreePath, dockerfile: TreePath, tree: Iterable[str]) -> None:
    """Raise Refused if a path that is opened leaves the checkout, ShipwayError if the folder or Dockerfile is missing.

    `tree` lists the commit's files, from which the error suggests similar ones.
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
    inside(source, TreePath(shipway_yaml.NAME), "the configuration")


def inside(source: Path, path: TreePath, what: str) -> Path:
    """Return where a checkout's path leads through links, existing or not; raises Refused if that is outside."""
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


def _close(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=5, cutoff=0.4) or sorted(names)[:5]
    return f"there are: {', '.join(close)}" if close else "commit one"
