"""What a checkout may make us follow: paths of it that Shipway or a builder opens must stay inside.

A link elsewhere, as in a root file system to copy into an image, is data and stays a link. One that is followed by name
(the Dockerfile, the context, .dockerignore, shipway.yaml) could hand a file of this machine to a stranger's build.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pipelines.errors import Refused, ShipwayError
from pipelines.model.source import TreePath

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
