"""What a commit declares, read from any repository: its whole tree as a list, and the content of the few files that matter."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.model.plan import Finding
from pipelines.model.source import RepositoryUrl
from pipelines.plan import charts, context, environments, git_tree, shipway_yaml
from pipelines.plan.charts import CHART
from pipelines.plan.git_tree import LINK, File, GitTree
from pipelines.plan.shipway_yaml import Configuration
from pipelines.tools.git import Git
from pipelines.tools.git_refs import Resolved
from pipelines.tools.git_repository import Commit, Entry, GitRepository

DOCKERFILE = "Dockerfile"
_MOST_BYTES = 1 << 20
"""Of a file that is read for planning; the builder takes no larger Dockerfile either."""


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
    repository: GitRepository = field(repr=False)
    """What was fetched."""


def read(git: Git, url: RepositoryUrl, resolved: Resolved, work: Path) -> Declared:
    """Return what a commit declares; `work` is an empty folder to keep its files in. Raises what `Git.fetch` raises."""
    repository = git.fetch(url, resolved, work / "git", with_files=False)
    commit = repository.commit(resolved.commit)
    files = {entry.path: File(entry.mode, entry.id) for entry in repository.tree(commit.id)}
    reader = _Reader(git=git, repository=repository, commit=commit.id, files=files, root=work / "files")
    reader.read([path for path in (shipway_yaml.NAME,) if path in files])
    configuration, findings = shipway_yaml.read(reader.contents.get(shipway_yaml.NAME, b""))
    folders = charts.discover(files, ignore=configuration.no_charts)
    tree = GitTree(files=files)
    values = [entry.file for entry in configuration.values if entry.file in files]
    in_charts = [path for folder in folders for path in tree.below(folder)]
    own = [path for path in environments.own_files(files, configuration.deploy.environments) if path in files]
    read = [
        *_for_images(files, configuration),
        *git_tree.attributes(files),
        *values,
        *_values_files(folders, files),
        *own,
    ]
    reader.fetch([*read, *in_charts])
    reader.read(read)
    reader.write(in_charts)
    return Declared(
        commit=commit,
        ref=resolved.ref,
        tree=GitTree(files=files, contents=reader.contents),
        configuration=configuration,
        findings=findings,
        charts=folders,
        root=reader.root,
        repository=repository,
    )


def _for_images(files: Collection[str], configuration: Configuration) -> list[str]:
    """Return the files that decide which images there are and what they are built from."""
    found = []
    for path in (path for path in files if path.endswith(DOCKERFILE)):
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
    contents: dict[str, bytes] = field(default_factory=dict)
    """Of what was read; of a link, where it leads."""

    def fetch(self, paths: Iterable[str]) -> None:
        """Bring files from the remote, in one request."""
        self.git.fetch_files(self.repository, [self.files[path].id for path in self._known(paths)])

    def read(self, paths: Iterable[str]) -> None:
        """Read files, but for those that are too large, and what links among them lead to."""
        while wanted := [path for path in self._known(paths) if path not in self.contents]:
            self.fetch(wanted)
            entries = [Entry(mode=self.files[path].mode, id=self.files[path].id, path=path) for path in wanted]
            found = self.repository.contents(entries, most_bytes=_MOST_BYTES)
            self.contents.update(found)
            paths = self._targets(found)

    def write(self, paths: Iterable[str]) -> None:
        """Write files into the folder, and what links among them lead to."""
        while wanted := [path for path in self._known(paths) if not os.path.lexists(f"{self.root}/{path}")]:
            self.fetch(wanted)
            self.repository.write(self.commit, wanted, self.root)
            links = [path for path in wanted if self.files[path].mode == LINK]
            self.contents.update({path: os.fsencode(os.readlink(f"{self.root}/{path}")) for path in links})  # noqa: PTH115
            paths = self._targets(links)

    def _known(self, paths: Iterable[str]) -> list[str]:
        return [path for path in dict.fromkeys(paths) if self.files[path].mode in {"100644", "100755", LINK}]

    def _targets(self, paths: Iterable[str]) -> list[str]:
        tree = GitTree(files=self.files, contents=self.contents)
        return sorted({tree.link(path) for path in paths if self.files[path].mode == LINK} & self.files.keys())
