"""The files of charts, on disk or in a commit, read without following anything that leads elsewhere."""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines.charts import archive, helmignore
from pipelines.charts.chart_yaml import CHART, join
from pipelines.errors import Refused
from pipelines.tools.git.tree import LINK, SUBMODULE, GitTree

Root = Path | GitTree
"""A folder with a checkout, or a commit's tree with the contents of its charts."""
REQUIREMENTS = "requirements.yaml"
"""Where charts of apiVersion v1 have their dependencies."""


def every_chart_file(root: Path) -> list[str]:
    """Return the path of every Chart.yaml below a folder, outside of Git's own; links to folders are not followed."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        if CHART in files:
            found.append(join(Path(folder).relative_to(root).as_posix(), CHART))
    return found


def file(root: Root, path: str) -> bytes | None:
    """Return the content of a file of the tree, or None where there is none.

    Raises Refused where it, or a folder on the way, is a link or something else that is not a file.
    """
    if isinstance(root, GitTree):
        return _of_tree(root, path)
    at = str(root)
    for part in path.split("/"):
        at = f"{at}/{part}"
        if os.path.islink(at):  # noqa: PTH114 - a Path for each part takes longer than the look itself
            raise _link(path, str(Path(at).readlink()))
    place = Path(at)
    if not place.exists():
        return None
    if not place.is_file():
        raise Refused(f"{path} is not a file", todo="take it out of the chart")
    _check_size(place.stat().st_size, path)
    return place.read_bytes()


def chart(root: Root, folder: str, changed: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a chart as its .helmignore leaves them, by path; `changed` holds other content for some.

    The paths of `changed` are relative to the root. Raises Refused for a link, a device, and what Helm would not read.
    """
    found: dict[str, bytes] = {}
    total = 0
    for path in [*kept(root, folder)]:  # every path is checked before a file is read
        shown = join(folder, path)
        data = file(root, shown)
        assert data is not None
        found[path] = changed.get(shown) or data
        total += len(data)
        if total > archive.MOST_BYTES:
            raise Refused(
                f"the chart in {folder} is larger than Helm reads",
                seen=f"more than {archive.MOST_BYTES} bytes",
                todo="leave files out by .helmignore",
            )
    return found


def kept(root: Root, folder: str) -> Iterator[str]:
    """Yield the files of a chart that its .helmignore does not exclude, as paths within the chart.

    Raises ShipwayError for malformed rules, Refused for a path that is not UTF-8.
    """
    where = join(folder, helmignore.NAME)
    rules = helmignore.HelmIgnore.parse(file(root, where) or b"", where)
    found = _kept_of_tree(root, folder, rules) if isinstance(root, GitTree) else _walk(root / folder, "", rules)
    for path in found:
        _check_text(join(folder, path))
        yield path


def archives(root: Root, folder: str) -> tuple[str, ...]:
    """Return the names of the archives in a chart's `charts/`, sorted."""
    inside = join(folder, "charts")
    if isinstance(root, GitTree):
        names = [path[len(inside) + 1 :] for path in root.below(inside) if path in root.contents]
    else:
        names = [path.name for path in (root / inside).glob("*.tgz")]
    return tuple(sorted(name for name in names if name.endswith(".tgz") and "/" not in name))


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder hold exactly these files."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _walk(folder: Path, under: str, rules: helmignore.HelmIgnore) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{under}/{entry.name}" if under else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if _is_left_out(path, rules, is_folder=is_folder):
                continue
            if is_folder:
                yield from _walk(Path(entry.path), path, rules)
            else:
                yield path


def _kept_of_tree(tree: GitTree, folder: str, rules: helmignore.HelmIgnore) -> Iterator[str]:
    known: dict[str, bool] = {"": False}

    def is_out(inside: str) -> bool:
        if inside not in known:
            known[inside] = is_out(inside.rpartition("/")[0]) or _is_left_out(inside, rules, is_folder=True)
        return known[inside]

    for shown in tree.below(folder):
        path = shown if folder == "." else shown[len(folder) + 1 :]
        # A submodule is an empty folder.
        is_file = tree.files[shown].mode != SUBMODULE
        if is_file and not is_out(path.rpartition("/")[0]) and not _is_left_out(path, rules, is_folder=False):
            yield path


def _is_left_out(path: str, rules: helmignore.HelmIgnore, *, is_folder: bool) -> bool:
    # Chart.yaml belongs to the chart whatever the rules say: without it, there is none.
    return path != CHART and (posixpath.basename(path) == ".git" or rules.ignores(path, folder=is_folder))


def _of_tree(tree: GitTree, path: str) -> bytes | None:
    for end in (*(at for at, sign in enumerate(path) if sign == "/"), len(path)):
        entry = tree.files.get(path[:end])
        if entry is not None and entry.mode == LINK:
            raise _link(path, tree.contents.get(path[:end], b"").decode("utf-8", "replace") or "another file")
    entry = tree.files.get(path)
    if entry is not None and entry.mode != SUBMODULE:
        if path not in tree.contents:
            most = f"more than {archive.MOST_FILE_BYTES} bytes, or its chart more than {archive.MOST_BYTES}"
            raise _too_large(path, most)
        return tree.contents[path]
    if entry is not None or tree.below(path):
        raise Refused(f"{path} is not a file", todo="take it out of the chart")
    return None


def _check_text(path: str) -> None:
    data = path.encode("utf-8", "surrogateescape")
    shown = data.decode("utf-8", "backslashreplace")
    if shown != path:
        raise Refused(
            f"{shown} has a name that is not UTF-8",
            seen="an archive's names are UTF-8",
            todo="rename it, or leave it out by .helmignore",
        )


def _check_size(size: int, path: str) -> None:
    if size > archive.MOST_FILE_BYTES:
        raise _too_large(path, f"{size} bytes")


def _too_large(path: str, seen: str) -> Refused:
    return Refused(
        f"{path} is larger than Helm reads",
        seen=seen,
        todo=f"keep it below {archive.MOST_FILE_BYTES}, or leave it out by .helmignore",
    )


def _link(path: str, to: str) -> Refused:
    return Refused(
        f"{path} is a link",
        seen=f"it leads to {to}",
        todo="put the file itself there, or leave it out by .helmignore",
    )
