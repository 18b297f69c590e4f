"""An environments repository at one commit, read without a checkout."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.bounds import LARGEST, TOO_LARGE
from pipelines.charts import chart_yaml
from pipelines.declared import shipway_yaml
from pipelines.declared.shipway_yaml import Configuration
from pipelines.environments import config_yaml
from pipelines.environments.model import Application, Environments
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.git.tree import File, GitTree


@dataclass(frozen=True, kw_only=True)
class DeclaredEnvironments:
    """What a commit declares, and the values beside it."""

    commit: str
    found: Environments
    values: Mapping[str, bytes] = field(repr=False)
    """Content of each values file by its path."""
    charts: tuple[str, ...] = ()
    """Folders of charts that the same repository has."""
    configuration: Configuration = field(default_factory=Configuration)
    """Its shipway.yaml."""

    def values_of(self, item: Application | None) -> bytes:
        """Return the values of an application, nothing where it has none."""
        return self.values.get(item.values, b"") if item else b""

    @classmethod
    def read(cls, git: Git, url: RepositoryUrl, resolved: Resolved) -> DeclaredEnvironments:
        """Return what a commit declares; only the files that say so are fetched. Raises what Git raises."""
        with tempfile.TemporaryDirectory(prefix="shipway-environments-") as folder:
            repository = git.fetch(url, resolved, Path(folder) / "git", with_files=False)
            entries = {entry.path: entry for entry in repository.tree(resolved.commit) if not entry.is_submodule}
            configs = set(config_yaml.config_files(entries))
            beside = {f"{path.rpartition('/')[0]}/{config_yaml.VALUES}" for path in configs} & entries.keys()
            wanted = [entries[path] for path in sorted(configs | beside | ({shipway_yaml.NAME} & entries.keys()))]
            git.fetch_files(repository, (entry.id for entry in wanted))
            contents = dict.fromkeys((entry.path for entry in wanted), TOO_LARGE)
            contents |= repository.contents(wanted, most_bytes=LARGEST)
        tree = GitTree(files={path: File(entry.mode, entry.id) for path, entry in entries.items()}, contents=contents)
        found = config_yaml.read(tree)
        configuration, findings = shipway_yaml.read(
            contents.get(shipway_yaml.NAME, b""),
            is_link=shipway_yaml.NAME in entries and entries[shipway_yaml.NAME].is_link,
        )
        return cls(
            commit=resolved.commit,
            found=replace(found, findings=tuple(sorted({*found.findings, *findings}))),
            configuration=configuration,
            values={path: contents[path] for path in beside},
            charts=chart_yaml.discover(entries),
        )
