"""Files that another container wrote, opened as an enemy's.

A build can write whatever it likes where the next container reads: a link to a login, a FIFO that nobody writes to, a
file without end. So a file is opened by the descriptor of its folder, no link on the way is followed, only regular
files are read, and no more of them than their reader has use for. Where the path is absolute, what lies above the
folder is the caller's and is followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from pipelines.errors import Refused

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@contextmanager
def opened(folder: Path, *names: str) -> Iterator[int]:
    """Give the descriptor of a folder, or of one below it. Raises Refused if a link leads there, and OSError."""
    at = os.open(folder.parent if folder.is_absolute() else ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in (*((folder.name,) if folder.is_absolute() else folder.parts), *names):
            if not name:  # the root has no name
                continue
            kind = stat.S_IFMT(os.lstat(name, dir_fd=at).st_mode)
            if kind != stat.S_IFDIR:
                raise _refused(folder.joinpath(*names), f"{_name(name)} is {_KINDS.get(kind, 'a file')}, not a folder")
            below = os.open(name, _FLAGS | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


def open_file(at: int, name: str, *, most: int | None, path: Path) -> BufferedReader:
    """Return a regular file of an open folder, of at most `most` bytes; `path` is what errors call it.

    Raises Refused for anything else, at once, and OSError such as FileNotFoundError.
    """
    _check(os.lstat(name, dir_fd=at), most, path)
    file = os.open(name, _FLAGS, dir_fd=at)
    try:
        # What was looked at may have been replaced.
        _check(os.fstat(file), most, path)
        return os.fdopen(file, "rb")
    except BaseException:
        os.close(file)
        raise


def read(folder: Path, *names: str, most: int) -> bytes:
    """Return the content of a file below a folder. Raises Refused as `open_file` does, and OSError."""
    with opened(folder, *names[:-1]) as at:
        return read_at(at, names[-1], most=most, path=folder.joinpath(*names))


def read_at(at: int, name: str, *, most: int, path: Path) -> bytes:
    """Return the content of a file of an open folder. Raises Refused as `open_file` does, and OSError."""
    with open_file(at, name, most=most, path=path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise _too_large(path, most)
    return data


def _check(status: os.stat_result, most: int | None, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _refused(path, f"{_KINDS.get(stat.S_IFMT(status.st_mode), 'something else')}, not a regular file")
    if most is not None and status.st_size > most:
        raise _too_large(path, most)


def _too_large(path: Path, most: int) -> Refused:
    return _refused(path, f"more than {most} bytes")


def _refused(path: Path, seen: str) -> Refused:
    return Refused(
        f"{path} is not read",
        seen=seen,
        todo="run the step that wrote it again, in a new folder; if a build made it so, look at its Dockerfile",
    )


def _name(name: str) -> str:
    return "the folder" if name in {".", ".."} else name
