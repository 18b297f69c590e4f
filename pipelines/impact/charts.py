"""The charts that an impact needs, packed with their dependencies and unpacked into folders named by their content.

They come from a commit of a Git repository, or from the registry of charts. A chart that is the same on both sides of a
change is never packed.
"""

from __future__ import annotations

import hashlib
import posixpath
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.charts import archive as chart_archive
from pipelines.charts import chart_yaml
from pipelines.charts import compare as chart_compare
from pipelines.charts import files as chart_files
from pipelines.charts import tree as chart_tree
from pipelines.charts.chart_yaml import Chart
from pipelines.charts.dependencies import ChartRepositories
from pipelines.charts.registry_state import ChartRegistry
from pipelines.charts.tree import Tree
from pipelines.errors import Misuse, ShipwayError
from pipelines.tools.git.address import RepositoryUrl, Revision, named_in_file
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.git.repository import GitRepository, TreeEntry
from pipelines.tools.registry.reference import Digest


@dataclass(frozen=True, kw_only=True)
class CommitCharts:
    """The charts of one commit, checked out without anything else of it."""

    commit: str
    tree: Tree
    signatures: Mapping[str, str]
    """By folder, a hash of everything in the commit that decides the chart, with the charts that it depends on."""

    def named(self, name: str) -> Chart | None:
        """Return the chart of a name below the registry, web or team/web."""
        last = name.rpartition("/")[2]
        return next((chart for chart in self.tree.charts.values() if chart.name == last), None)


@dataclass(kw_only=True)
class ImpactCharts:
    """Where charts come from, and the folder that they are unpacked into."""

    git: Git
    registry: ChartRegistry
    repositories: ChartRepositories
    folder: Path
    work: Path
    asked: tuple[RepositoryUrl, ...]
    """The repositories that a person or a setting named."""
    _packed: dict[tuple[str, str], str] = field(default_factory=dict)
    _commits: dict[tuple[str, str], CommitCharts] = field(default_factory=dict)

    def of_commit(self, url: RepositoryUrl, resolved: Resolved) -> CommitCharts:
        """Return the charts of a commit; raises what Git raises."""
        key = (str(url), resolved.commit)
        if key not in self._commits:
            root = Path(tempfile.mkdtemp(dir=self.work))
            repository = self.git.fetch(url, resolved, root / "git", with_files=False)
            entries = [entry for entry in repository.tree(resolved.commit) if not entry.is_submodule]
            self._commits[key] = self._read(repository, resolved.commit, entries, root / "files")
            shutil.rmtree(root / "git")
        return self._commits[key]

    def from_commit(self, charts: CommitCharts, path: str) -> str:
        """Return the digest of a commit's chart, whose folder it names; raises ShipwayError with its faults."""
        key = (charts.commit, path)
        if key not in self._packed:
            packed, findings = chart_compare.pack(charts.tree, self.registry, self.repositories, path)
            if packed is None:
                faults = [str(finding) for finding in findings if finding.level != "warning"]
                raise ShipwayError(f"the chart in {path} cannot be packed", seen="\n".join(faults[:5]))
            self._packed[key] = self._store(packed.archive, packed.files)
        return self._packed[key]

    def from_registry(self, name: str, version: str) -> str:
        """Return the digest of a published chart, whose folder it names; raises ShipwayError if there is none."""
        key = (name, version)
        if key not in self._packed:
            reference = self.registry.reference(name, chart_yaml.tag(version))
            manifest = self.registry.published(reference)
            if manifest is None:
                raise Misuse(
                    f"{name} {version} is not in the registry",
                    seen=str(reference),
                    todo="release it, or name another version",
                )
            files = self.registry.archive(reference, manifest).files
            self._packed[key] = self._store(chart_archive.pack(name.rpartition("/")[2], files), files)
        return self._packed[key]

    def from_git(self, repo: str, path: str, revision: str) -> str:
        """Return the digest of a chart of any Git repository, by path and revision; raises ShipwayError."""
        url = named_in_file(repo, *self.asked)
        return self.from_commit(self.of_commit(url, self.git.resolve(url, Revision(revision))), path)

    def _read(self, repository: GitRepository, commit: str, entries: list[TreeEntry], folder: Path) -> CommitCharts:
        folders = chart_yaml.discover(entry.path for entry in entries)
        inside = [entry for entry in entries if _inside(entry.path, folders)]
        self.git.fetch_files(repository, (entry.id for entry in inside))
        repository.write(commit, (entry.path for entry in inside), folder)
        tree = chart_tree.read(folder, [entry.path for entry in inside], own=self.registry.address)
        return CommitCharts(commit=commit, tree=tree, signatures=signatures(tree, inside))

    def _store(self, archive: bytes, files: Mapping[str, bytes]) -> str:
        digest = Digest.of(archive).hex
        if not (self.folder / "charts" / digest).exists():
            chart_files.write(self.folder / "charts" / digest, files)
        return digest


def signatures(tree: Tree, entries: Iterable[TreeEntry]) -> dict[str, str]:
    """Return, by folder, a hash of everything in a commit that decides a chart, broken charts and circles included."""
    own: dict[str, list[str]] = {path: [] for path in tree.charts}
    for entry in entries:
        for folder in _ancestors(entry.path):
            if folder in own:
                own[folder].append(f"{entry.mode} {entry.id} {posixpath.relpath(entry.path, folder)}")
    hashes = {path: _hash(sorted(lines)) for path, lines in own.items()}
    parents = tree.parents()

    def whole(path: str, above: frozenset[str]) -> str:
        on = [parent for parent in parents.get(path, ()) if parent not in above]
        return _hash([hashes[path], *(whole(parent, above | {path}) for parent in on)]) if on else hashes[path]

    return {path: whole(path, frozenset()) for path in tree.charts}


def _ancestors(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return [".", *("/".join(parts[: count + 1]) for count in range(len(parts)))]


def _inside(path: str, folders: Iterable[str]) -> bool:
    charts = set(folders)
    return any(folder in charts for folder in _ancestors(path))


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
