"""Every chart of a tree packed and compared with the registry, with as few questions as the answer needs.

The registry is asked for all charts at once. A chart whose published configuration is its own is packed with the
dependencies that the published archive holds under the locked names; if that gives the very archive, it is proven to be
as published and nothing is fetched. Otherwise what Chart.lock pins is fetched, each archive once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipelines.charts import archive as chart_archive
from pipelines.charts import chart_yaml, dependencies, metadata, registry_state, rules
from pipelines.charts import files as chart_files
from pipelines.charts import tree as chart_tree
from pipelines.charts.chart_yaml import Chart, ExternalDependency
from pipelines.charts.dependencies import ChartRepositories
from pipelines.charts.model import ChartFinding, ComparedChart, Embedded
from pipelines.charts.registry_state import ChartRegistry
from pipelines.charts.tree import Tree
from pipelines.declared.finding import REFUSED, WARNING
from pipelines.declared.state import ABSENT, BROKEN, DIFFERENT, IDENTICAL, UNPUBLISHED
from pipelines.errors import ShipwayError
from pipelines.images import ownership
from pipelines.images.ownership import Publisher
from pipelines.tools.registry.connection import QUESTIONS
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Digest, Reference
from pipelines.tools.registry.transfer import in_parallel


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A chart's files with its dependencies, and the archive of them."""

    files: Mapping[str, bytes] = field(repr=False)
    archive: bytes = field(repr=False)
    config: bytes = field(repr=False)
    embedded: tuple[Embedded, ...]

    @property
    def digest(self) -> Digest:
        """Of the archive."""
        return Digest.of(self.archive)


@dataclass(frozen=True, kw_only=True)
class ChartPlan:
    """The charts of a tree, parents first, those that could be packed with their archives, and every finding."""

    charts: tuple[ComparedChart, ...]
    packed: Mapping[str, Packed]
    findings: tuple[ChartFinding, ...]


def plan(
    tree: Tree,
    registry: ChartRegistry,
    repositories: ChartRepositories,
    *,
    libraries: Sequence[str] = (),
    bump: str = "patch",
    publisher: Publisher | None = None,
) -> ChartPlan:
    """Return what a tree's charts are and what is to be done with each.

    With `publisher`, a chart whose name belongs to another repository is broken.

    Faults of charts become findings. Raises Refused for a circle of charts, Transient or Misconfigured where a registry
    or a repository gives no answer.
    """
    waves = chart_yaml.waves(tree.parents())
    order = sorted(waves, key=lambda path: (waves[path], path))
    planner = _Planner(tree, registry, repositories, libraries)
    planner.ask(order, publisher)
    for path in order:
        planner.pack(path)
    planned = in_parallel(lambda path: planner.planned(path, waves[path], bump), order)
    broken = [planner.broken(tree.charts[path]) for path in sorted(tree.charts.keys() - waves.keys())]
    different = [_different(tree.charts[item.path], item) for item in planned if item.state == DIFFERENT]
    return ChartPlan(
        charts=(*planned, *broken),
        packed=planner.packed,
        findings=(*tree.findings, *planner.findings, *different),
    )


def pack(
    tree: Tree, registry: ChartRegistry, repositories: ChartRepositories, path: str
) -> tuple[Packed | None, tuple[ChartFinding, ...]]:
    """Return one chart of a tree packed, without asking whether it is published; None where findings say what is wrong.

    Raises Transient or Misconfigured where a repository gives no answer.
    """
    needed: dict[str, None] = {}

    def need(one: str) -> None:
        for parent in tree.edges[one].parents if one in tree.edges else ():
            if parent not in needed:
                need(parent)
        needed.setdefault(one)

    planner = _Planner(tree, registry, repositories, ())
    if path in tree.edges:
        chart_yaml.waves(tree.parents())
        need(path)
        planner.fetch(needed)
        for one in needed:
            planner.pack(one)
    return planner.packed.get(path), (*tree.findings, *planner.findings)


def _different(chart: Chart, item: ComparedChart) -> ChartFinding:
    """Return the finding that says in a pull request what a release would refuse."""
    files = ", ".join(item.differs[:10]) + " …" * (len(item.differs) > 10)
    return rules.finding(
        chart,
        chart.text.line("version"),
        "published",
        f"{item.name} {item.version} is published with different content ({files})",
        f"the next version is {item.next_version}; `shipway step chart-version --write=true` writes it",
        level=WARNING,
    )


class _Planner:
    """The state of one planning."""

    def __init__(
        self, tree: Tree, registry: ChartRegistry, repositories: ChartRepositories, libraries: Sequence[str]
    ) -> None:
        self._tree = tree
        self._registry = registry
        self._repositories = repositories
        self._libraries = libraries
        self._published: dict[str, Manifest] = {}
        self._theirs: dict[str, Mapping[str, bytes]] = {}
        """Files of published archives whose dependencies may be taken."""
        self._fetched: dict[ExternalDependency, tuple[str, bytes] | ShipwayError] = {}
        self._foreign: set[str] = set()
        """Charts whose names belong to another repository."""
        self.packed: dict[str, Packed] = {}
        self.findings: list[ChartFinding] = []

    def ask(self, paths: Sequence[str], publisher: Publisher | None) -> None:
        """Ask the registry for every chart and who owns its name, and fetch what it takes to pack each."""
        asked = [path for path in paths if self._publishes(self._tree.charts[path])]
        answers = in_parallel(lambda path: self._registry.published(self._reference(path)), asked, at_once=QUESTIONS)
        self._published = {path: found for path, found in zip(asked, answers, strict=True) if found}
        if publisher:
            owners = in_parallel(self._owner, asked, at_once=QUESTIONS)
            for path, owner in zip(asked, owners, strict=True):
                chart = self._tree.charts[path]
                if publisher.other(chart.name, [owner]):
                    self._foreign.add(path)
                    line, why = chart.text.line("name"), publisher.words(chart.name, owner)
                    self.findings.append(rules.finding(chart, line, "owner", why, ownership.TODO, level=REFUSED))
        hopeful = [
            path for path in self._published if self._tree.edges[path].externals and self._may_be_identical(path)
        ]
        self._theirs = dict(zip(hopeful, in_parallel(self._published_files, hopeful), strict=True))
        self._fetch(
            [
                item
                for path in paths
                for item in self._tree.edges[path].externals
                if item.committed or item.file not in self._theirs.get(path, {})
            ]
        )

    def fetch(self, paths: Iterable[str]) -> None:
        """Fetch every dependency of charts from outside."""
        self._fetch([item for path in paths for item in self._tree.edges[path].externals])

    def pack(self, path: str) -> None:
        """Pack one chart whose parents are packed, or record the findings that prevent it."""
        if any(parent not in self.packed for parent in self._tree.edges[path].parents):
            return
        found = self._pack(path, self._theirs.get(path, {}))
        if found and path in self._theirs and not self._is_identical(path, found):
            self._fetch(self._tree.edges[path].externals)
            found = self._pack(path, {})
        if found:
            self.packed[path] = found

    def planned(self, path: str, wave: int, bump: str) -> ComparedChart:
        """Return what is to be done with a chart; raises Transient."""
        chart, packed = self._tree.charts[path], self.packed.get(path)
        if packed is None or path in self._foreign:
            return self.broken(chart)
        manifest = self._published.get(path)
        reference = self._reference(path)
        differs: tuple[str, ...] = ()
        next_version = ""
        if not self._publishes(chart):
            state = UNPUBLISHED
        elif manifest is None:
            state = ABSENT
        elif self._is_identical(path, packed):
            state = IDENTICAL
        else:
            differs = self._registry.differences(reference, manifest, packed.files)
            state = DIFFERENT if differs else IDENTICAL
            next_version = self._registry.next_version(reference, chart.version, bump) if differs else ""
        return replace(
            self.broken(chart),
            wave=wave,
            state=state,
            repository=reference.name if state != UNPUBLISHED else "",
            digest=str(manifest.descriptor.digest) if manifest else "",
            archive=str(packed.digest),
            embedded=packed.embedded,
            differs=differs,
            next_version=next_version,
        )

    def broken(self, chart: Chart) -> ComparedChart:
        """Return a chart that cannot be packed."""
        return ComparedChart(
            name=chart.name,
            version=chart.version,
            app_version=chart.app_version,
            path=chart.path,
            library=chart.library,
            publish=self._publishes(chart),
            wave=0,
            state=BROKEN,
        )

    def _publishes(self, chart: Chart) -> bool:
        return not chart.library or "*" in self._libraries or chart.name in self._libraries

    def _reference(self, path: str) -> Reference:
        chart = self._tree.charts[path]
        return self._registry.reference(chart.name, chart_yaml.tag(chart.version))

    def _owner(self, path: str) -> str:
        return self._registry.owner(self._reference(path), self._published.get(path))[1]

    def _may_be_identical(self, path: str) -> bool:
        config = Digest.of(metadata.config(self._tree.charts[path].text))
        return registry_state.digests(self._published[path])[:1] == (config,)

    def _is_identical(self, path: str, packed: Packed) -> bool:
        manifest = self._published.get(path)
        return manifest is not None and registry_state.digests(manifest) == (Digest.of(packed.config), packed.digest)

    def _published_files(self, path: str) -> Mapping[str, bytes]:
        reference = self._reference(path)
        try:
            return self._registry.archive(reference, self._published[path]).files
        except ShipwayError as error:
            chart_tree.finding_of(error, path, path, "")  # re-raises what is not the fault of the archive
            return {}

    def _fetch(self, items: Sequence[ExternalDependency]) -> None:
        missing = [item for item in dict.fromkeys(items) if item not in self._fetched]
        self._fetched |= dict(zip(missing, in_parallel(self._fetch_one, missing), strict=True))

    def _fetch_one(self, item: ExternalDependency) -> tuple[str, bytes] | ShipwayError:
        try:
            if item.committed:
                data = chart_files.file(self._tree.root, item.committed) or b""
                dependencies.verify(item, item.committed, data)
                return item.committed, data
            return self._repositories.fetch(item)
        except ShipwayError as error:
            chart_tree.finding_of(error, "", "", "")  # re-raises what is not the fault of the chart
            return error

    def _pack(self, path: str, theirs: Mapping[str, bytes]) -> Packed | None:
        chart, edges = self._tree.charts[path], self._tree.edges[path]
        embedded: dict[str, tuple[str, bytes]] = {}
        faults: list[ChartFinding] = []
        for item in edges.externals:
            taken = item.file in theirs and not item.committed
            found = (item.repository, theirs[item.file]) if taken else self._fetched[item]
            if isinstance(found, ShipwayError):
                faults.append(chart_tree.finding_of(found, path, chart.file, "dependency", line=item.line))
            else:
                embedded[item.file] = found
        for parent in edges.parents:
            other = self._tree.charts[parent]
            embedded[chart_yaml.embedded_file(other.name, other.version)] = (parent, self.packed[parent].archive)
        try:
            files = chart_files.chart(self._tree.root, path, self._tree.changed)
            vendored = _archives_of([item.name for item in chart.dependencies if not item.is_vendored])
            files = {name: data for name, data in files.items() if not vendored.fullmatch(name)}
            files |= {name: data for name, (_, data) in embedded.items()}
            archive = chart_archive.pack(chart.name, files)
        except ShipwayError as error:
            faults.append(chart_tree.finding_of(error, path, chart.file, "file"))
        else:
            if not faults:
                return Packed(
                    files=files,
                    archive=archive,
                    config=metadata.config(chart.text),
                    embedded=tuple(
                        Embedded(file=name, digest=str(Digest.of(data)), source=source)
                        for name, (source, data) in sorted(embedded.items())
                    ),
                )
        self.findings += faults
        return None


def _archives_of(names: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern of committed archives of dependencies, which the locked ones replace, as Helm does."""
    return re.compile(rf"charts/(?:{'|'.join(map(re.escape, names)) or '(?!)'})-v?[0-9][^/]*\.tgz")
