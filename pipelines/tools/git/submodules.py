"""Submodules, checked out without `git submodule`: each is one commit of another address.

That command's advisories (CVE-2018-11235, CVE-2018-17456, CVE-2025-48384) come from its other work: it keeps Git
folders that the repository names, writes .git files into the checkout and runs what .gitmodules configures. Here the
tree gives the commit and the path, .gitmodules gives the address, and nothing else in it is used.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from pipelines.bounds import LARGEST, too_large
from pipelines.errors import Refused, ShipwayError
from pipelines.tools.git.address import TreePath
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.git.repository import GitRepository, TreeEntry

_MAX_DEPTH = 8
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ufffd]")


def check_out_submodules(
    git: Git, repository: GitRepository, commit: str, folder: Path, *, lfs: bool = False, depth: int = 0
) -> None:
    """Check out the submodules of a commit, recursively, into the folder that holds its checkout.

    Raises Refused if an address is not https or ssh, a path leaves the checkout, or the nesting is too deep,
    ShipwayError if .gitmodules lacks a submodule, and what fetching raises.
    """
    tree = repository.tree(commit)
    links = [entry for entry in tree if entry.is_submodule]
    if not links:
        return
    if depth == _MAX_DEPTH:
        raise Refused(
            "submodules are nested too deep", seen=f"{repository.url} is at depth {depth}", todo="nest them less deep"
        )
    settings = _by_path(repository, tree, commit)
    for number, link in enumerate(links):
        if link.path not in settings:
            raise ShipwayError(
                f"the submodule {link.path!r} has no address",
                seen=f".gitmodules names {', '.join(sorted(settings)) or 'none'}",
                todo="add it to .gitmodules, or build without submodules",
            )
        url = repository.url.submodule(settings[link.path])
        into = _folder_of(folder, link.path)
        sys.stderr.write(f"submodule {link.path} is {url} at {link.id}\n")
        git_folder = repository.path.with_name(f"{repository.path.name}.{number}")
        inner = git.fetch(url, Resolved(commit=link.id, ref=""), git_folder)
        inner.check_out(link.id, into, lfs=lfs)
        check_out_submodules(git, inner, link.id, into, lfs=lfs, depth=depth + 1)
        inner.remove()


def _by_path(repository: GitRepository, tree: tuple[TreeEntry, ...], commit: str) -> Mapping[str, str]:
    """Return the address of each submodule by its path, as a commit's .gitmodules gives them."""
    file = next((entry for entry in tree if entry.path == ".gitmodules"), None)
    if file is None or file.is_link or file.is_submodule:
        raise ShipwayError(
            f"{repository.url} has submodules and no file .gitmodules",
            seen=f"mode {file.mode}" if file else "not in the commit",
            todo="commit a .gitmodules, or build without submodules",
        )
    if (size := repository.sizes([file])[file.id]) > LARGEST:
        raise too_large(f".gitmodules of {repository.url}", size)
    named = repository.submodule_settings(commit).values()
    return {item["path"].rstrip("/"): item["url"] for item in named if item.get("path") and item.get("url")}


def _folder_of(checkout: Path, path: str) -> Path:
    """Return a submodule's folder, which Git has created; raises Refused if a link leads there or it is not empty."""
    if _CONTROL.search(path):
        raise Refused("a submodule's path has control characters", seen=repr(path[:200]), todo="rename its folder")
    folder = checkout
    for part in Path(TreePath(path)).parts:
        folder /= part
        if folder.is_symlink() or not folder.is_dir():
            raise Refused(
                f"the submodule {path!r} would leave the checkout",
                seen=f"{folder.relative_to(checkout)} is a link or a file",
                todo="move the submodule into a folder of its own",
            )
    if any(folder.iterdir()):
        raise Refused(f"the submodule {path!r} shares its folder", seen=f"{path} is not empty", todo="move it")
    return folder
