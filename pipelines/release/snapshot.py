"""The snapshot of a repository at one commit: its whole tree, and the content of the files that a plan needs."""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.bounds import LARGEST, TOO_LARGE
from pipelines.charts import archive as chart_archive
from pipelines.charts import chart_yaml, helmignore
from pipelines.charts import files as chart_files
from pipelines.charts.chart_yaml import CHART, LOCK
from pipelines.charts.files import Root
from pipelines.declared import shipway_yaml
from pipelines.declared.finding import Finding
from pipelines.declared.shipway_yaml import Configuration
from pipelines.environments import config_yaml
from pipelines.errors import ShipwayError
from pipelines.images import context as image_context
from pipelines.images.discover import dockerfiles
from pipelines.tools.git import tree as git_tree
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.git.repository import Commit, GitRepository, TreeEntry
from pipelines.tools.git.tree import LINK, File, GitTree


@dataclass(frozen=True, kw_only=True)
class RepositorySnapshot:
    """One commit: its tree, its shipway.yaml, and a folder with the files of its charts."""

    commit: Commit
    ref: str
    tree: GitTree
    configuration: Configuration
    findings: tuple[Finding, ...] = field(repr=False)
    """Of shipway.yaml."""
    charts: tuple[str, ...]
    """Folders of charts."""
    root: Root
    """Where the charts' files are."""
    repository: GitRepository = field(repr=False)
    """The repository that was fetched."""


def read(
    git: Git, url: RepositoryUrl, resolved: Resolved, work: Path, *, with_charts: bool = True
) -> RepositorySnapshot:
    """Return the snapshot of a commit; `work` is an empty folder for its files. Raises what `Git.fetch` raises."""
    repository = git.fetch(url, resolved, work / "git", with_files=False)
    commit = repository.commit(resolved.commit)
    files = {entry.path: File(entry.mode, entry.id) for entry in repository.tree(commit.id)}
    reader = _SnapshotReader(git=git, repository=repository, commit=commit.id, files=files, root=work / "files")
    own = files.get(shipway_yaml.NAME)
    reader.read([shipway_yaml.NAME] if own else [])
    configuration, findings = shipway_yaml.read(
        reader.contents.get(shipway_yaml.NAME, b""), is_link=own is not None and own.mode == LINK
    )
    folders = chart_yaml.discover(files, ignore=configuration.no_charts) if with_charts else ()
    tree = GitTree(files=files)
    values = [entry.file for entry in configuration.values if entry.file in files]
    in_charts = [path for folder in folders for path in tree.below(folder)]
    applications = [path for path in config_yaml.own_files(files, configuration.deploy.environments) if path in files]
    read = [
        *_for_images(files, configuration),
        *git_tree.attributes(files),
        *values,
        *(path for path in _named(folders, (CHART, "values.yaml")) if path in files),
        *applications,
    ]
    reader.fetch([*read, *in_charts])
    reader.read(read)
    root: Root = reader.root
    if image_context.conversions(GitTree(files=files, contents=reader.contents), folders):
        reader.write(in_charts)  # Only Git knows what its filters make of them.
    else:
        root = reader.charts(folders)
    return RepositorySnapshot(
        commit=commit,
        ref=resolved.ref,
        tree=GitTree(files=files, contents=reader.contents),
        configuration=configuration,
        findings=findings,
        charts=folders,
        root=root,
        repository=repository,
    )


def _for_images(files: Collection[str], configuration: Configuration) -> list[str]:
    """Return the files that decide which images there are and what they are built from."""
    paths = []
    for path in dockerfiles(files, configuration):
        paths += [path, *image_context.ignore_files(shipway_yaml.folder_of(path), path)]
    return [path for path in dict.fromkeys(paths) if path in files]


def _named(folders: Iterable[str], names: Sequence[str]) -> list[str]:
    return [posixpath.normpath(posixpath.join(folder, name)) for folder in folders for name in names]


@dataclass(frozen=True, kw_only=True)
class _SnapshotReader:
    git: Git
    repository: GitRepository
    commit: str
    files: dict[str, File]
    root: Path
    contents: dict[str, bytes] = field(default_factory=dict)
    """By path, of what was read; of a link, its target."""

    def fetch(self, paths: Iterable[str]) -> None:
        """Fetch files from the remote, in one request."""
        self.git.fetch_files(self.repository, [self.files[path].id for path in self._known(paths)])

    def read(self, paths: Iterable[str]) -> None:
        """Read files and the targets of links among them.

        Those that are too large are TOO_LARGE.
        """
        while missing := [path for path in self._known(paths) if path not in self.contents]:
            self.fetch(missing)
            contents = self.repository.contents(self._entries(missing), most_bytes=LARGEST)
            self.contents.update({path: contents.get(path, TOO_LARGE) for path in missing})
            paths = self._targets(contents)

    def charts(self, folders: Sequence[str]) -> GitTree:
        """Return the tree with the files of charts, of each no more than Helm would read."""
        contents = {path: data for path, data in self.contents.items() if data is not TOO_LARGE}
        contents |= self._bytes(_named(folders, (helmignore.NAME,)))
        tree = GitTree(files=self.files, contents=contents)
        by_chart: dict[str, list[str]] = {}
        for folder in folders:
            by_chart[folder] = _named([folder], (CHART, LOCK, chart_files.REQUIREMENTS))
            with contextlib.suppress(ShipwayError):  # Malformed rules are a finding about the chart, later.
                by_chart[folder] += _named([folder], [*chart_files.kept(tree, folder)])
        sizes = self.repository.sizes(self._entries(path for paths in by_chart.values() for path in paths))
        chosen: list[str] = []
        for paths in by_chart.values():
            left = chart_archive.MOST_BYTES
            for path in self._known(path for path in paths if path in self.files):
                size = sizes[self.files[path].id]
                if size <= min(left, chart_archive.MOST_FILE_BYTES):
                    left -= size
                    chosen.append(path)
        contents |= self._bytes(path for path in chosen if path not in contents)
        return tree

    def _bytes(self, paths: Iterable[str]) -> dict[str, bytes]:
        return self.repository.contents(self._entries(paths), most_bytes=chart_archive.MOST_FILE_BYTES)

    def _entries(self, paths: Iterable[str]) -> list[TreeEntry]:
        known = self._known(path for path in paths if path in self.files)
        return [TreeEntry(mode=self.files[path].mode, id=self.files[path].id, path=path) for path in known]

    def write(self, paths: Iterable[str]) -> None:
        """Write files and the targets of links among them into the folder."""
        while missing := [path for path in self._known(paths) if not os.path.lexists(f"{self.root}/{path}")]:
            self.fetch(missing)
            self.repository.write(self.commit, missing, self.root)
            links = [path for path in missing if self.files[path].mode == LINK]
            for path in links:
                self.contents[path] = os.fsencode(os.readlink(f"{self.root}/{path}"))  # noqa: PTH115
            paths = self._targets(links)

    def _known(self, paths: Iterable[str]) -> list[str]:
        return [path for path in dict.fromkeys(paths) if self.files[path].mode in {"100644", "100755", LINK}]

    def _targets(self, paths: Iterable[str]) -> list[str]:
        tree = GitTree(files=self.files, contents=self.contents)
        return sorted({tree.link(path) for path in paths if self.files[path].mode == LINK} & self.files.keys())
