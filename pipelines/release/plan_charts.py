"""The charts of a plan: packed and compared with the registry as a release would do it, in one table with the images."""

from __future__ import annotations

from pathlib import Path

from pipelines.charts import compare as chart_compare
from pipelines.charts import model as states
from pipelines.charts import registry_state
from pipelines.charts import tree as chart_tree
from pipelines.charts.tree import Tree
from pipelines.declared.finding import ERROR, Finding
from pipelines.environments.image_uses import Values
from pipelines.errors import Refused, Transient
from pipelines.images.model import BLOCKED, NOTHING, RELEASE, UNKNOWN
from pipelines.release.model import PlannedChart
from pipelines.release.snapshot import RepositorySnapshot
from pipelines.step.groups import ChartSettings
from pipelines.tools.registry.layout import Layout


def plan(
    declared: RepositorySnapshot, place: ChartSettings, values: Values, docker_config: Path, work: Path
) -> tuple[tuple[PlannedChart, ...], tuple[Finding, ...]]:
    """Return every chart with its state, parents first, and what is wrong with charts."""
    if not declared.charts:
        return (), ()
    registry, repositories = registry_state.connect(place, Layout.create(work / "layout"), docker_config)
    paths = [path for folder in declared.charts for path in declared.tree.below(folder)]
    tree = chart_tree.read(declared.root, paths, own=place.address, ignore=declared.configuration.no_charts)
    try:
        found = chart_compare.plan(tree, registry, repositories, libraries=declared.configuration.libraries)
    except Transient as error:
        why = " ".join(f"{error.what}: {error.seen}".split())
        return tuple(_unknown(tree, path, why, values) for path in sorted(tree.charts)), _findings(tree.findings)
    except Refused as error:
        # A circle: no chart of it can be packed, and so none of the tree is ordered.
        finding = Finding(
            path=declared.charts[0], line=0, level=ERROR, rule="cycle", text=f"{error.what}: {error.seen}"
        )
        charts = tuple(_blocked(tree, path, error.what, values) for path in sorted(tree.charts))
        return charts, (*_findings(tree.findings), finding)
    told = {finding.chart: finding for finding in reversed(found.findings) if finding.level != states.WARNING}
    parents = tree.parents()
    return (
        tuple(_planned(item, parents.get(item.path, ()), told.get(item.path), values) for item in found.charts),
        _findings(found.findings),
    )


def _planned(
    item: states.PlannedChart, parents: tuple[str, ...], told: states.Finding | None, values: Values
) -> PlannedChart:
    state, action = item.state, NOTHING
    reasons: tuple[str, ...] = ()
    if state == states.ABSENT:
        action, reasons = RELEASE, (f"version {item.version} is not published",)
    elif state == states.DIFFERENT:
        files = ", ".join(item.differs[:3]) + " …" * (len(item.differs) > 3)
        reasons = (f"{item.version} is published with another content ({files}); next is {item.next_version}",)
    elif state == states.BROKEN:
        state, reasons = BLOCKED, (told.text if told else "it cannot be packed",)
    elif state == states.UNPUBLISHED:
        reasons = ("a library chart that is not published",)
    return PlannedChart(
        name=item.name,
        version=item.version,
        path=item.path,
        state="published" if state == states.IDENTICAL else state,
        action=action,
        reasons=reasons,
        digest=item.digest,
        parents=parents,
        images=values.of_chart(item.path),
    )


def _unknown(tree: Tree, path: str, why: str, values: Values) -> PlannedChart:
    return _without_answer(tree, path, UNKNOWN, why, values)


def _blocked(tree: Tree, path: str, why: str, values: Values) -> PlannedChart:
    return _without_answer(tree, path, BLOCKED, why, values)


def _without_answer(tree: Tree, path: str, state: str, why: str, values: Values) -> PlannedChart:
    chart = tree.charts[path]
    return PlannedChart(
        name=chart.name,
        version=chart.version,
        path=path,
        state=state,
        action=NOTHING,
        reasons=(why,),
        digest="",
        parents=tree.parents().get(path, ()),
        images=values.of_chart(path),
    )


def _findings(found: tuple[states.Finding, ...]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            path=item.path,
            line=item.line,
            level=ERROR if item.level == states.REFUSED else item.level,
            rule=item.rule,
            text=item.text,
            todo=item.todo,
        )
        for item in found
        # A version with another content is the chart's state, and told as that.
        if item.rule != "published"
    )
