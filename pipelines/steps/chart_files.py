"""The files of charts on disk, read without following anything that leads elsewhere."""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines.errors import Refused
from pipelines.plan import helmignore
from pipelines.plan.charts import CHART
from pipelines.tools import chart_archive


def every_chart_file(root: Path) -> list[str]:
    """Return the path of every Chart.yaml below a folder, outside of Git's own; links to folders are not followed."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        if CHART in files:
            found.append(posixpath.normpath(posixpath.join(Path(folder).relative_to(root).as_posix(), CHART)))
    return found


def file(root: Path, path: str) -> bytes | None:
    """Return the content of a file of the tree, or None where there is none.

    Raises Refused where it, or a folder on the way, is a link or something else that is no file.
    """
    at = str(root)
    for part in path.split("/"):
        at = f"{at}/{part}"
        if os.path.islink(at):  # noqa: PTH114 - a repository may have thousands, and a Path for each part takes longer than to look
            raise _link(path, Path(at))
    place = Path(at)
    if not place.exists():
        return None
    if not place.is_file():
        raise Refused(f"{path} is no file", todo="take it out of the chart")
    _check_size(place, path)
    return place.read_bytes()


def chart(root: Path, folder: str, changed: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a chart as its .helmignore leaves them, by path; `changed` holds other content for some.

    The paths of `changed` are relative to the root. Raises Refused for a link, a device, and what Helm would not read.
    """
    ignored = file(root, posixpath.normpath(posixpath.join(folder, helmignore.NAME)))
    where = posixpath.normpath(posixpath.join(folder, helmignore.NAME))
    rules = helmignore.Rules.parse((ignored or b"").decode("utf-8", "replace"), where)
    found: dict[str, bytes] = {}
    total = 0
    for path, place in _walk(root / folder, "", rules):
        shown = posixpath.normpath(posixpath.join(folder, path))
        if place.is_symlink():
            raise _link(shown, place)
        if not place.is_file():
            raise Refused(f"{shown} is no file", seen="a device, a pipe or a socket", todo="take it out of the chart")
        total += _check_size(place, shown)
        if total > chart_archive.MOST_BYTES:
            raise Refused(
                f"the chart in {folder} is larger than Helm reads",
                seen=f"more than {chart_archive.MOST_BYTES} bytes",
                todo="leave files out by .helmignore",
            )
        found[path] = changed.get(shown) or place.read_bytes()
    return found


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder hold exactly these files."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def _walk(folder: Path, under: str, rules: helmignore.Rules) -> Iterator[tuple[str, Path]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{under}/{entry.name}" if under else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            # Chart.yaml belongs to the chart whatever the rules say: without it, there is none.
            if path != CHART and (entry.name == ".git" or rules.ignores(path, folder=is_folder)):
                continue
            if is_folder:
                yield from _walk(Path(entry.path), path, rules)
            else:
                yield path, Path(entry.path)


def _check_size(place: Path, path: str) -> int:
    size = place.stat().st_size
    if size > chart_archive.MOST_FILE_BYTES:
        raise Refused(
            f"{path} is larger than Helm reads",
            seen=f"{size} bytes",
            todo=f"keep it below {chart_archive.MOST_FILE_BYTES}, or leave it out by .helmignore",
        )
    return size


def _link(path: str, place: Path) -> Refused:
    return Refused(
        f"{path} is a link",
        seen=f"it leads to {place.readlink()}",
        todo="put the file itself there, or leave it out by .helmignore",
    )
