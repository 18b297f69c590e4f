"""The paths of a checkout that a build opens: they must exist and stay inside.

Links that a build copies, as in a root file system, are data and stay links. Those that Shipway or a builder opens by
name (the Dockerfile, the context, .dockerignore, shipway.yaml) could expose a file of this machine to a stranger.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pipelines.bounds import LARGEST
from pipelines.declared import shipway_yaml
from pipelines.errors import Refused, ShipwayError
from pipelines.tools.git.address import TreePath

_IGNORE_FILES = (".dockerignore", ".containerignore")


def check_paths(source: Path, path: TreePath, dockerfile: TreePath, tree: Iterable[str]) -> None:
    """Raise Refused if a path that is opened leaves the checkout, ShipwayError if the folder or Dockerfile is missing.

    `tree` lists the commit's files, from which the error suggests similar ones.
    """
    files = tuple(tree)
    context = _inside(source, path, "the image's folder")
    if not context.is_dir():
        folders = sorted({str(parent) for file in files for parent in PurePosixPath(file).parents} - {"."})
        raise ShipwayError(f"the repository has no folder {path}", seen=_kind(context), todo=_close(path, folders))
    file = _inside(source, dockerfile, "the Dockerfile")
    if not file.is_file():
        dockerfiles = [name for name in files if "dockerfile" in PurePosixPath(name).name.lower()]
        raise ShipwayError(
            f"the repository has no file {dockerfile}", seen=_kind(file), todo=_close(dockerfile, dockerfiles)
        )
    if file.stat().st_size > LARGEST:
        raise Refused(
            f"{dockerfile} is not a Dockerfile", seen=f"it has {file.stat().st_size} bytes", todo="name another"
        )
    for name in _IGNORE_FILES:
        _inside(source, TreePath(f"{path}/{name}"), "an ignore file")
        _inside(source, TreePath(f"{dockerfile}{name}"), "an ignore file")
    _inside(source, TreePath(shipway_yaml.NAME), "the configuration")


def _inside(source: Path, path: TreePath, what: str) -> Path:
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
    import difflib  # noqa: PLC0415 - 1 ms, at each start of a step

    close = difflib.get_close_matches(name, names, n=5, cutoff=0.4) or sorted(names)[:5]
    return f"there are: {', '.join(close)}" if close else "commit one"
