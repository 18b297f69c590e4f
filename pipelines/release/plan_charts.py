"""The charts of a plan, packed and compared with the registry as a release does it."""

from __future__ import annotations

from pathlib import Path

from pipelines.charts import compare as chart_compare
from pipelines.charts import registry_state
from pipelines.charts import tree as chart_tree
from pipelines.charts.chart_yaml import Chart
from pipelines.charts.model import ChartFinding, ComparedChart, PlannedChart
from pipelines.declared.finding import ERROR, REFUSED, WARNING, Finding
from pipelines.declared.state import (
    ABSENT,
    BLOCKED,
    BROKEN,
    DIFFERENT,
    IDENTICAL,
    NOTHING,
    PUBLISHED,
    RELEASE,
    UNKNOWN,
    UNPUBLISHED,
)
from pipelines.environments.image_uses import Values
from pipelines.errors import Refused, Transient
from pipelines.images.ownership import Publisher
from pipelines.release.snapshot import RepositorySnapshot
from pipelines.step.groups import ChartSettings
from pipelines.tools.registry.layout import Layout


def plan(
    declared: RepositorySnapshot,
    place: ChartSettings,
    values: Values,
    docker_config: Path,
    work: Path,
    *,
    publisher: Publisher,
) -> tuple[tuple[PlannedChart, ...], tuple[Finding, ...]]:
    """Return every chart with its state, parents first, and what is wrong with charts."""
    if not declared.charts:
        return (), ()
    registry, repositories = registry_state.connect(place, Layout.create(work / "layout"), docker_config)
    paths = [path for folder in declared.charts for path in declared.tree.below(folder)]
    tree = chart_tree.read(declared.root, paths, own=place.address, ignore=declared.configuration.no_charts)
    parents = tree.parents()

    def row(
        item: Chart | ComparedChart, state: str, *reasons: str, action: str = NOTHING, digest: str = ""
    ) -> PlannedChart:
        return PlannedChart(
            name=item.name,
            version=item.version,
            path=item.path,
            state=state,
            action=action,
            reasons=reasons,
            digest=digest,
            parents=parents.get(item.path, ()),
            images=values.of_chart(item.path),
        )

    try:
        libraries = declared.configuration.libraries
        comparison = chart_compare.plan(tree, registry, repositories, libraries=libraries, publisher=publisher)
    except Transient as error:
        why = " ".join(f"{error.what}: {error.seen}".split())
        return tuple(row(tree.charts[path], UNKNOWN, why) for path in sorted(tree.charts)), _findings(tree.findings)
    except Refused as error:
        # A circle: no chart of it can be packed, and so none of the tree is ordered.
        text = f"{error.what}: {error.seen}"
        circle = Finding(path=declared.charts[0], line=0, level=ERROR, rule="cycle", text=text)
        blocked = tuple(row(tree.charts[path], BLOCKED, error.what) for path in sorted(tree.charts))
        return blocked, (*_findings(tree.findings), circle)
    faults = {finding.chart: finding.text for finding in reversed(comparison.findings) if finding.level != WARNING}
    charts = []
    for item in comparison.charts:
        state, action, *reasons = _state(item, faults.get(item.path, "it cannot be packed"))
        charts.append(row(item, state, *reasons, action=action, digest=item.digest))
    return tuple(charts), _findings(comparison.findings)


def _state(item: ComparedChart, fault: str) -> tuple[str, ...]:
    """Return a chart's state and action, and why; `fault` is what keeps a broken one from being packed."""
    if item.state == IDENTICAL:
        return PUBLISHED, NOTHING
    if item.state == ABSENT:
        return ABSENT, RELEASE, f"version {item.version} is not published"
    if item.state == BROKEN:
        return BLOCKED, NOTHING, fault
    if item.state == UNPUBLISHED:
        return UNPUBLISHED, NOTHING, "a library chart that is not published"
    files = ", ".join(item.differs[:3]) + " …" * (len(item.differs) > 3)
    why = f"{item.version} is published with different content ({files}); next is {item.next_version}"
    return DIFFERENT, NOTHING, why


def _findings(findings: tuple[ChartFinding, ...]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            path=item.path,
            line=item.line,
            level=ERROR if item.level == REFUSED else item.level,
            rule=item.rule,
            text=item.text,
            todo=item.todo,
        )
        for item in findings
        # A version with different content is the chart's state, and reported as that.
        if item.rule != "published"
    )
