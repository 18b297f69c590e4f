"""Which charts a tree declares, what each of them says about itself, and the order in which they are published.

Convention: every Chart.yaml is a chart but in another chart's `charts/`, `files/` and other folders of Helm's. A
dependency whose name and version are in the tree, named by `file://` or by the address that this deployment publishes
to, is the tree's own chart.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pipelines.charts import chart_lock
from pipelines.charts.chart_lock import Lock, Pin, fits
from pipelines.declared import order
from pipelines.declared.yaml_text import YamlText

CHART = "Chart.yaml"
LOCK = "Chart.lock"
# A component of a repository's name: distribution-spec, "Pulling manifests"; Helm's charts live under their own name.
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_LONGEST_NAME = 250
_OF_HELM = frozenset({"charts", "files", "templates", "crds", "ci"})


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """One entry of a chart's `dependencies`."""

    name: str
    version: str
    """The range that Chart.yaml allows."""
    repository: str
    """Empty for a chart that lies in `charts/` as files."""
    line: int
    number: int
    """Its index in the list, from 0."""

    @property
    def is_vendored(self) -> bool:
        """Whether it lies in the chart's own `charts/`; some write that as `file://./charts/NAME`."""
        return not self.repository or posixpath.normpath(self.folder or ".").startswith("charts/")

    @property
    def folder(self) -> str | None:
        """What a `file:` address names, from the chart's folder on; None for any other address."""
        scheme, _, path = self.repository.partition(":")
        return path.removeprefix("//") if scheme == "file" else None


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart as its Chart.yaml and Chart.lock describe it."""

    path: str
    """Its folder, relative to the root; `.` for the root itself."""
    name: str
    version: str
    app_version: str
    library: bool
    dependencies: tuple[Dependency, ...]
    text: YamlText
    lock: Lock | None
    archives: tuple[str, ...] = ()
    """Names of the archives in its `charts/`."""

    @property
    def file(self) -> str:
        """The path of its Chart.yaml."""
        return join(self.path, CHART)

    @cached_property
    def pins(self) -> Mapping[int, Pin]:
        """What its lock pins for each dependency, by number."""
        return self.lock.pins_of(self.text) if self.lock else {}

    def committed(self, item: Dependency) -> str:
        """Return the version of a dependency's archive in `charts/`, the locked one; empty if none is there."""
        pin = self.pins.get(item.number)
        versions = (name[len(item.name) + 1 : -4] for name in self.archives if name.startswith(f"{item.name}-"))
        fitting = [v for v in versions if (v == pin.version if pin else fits(v, item.version))]
        return fitting[-1] if fitting else ""

    @property
    def lock_file(self) -> str:
        """The path of its Chart.lock, whether there is one or not."""
        return join(self.path, LOCK)


@dataclass(frozen=True, kw_only=True)
class ExternalDependency:
    """A dependency to fetch, at the version that Chart.lock pins."""

    name: str
    version: str
    repository: str
    line: int
    committed: str = ""
    """Its archive in the tree, where it is not to be fetched."""

    @property
    def file(self) -> str:
        """Where its archive is inside the chart's."""
        return embedded_file(self.name, self.version)


@dataclass(frozen=True, kw_only=True)
class Edges:
    """Where the dependencies of one chart come from."""

    parents: tuple[str, ...]
    """Folders of charts in the tree."""
    externals: tuple[ExternalDependency, ...]


@dataclass(frozen=True, kw_only=True)
class Unusable:
    """A dependency that cannot be had."""

    line: int
    text: str
    todo: str
    refused: bool
    """Whether it reaches out of the repository or the settings; else it is a mistake."""


def discover(paths: Iterable[str], *, ignore: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the folders of the charts of a tree given as its files' paths, sorted.

    An ignore pattern stands for a folder and all below it; `*` in it stands for any text.
    """
    likely = (path for path in paths if path.endswith(CHART))
    folders = {posixpath.dirname(path) or "." for path in likely if posixpath.basename(path) == CHART}
    return tuple(
        sorted(f for f in folders if not _ignored(f, ignore) and not any(map(_holds_charts(folders), _ancestors(f))))
    )


def read(folder: str, text: YamlText, lock: Lock | None, archives: tuple[str, ...] = ()) -> Chart:
    """Return the chart of a folder, `archives` lie in its `charts/`; `rules` finds what is wrong with it."""
    dependencies = tuple(
        Dependency(**item, line=text.line("dependencies", number), number=number)
        for number, item in chart_lock.entries(text)
    )
    return Chart(
        path=folder,
        name=text.scalar("name"),
        version=text.scalar("version"),
        app_version=text.scalar("appVersion"),
        library=text.scalar("type") == "library",
        dependencies=dependencies,
        text=text,
        lock=lock,
        archives=archives,
    )


def is_name(name: str) -> bool:
    """Whether a chart of that name can be published: lower-case letters, digits, and single signs between them."""
    return _NAME.fullmatch(name) is not None and len(name) <= _LONGEST_NAME


def edges(chart: Chart, charts: Mapping[str, Chart], *, own: str) -> tuple[Edges, list[Unusable]]:
    """Return where a chart's dependencies come from, and those that cannot be had.

    `charts` are the tree's, by folder; `own` is the address that charts are published under, without a scheme.
    """
    parents: list[str] = []
    externals: list[ExternalDependency] = []
    faults: list[Unusable] = []
    for item in chart.dependencies:
        if item.is_vendored:
            continue
        pin, committed = chart.pins.get(item.number), chart.committed(item)
        parent = parent_of(chart, item, charts, own=own)
        if item.folder is not None:
            fault = _unusable(chart, item, item.folder, parent, charts)
            if fault:
                faults.append(fault)
            elif parent:
                parents.append(parent.path)
        elif parent:
            parents.append(parent.path)
        elif version := committed or (pin.version if pin else ""):
            archive = join(chart.path, embedded_file(item.name, version)) if committed else ""
            externals.append(
                ExternalDependency(
                    name=item.name, version=version, repository=item.repository, line=item.line, committed=archive
                )
            )
        elif chart.lock and not chart_lock.faults(chart.text, chart.lock):
            # Without a lock, or with one out of step, `rules` says so.
            faults.append(
                Unusable(
                    line=item.line,
                    text=f"no version of {item.name} is locked",
                    todo=f"run `helm dependency update {chart.path}` and commit {LOCK}",
                    refused=False,
                )
            )
    return Edges(parents=tuple(dict.fromkeys(parents)), externals=tuple(dict.fromkeys(externals))), faults


def parent_of(chart: Chart, item: Dependency, charts: Mapping[str, Chart], *, own: str) -> Chart | None:
    """Return the chart of the tree that a dependency means, whether or not its version fits at present."""
    if item.folder is not None:
        found = charts.get(join(chart.path, item.folder))
        return found if found and found.name == item.name and found.path != chart.path else None
    if not own or item.repository.rstrip("/") != f"oci://{own}":
        return None
    pin = chart.pins.get(item.number)
    return next(
        (
            other
            for other in charts.values()
            if other.name == item.name
            and other.path != chart.path
            and (other.version == pin.version if pin else fits(other.version, item.version))
        ),
        None,
    )


def _unusable(
    chart: Chart, item: Dependency, target: str, parent: Chart | None, charts: Mapping[str, Chart]
) -> Unusable | None:
    """Return what is wrong with a `file://` dependency, or None."""
    folder = join(chart.path, target)
    if target.startswith("/") or folder == ".." or folder.startswith("../"):
        return Unusable(
            line=item.line,
            text=f"{item.repository} leads out of the repository",
            todo="name a chart of this repository, or publish that one and name its registry",
            refused=True,
        )
    if parent and fits(parent.version, item.version):
        return None
    if parent:
        text = f"{item.name} is at {parent.version} in {folder}, which {item.version!r} does not allow"
        todo = "`shipway step chart-version --write=true` brings ranges and locks in step"
    elif folder in charts and folder != chart.path:
        text, todo = f"{folder} holds the chart {charts[folder].name}, not {item.name}", "correct the name or the path"
    else:
        text, todo = f"{item.repository} leads to no chart of this repository", "correct the path"
    return Unusable(line=item.line, text=text, todo=todo, refused=False)


def waves(parents: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Return the number of each chart's wave: it depends on charts of lower numbers alone.

    `parents` maps each chart's folder to those that it depends on. Raises Refused naming the charts of a circle.
    """
    found = order.waves(
        parents, what="charts depend on each other in a circle", todo="take one of these dependencies out"
    )
    return {path: number for number, wave in enumerate(found) for path in wave}


def embedded_file(name: str, version: str) -> str:
    """Return where a dependency's archive is inside a chart's, as `helm dependency build` names it."""
    return f"charts/{name}-{version}.tgz"


def join(folder: str, path: str) -> str:
    """Return the path of something in a folder, which may be the root."""
    return posixpath.normpath(posixpath.join(folder, path))


def tag(version: str) -> str:
    """Return the tag of a version: a tag can hold no +, for which Helm writes _."""
    return version.replace("+", "_")


def _holds_charts(folders: set[str]) -> Callable[[str], bool]:
    """Return a test for whether a folder is one of those of a chart that Helm knows, whose charts are part of it."""
    return lambda folder: posixpath.basename(folder) in _OF_HELM and (posixpath.dirname(folder) or ".") in folders


def _ancestors(folder: str) -> set[str]:
    """Return a folder and all that it lies in."""
    found = {folder, "."}
    while "/" in folder:
        folder = folder.rpartition("/")[0]
        found.add(folder)
    return found


def _ignored(folder: str, patterns: Sequence[str]) -> bool:
    return any(
        fnmatch.fnmatchcase(part, pattern.strip("/")) for part in _ancestors(folder) - {"."} for pattern in patterns
    )
