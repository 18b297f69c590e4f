"""The tree of one commit as a value: every path with its mode and id, and the content of the files that were read."""

from __future__ import annotations

import fnmatch
import posixpath
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

LINK = "120000"
SUBMODULE = "160000"
ATTRIBUTES = ".gitattributes"
_MAX_LINKS = 40
"""Linux's own limit."""


@dataclass(frozen=True, slots=True)
class File:
    """A file, link or submodule: Git's mode and id, which identify its content."""

    mode: str
    id: str


@dataclass(frozen=True, kw_only=True)
class GitTree:
    """One commit's tree; its links never lead outside."""

    files: Mapping[str, File] = field(repr=False)
    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """The content that was read, by path; of a link, its target."""

    @cached_property
    def paths(self) -> Sequence[str]:
        """Every path, sorted."""
        return sorted(self.files)

    @cached_property
    def attributes(self) -> Sequence[str]:
        """The path of every .gitattributes that is not a link, sorted."""
        return [path for path in attributes(self.paths) if self.files[path].mode != LINK]

    def has(self, pattern: str) -> bool:
        """Whether a pattern, in which * matches any text, matches a folder."""
        return any(fnmatch.fnmatchcase(folder, pattern) for folder in self._folders)

    @cached_property
    def _folders(self) -> frozenset[str]:
        folders: set[str] = set()
        for path in self.files:
            folder = path.rpartition("/")[0]
            while folder and folder not in folders:
                folders.add(folder)
                folder = folder.rpartition("/")[0]
        return frozenset(folders)

    def below(self, folder: str) -> Sequence[str]:
        """Return the paths in a folder, sorted; `.` is the root."""
        if folder == ".":
            return self.paths
        return self.paths[bisect_left(self.paths, f"{folder}/") : bisect_left(self.paths, f"{folder}0")]

    def target(self, path: str) -> str:
        """Return the file that a path leads to through links, or an empty string if there is none.

        Links that were not read and those that leave the tree lead to no file.
        """
        for _ in range(_MAX_LINKS):
            file = self.files.get(path)
            if file is None:
                return ""
            if file.mode != LINK:
                return path
            path = self.link(path)
        return ""

    def link(self, path: str) -> str:
        """Return the path that a link names, or an empty string if it was not read or leaves the tree."""
        to = self.contents.get(path, b"").decode("utf-8", "surrogateescape")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), to)) if to else ""
        return "" if target.startswith(("/", "../")) or target in {".", ".."} else target

    def read(self, path: str) -> bytes | None:
        """Return the content of a file, following links; None if there is no such file or it was not read."""
        target = self.target(path)
        return self.contents.get(target) if target else None


def attributes(paths: Iterable[str]) -> Iterator[str]:
    """Yield the paths that name a .gitattributes."""
    return (path for path in paths if path.endswith(ATTRIBUTES) and posixpath.basename(path) == ATTRIBUTES)
