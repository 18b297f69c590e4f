"""The files of an image's context that its builder gets: after .dockerignore, and with the shared folders."""

from __future__ import annotations

import fnmatch
import hashlib
import posixpath
import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipelines import bounds
from pipelines.bounds import TOO_LARGE
from pipelines.images import dockerignore
from pipelines.images.dockerfile import Dockerfile
from pipelines.images.dockerignore import DockerIgnore
from pipelines.tools.git.tree import ATTRIBUTES, SUBMODULE, File, GitTree

_CONVERTS = re.compile(rb"\beol=crlf\b|\bident\b|\bworking-tree-encoding=")
"""Attributes that change a checkout: otherwise line ends are those of the commit, and no filter runs."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """The files that a builder gets."""

    digest: str
    """Over each path, mode and id."""
    files: int
    excluded: tuple[str, ...]
    """Files of the context that the builder does not get because `deploy` writes them."""
    counted: tuple[str, ...] = ()
    """Files of the context that `deploy` writes and that count, because the Dockerfile names them."""


def of(
    tree: GitTree,
    *,
    folder: str,
    dockerfile: str,
    shared: Iterable[str] = (),
    written: Collection[str] = (),
    read: Dockerfile | None = None,
    builder: str = "buildkit",
) -> Context:
    """Return the context of an image; raises ShipwayError if a line of .dockerignore is malformed.

    `shared` are folders that it also contains under their own path. `written` are the files that a deployment changes:
    they are left out unless the Dockerfile (`read`) names them or a folder that they are in.
    """
    found, shared = dict(_relative(tree, folder, tree.below(folder))), tuple(shared)
    for other in shared:
        if not _is_below(other, folder):
            found.update((path, tree.files[path]) for path in tree.below(other))
    rules = _rules(tree, folder, dockerfile)
    total, count, excluded, counted = hashlib.sha256(), 0, [], []
    inside = {path for path, _ in _relative(tree, folder, (path for path in written if path in tree.files))}
    inside |= {path for path in written for other in shared if _is_below(path, other) and not _is_below(other, folder)}
    for path in (rules.kept_by_buildah if builder == "buildah" else rules.kept)(sorted(found)):
        if path in inside and read is not None and not names(read, path):
            excluded.append(path)
            continue
        if path in inside:
            counted.append(path)
        file = found[path]
        # A submodule is an empty folder, whatever commit it names.
        identity = "" if file.mode == SUBMODULE else file.id
        total.update(f"{file.mode} {identity} {path}\0".encode("utf-8", "surrogateescape"))
        count += 1
    total.update(conversions(tree, (folder, *shared)))
    return Context(digest=total.hexdigest(), files=count, excluded=tuple(excluded), counted=tuple(counted))


def seen(
    tree: GitTree,
    paths: Collection[str],
    *,
    folder: str,
    dockerfile: str,
    shared: Iterable[str],
    excluded: Collection[str],
    builder: str,
) -> tuple[str, ...]:
    """Return those of some paths that an image's builder gets, except `excluded`, or that decide what it gets."""
    within: dict[str, str] = {}
    for path in paths:
        if _is_below(path, folder):
            within[path if folder == "." else path[len(folder) + 1 :]] = path
        elif any(_is_below(path, other) for other in shared):
            within[path] = path
    rules = _rules(tree, folder, dockerfile)
    kept = {*(rules.kept_by_buildah if builder == "buildah" else rules.kept)(sorted(within))} - {*excluded}
    always = {dockerfile, *ignore_files(folder, dockerfile)}
    # A link leads anywhere in the tree.
    read = {*filter(None, map(tree.target, always))}.intersection(paths)
    return tuple(sorted(read.union(path for inside, path in within.items() if inside in kept or path in always)))


def digest_of(data: bytes) -> str:
    """Return the digest of a file's content."""
    return hashlib.sha256(data).hexdigest()


def collisions(tree: GitTree, folder: str, shared: Iterable[str]) -> tuple[str, ...]:
    """Return the shared folders whose path exists in the context already."""
    return tuple(
        other
        for other in shared
        if not _is_below(other, folder)
        and (tree.below(posixpath.join(folder, other)) or posixpath.join(folder, other) in tree.files)
    )


def ignore_files(folder: str, dockerfile: str) -> tuple[str, str]:
    """Return the possible paths of an image's .dockerignore; the first that exists applies, alone."""
    return f"{dockerfile}{dockerignore.NAME}", posixpath.normpath(posixpath.join(folder, dockerignore.NAME))


def names(dockerfile: Dockerfile, path: str) -> bool:
    """Whether a Dockerfile names a file of its context, or a folder that it is in; `COPY . .` names nothing."""
    around = [path, *filter(None, _above(path))]
    return any(
        "$" in source or any(fnmatch.fnmatchcase(part, source) for part in around) for source in _sources(dockerfile)
    )


def conversions(tree: GitTree, folders: Sequence[str]) -> bytes:
    """Return the Git attributes that make a checkout write files of some folders differently from what Git stores.

    Empty for nearly every repository. The attributes file may be above the context, or be kept from the builder, and
    still decide what the builder gets.
    """
    paths = {path for folder in folders for path in _attributes(tree, folder)}
    found = [(path, tree.contents.get(path, b"")) for path in sorted(paths)]
    if not any(data is TOO_LARGE or _CONVERTS.search(data) for _, data in found):
        return b""
    # Of a file that was left unread, anything may be in it: its id counts.
    found = [(path, tree.files[path].id.encode() if data is TOO_LARGE else data) for path, data in found]
    return b"".join(path.encode("utf-8", "surrogateescape") + b"\0" + data + b"\0" for path, data in found)


def _attributes(tree: GitTree, folder: str) -> Iterator[str]:
    """Give the attributes files in a folder, and those above it that exist."""
    known = tree.attributes
    if folder == ".":
        yield from known
        return
    yield from known[bisect_left(known, f"{folder}/") : bisect_left(known, f"{folder}0")]
    for path in (posixpath.join(above, ATTRIBUTES) for above in _above(folder)):
        at = bisect_left(known, path)
        yield from known[at : at + (known[at : at + 1] == [path])]


def _above(path: str) -> Iterator[str]:
    """Give each folder that a path is in, an empty string for the root."""
    while path:
        path = posixpath.dirname(path)
        yield path


def _sources(dockerfile: Dockerfile) -> Iterator[str]:
    for stage in dockerfile.stages:
        for instruction in stage.instructions:
            if instruction.name in {"COPY", "ADD"} and not instruction.flag("from"):
                for word in instruction.words[:-1]:
                    yield posixpath.normpath(word.lstrip("/") or ".")
            for mount in instruction.mounts:
                if mount.get("type", "bind") == "bind" and "from" not in mount:
                    source = mount.get("source") or mount.get("src") or "."
                    yield posixpath.normpath(source.lstrip("/") or ".")


def _rules(tree: GitTree, folder: str, dockerfile: str) -> DockerIgnore:
    for path in ignore_files(folder, dockerfile):
        if path in tree.files:
            return DockerIgnore.parse(bounds.text_of(tree.read(path) or b"", path, errors="surrogateescape"), path)
    return DockerIgnore.parse("", folder)


def _relative(tree: GitTree, folder: str, paths: Iterable[str]) -> Iterator[tuple[str, File]]:
    start = 0 if folder == "." else len(folder) + 1
    for path in paths:
        if start == 0 or path.startswith(f"{folder}/"):
            yield path[start:], tree.files[path]


def _is_below(path: str, folder: str) -> bool:
    return folder in {".", path} or path.startswith(f"{folder}/")
