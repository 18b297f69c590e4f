"""What a commit declares, read from any repository: its whole tree as a list, and the content of the few files that matter."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.model.plan import Finding
from pipelines.model.source import RepositoryUrl
from pipelines.plan import charts, context, shipway_yaml
from pipelines.plan.charts import CHART
from pipelines.plan.git_tree import LINK, File, GitTree
from pipelines.plan.shipway_yaml import Configuration
from pipelines.tools.git import Git, Resolved
from pipelines.tools.git_repository import Commit, GitRepository

DOCKERFILE = "Dockerfile"
_MOST_BYTES = 1 << 20
"""Of a file that is read for planning; the builder takes no larger Dockerfile either."""
_NO_FILE = File("", "")


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One commit: its tree, its shipway.yaml, and a folder with the files of its charts."""

    commit: Commit
    ref: str
    tree: GitTree
    configuration: Configuration
    findings: tuple[Finding, ...] = field(repr=False)
    """Of shipway.yaml."""
    charts: tuple[str, ...]
    """Folders of charts."""
    root: Path
    """A folder that holds the charts' files."""


def read(git: Git, url: RepositoryUrl, resolved: Resolved, work: Path) -> Declared:
    """Return what a commit declares; `work` is an empty folder to keep its files in. Raises what `Git.fetch` raises."""
    repository = git.fetch(url, resolved, work / "git", with_files=False)
    commit = repository.commit(resolved.commit)
    files = {entry.path: File(entry.mode, entry.id) for entry in repository.tree(commit.id)}
    reader = _Reader(git=git, repository=repository, commit=commit.id, files=files, root=work / "files")
    reader.fetch([path for path in (shipway_yaml.NAME,) if path in files])
    configuration, findings = shipway_yaml.read(reader.content(shipway_yaml.NAME) or b"")
    ignore = (*configuration.ignore, *configuration.chart_ignore)
    folders = charts.discover(files, ignore=ignore)
    tree = GitTree(files=files)
    wanted = _for_images(files, configuration)
    in_charts = [path for folder in folders for path in tree.below(folder)]
    values = [entry.file for entry in configuration.values if entry.file in files]
    reader.fetch([*wanted, *in_charts, *values])
    contents = reader.contents({*wanted, *values, *_values_files(folders, files)})
    return Declared(
        commit=commit,
        ref=resolved.ref,
        tree=GitTree(files=files, contents=contents),
        configuration=configuration,
        findings=findings,
        charts=folders,
        root=reader.root,
    )


def _for_images(files: Collection[str], configuration: Configuration) -> list[str]:
    """Return the files that decide which images there are and what they are built from."""
    found = []
    for path in files:
        if posixpath.basename(path) == DOCKERFILE and not configuration.is_ignored(posixpath.dirname(path) or "."):
            found += [path, *context.ignore_files(posixpath.dirname(path) or ".", path)]
    return [path for path in dict.fromkeys(found) if path in files]


def _values_files(folders: Iterable[str], files: Collection[str]) -> list[str]:
    paths = [posixpath.normpath(posixpath.join(folder, name)) for folder in folders for name in (CHART, "values.yaml")]
    return [path for path in paths if path in files]


@dataclass(frozen=True, kw_only=True)
class _Reader:
    git: Git
    repository: GitRepository
    commit: str
    files: dict[str, File]
    root: Path

    def fetch(self, paths: Iterable[str]) -> None:
        """Write files into the folder, and what links among them lead to."""
        wanted = [path for path in dict.fromkeys(paths) if self.files[path].mode in {"100644", "100755", LINK}]
        while wanted:
            self.git.fetch_files(self.repository, [self.files[path].id for path in wanted])
            self.repository.write(self.commit, wanted, self.root)
            links = {path: self.content(path) or b"" for path in wanted if self.files[path].mode == LINK}
            tree = GitTree(files=self.files, contents=links)
            targets = {tree.link(path) for path in links} & self.files.keys()
            wanted = sorted(path for path in targets if not os.path.lexists(self.root / path))

    def content(self, path: str) -> bytes | None:
        """Return the content of a file that was fetched, or where a link leads; None for one that is not there."""
        # Texts, not Paths: there are thousands of these, and a Path costs more than reading a small file.
        place = f"{self.root}/{path}"
        try:
            if self.files.get(path, _NO_FILE).mode == LINK:
                return os.fsencode(os.readlink(place))  # noqa: PTH115
            with open(place, "rb") as file:  # noqa: PTH123
                data = file.read(_MOST_BYTES + 1)
        except OSError:
            return None
        return data if len(data) <= _MOST_BYTES else None

    def contents(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the content of files, and of what links among them lead to."""
        found: dict[str, bytes] = {}
        waiting = list(paths)
        while waiting:
            path = waiting.pop()
            data = self.content(path) if path not in found else None
            if data is not None:
                found[path] = data
                if self.files[path].mode == LINK and (target := GitTree(files=self.files, contents=found).link(path)):
                    waiting.append(target)
        return found
