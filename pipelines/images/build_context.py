"""The context of a build: its folder, its .dockerignore, and the times and modes of its files.

A checkout contains what strangers wrote. No path is followed out of it; a link inside the context stays a link for the
builder to copy.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from secrets import randbelow

from pipelines import bounds
from pipelines.errors import Misuse, Refused, ShipwayError
from pipelines.tools.git.address import TreePath
from pipelines.tools.registry.layout import LAYER_TIME

_NOT_GIT = "\n# The repository's own data is not part of any image: it differs from clone to clone.\n.git\n**/.git\n"
_SPECIAL = re.compile(r"[*?\[\]\\]")
_ANY = "surrogateescape"
_ESCAPED = r"\\\g<0>"


def inside(checkout: Path, path: str, what: str) -> Path:
    """Return the file or folder that `path` names in a checkout, links resolved; raises Refused if they leave it."""
    root = checkout.resolve()
    try:
        found = (root / TreePath(path)).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ShipwayError(
            f"there is no {what} {path}", seen=str(error), todo="name one that the commit has"
        ) from error
    if not found.is_relative_to(root) or ".git" in found.relative_to(root).parts:
        raise Refused(
            f"the {what} {path} leaves the checkout",
            seen=f"a link leads to {os.path.relpath(found, root)}",
            todo="put the file itself into the repository",
        )
    return found


def folder(checkout: Path, path: str) -> Path:
    """Return a context's resolved folder; raises Misuse if it is not a folder, Refused if links leave the checkout."""
    found = inside(checkout, path, "context")
    if not found.is_dir():
        raise Misuse("the context is not a folder", seen=path, todo="name a folder of the repository")
    return found


def lay_into(checkout: Path, context: Path, shared: Iterable[str]) -> None:
    """Put folders of a checkout into a context under their own path, unless the context has them anyway.

    Raises Misuse for a file, Refused if the context has something else under that path, or a link on the way to it.
    """
    for folder in shared:
        found = inside(checkout, folder, "shared folder")
        if not found.is_dir():
            raise Misuse(
                f"the shared folder {folder} must be a folder",
                seen="it is a file",
                todo="name the folder that the file is in",
            )
        if found.is_relative_to(context):
            continue
        target = context / TreePath(folder)
        if any(parent.is_symlink() for parent in (target, *target.parents) if parent.is_relative_to(context)):
            raise Refused(f"a link is where {folder} is to be laid", seen=str(target), todo="take the link out")
        if target.exists():
            if digest(target) != digest(found):
                raise Refused(f"the context has a {folder} of its own", todo="rename one of them")
            continue
        partial = checkout.resolve().with_name(f".{target.name}.shared")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(found, partial, symlinks=True, copy_function=os.link)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.rename(target)


def prepare(checkout: Path, context: Path, shared: Iterable[str] = (), *, standing: bool = False) -> None:
    """Put the shared folders into a context, and give its files the modes and the time that the builder shall see.

    A `standing` builder has seen other people's files, and reuses one of them for ours if path, size and time are the
    same: a random part of a second tells them apart. Raises Misuse and Refused as `lay_into` does.
    """
    lay_into(checkout, context, shared)
    settle(context, randbelow(10**9) if standing else 0)


def ignore(checkout: Path, dockerfile: str, context: Path, exclude: Iterable[str] = ()) -> str:
    """Return the text of the .dockerignore that applies: the Dockerfile's own, else the context's, else an empty one.

    `exclude` are the paths of more files of the context that no builder sees.
    """
    root = checkout.resolve()
    more = _NOT_GIT + "".join(f"/{_SPECIAL.sub(_ESCAPED, path)}\n" for path in exclude)
    beside = f"{dockerfile}.dockerignore"
    shared = os.path.relpath(context / ".dockerignore", root)
    for path in (beside, shared):
        if os.path.lexists(root / path):
            return bounds.text_of(bounds.read_file(inside(checkout, path, "file"), path), path, errors=_ANY) + more
    return more


def settle(context: Path, nanoseconds: int) -> None:
    """Give files and folders the modes that Git records, and one time: LAYER_TIME plus some nanoseconds."""
    time = LAYER_TIME * 10**9 + nanoseconds
    for path, status in _walk(context):
        if stat.S_ISLNK(status.st_mode):
            mode = None
        elif stat.S_ISDIR(status.st_mode) or status.st_mode & stat.S_IXUSR:
            mode = 0o755
        else:
            mode = 0o644
        if mode is not None and stat.S_IMODE(status.st_mode) != mode:
            path.chmod(mode)
        if status.st_mtime_ns != time:
            os.utime(path, ns=(time, time), follow_symlinks=False)


def digest(context: Path) -> str:
    """Return a hash over every name, mode, link and content of the context."""
    total = hashlib.sha256()
    for path, status in sorted(_walk(context)):
        name = os.fsencode(path.relative_to(context))
        if stat.S_ISLNK(status.st_mode):
            content = os.fsencode(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
        else:
            content = b""
        for part in (name, b"%o" % status.st_mode, content):
            total.update(b"%d:" % len(part) + part)
    return total.hexdigest()


def _walk(context: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for folder, folders, files in os.walk(context):
        folders[:] = [name for name in folders if name != ".git"]
        here = Path(folder)
        yield here, here.lstat()
        for name in (*files, *(f for f in folders if (here / f).is_symlink())):
            if name != ".git":
                yield here / name, (here / name).lstat()
