"""The charts of a folder as they are written, with everything that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.charts import chart_lock, chart_yaml, rules
from pipelines.charts import files as chart_files
from pipelines.charts.chart_yaml import CHART, LOCK, Chart, Edges
from pipelines.charts.files import Root
from pipelines.charts.model import ChartFinding
from pipelines.declared import yaml_text
from pipelines.declared.finding import ERROR, REFUSED
from pipelines.declared.yaml_text import YamlText
from pipelines.errors import Misconfigured, Refused, ShipwayError, Transient


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The charts of a folder; those that are broken are among the charts, but have no edges."""

    root: Root
    charts: Mapping[str, Chart]
    """By folder, relative to the root."""
    edges: Mapping[str, Edges]
    """Where the dependencies of every sound chart come from."""
    findings: tuple[ChartFinding, ...]
    changed: Mapping[str, bytes]
    """Files whose content is another one than on disk, by path."""

    def parents(self) -> dict[str, tuple[str, ...]]:
        """Return the folders that each sound chart depends on."""
        return {path: found.parents for path, found in self.edges.items()}


def read(
    root: Root,
    files: Sequence[str],
    *,
    own: str,
    ignore: Sequence[str] = (),
    changed: Mapping[str, bytes] | None = None,
) -> Tree:
    """Return the charts among a folder's files, given as paths; `own` is the address that charts are published under.

    Faults of charts are findings, none is raised.
    """
    changed = changed or {}
    found: dict[str, Chart] = {}
    findings: list[ChartFinding] = []
    for folder in chart_yaml.discover(files, ignore=ignore):
        try:
            found[folder] = _chart(root, folder, changed)
        except ShipwayError as error:
            path = chart_yaml.join(folder, CHART)
            findings.append(finding_of(error, folder, path, "file"))
    findings += [finding for chart in found.values() for finding in rules.check(chart)]
    findings += rules.same_names(list(found.values()))
    edges: dict[str, Edges] = {}
    for chart in found.values():
        edges[chart.path], faults = chart_yaml.edges(chart, found, own=own)
        findings += rules.unusable(chart, faults)
    broken = spread({f.chart for f in findings if f.level in {ERROR, REFUSED}}, edges)
    return Tree(
        root=root,
        charts=found,
        edges={path: edge for path, edge in edges.items() if path not in broken},
        findings=tuple(findings),
        changed=changed,
    )


def spread(broken: set[str], edges: Mapping[str, Edges]) -> set[str]:
    """Return the broken charts with every chart that depends on one of them."""
    while more := {path for path, edge in edges.items() if path not in broken and broken & set(edge.parents)}:
        broken = broken | more
    return broken


def finding_of(error: ShipwayError, folder: str, path: str, rule: str, *, line: int = 0) -> ChartFinding:
    """Return an error about a chart as a finding; raises it again if it is not the fault of the chart."""
    if isinstance(error, Transient | Misconfigured):
        raise error
    what = error.what
    if at := re.match(rf"{re.escape(path)}(?::(\d+))?: ", what):  # the finding has a path and a line of its own
        line, what = int(at[1] or line), what[at.end() :]
    text = what + (f" ({error.seen})" if error.seen else "")
    level = REFUSED if isinstance(error, Refused) else ERROR
    return ChartFinding(level=level, chart=folder, path=path, line=line, rule=rule, text=text, todo=error.todo)


def _chart(root: Root, folder: str, changed: Mapping[str, bytes]) -> Chart:
    texts: list[YamlText | None] = []
    for name in (CHART, LOCK):
        path = chart_yaml.join(folder, name)
        # What is on disk is looked at in any case: a link is refused, whatever it would be replaced by.
        data = chart_files.file(root, path)
        texts.append(None if data is None else yaml_text.read(changed.get(path, data), path))
    text, lock = texts
    if text is None:
        raise Refused(f"{folder}/{CHART} is not there", todo="commit it")
    old = chart_yaml.join(folder, chart_files.REQUIREMENTS)
    if text.scalar("apiVersion") == "v1" and chart_files.file(root, old) is not None:
        raise ShipwayError(
            f"{old} holds the dependencies, as apiVersion v1 has it",
            todo="move them into Chart.yaml, write apiVersion: v2 there, and run `helm dependency update`",
        )
    archives = chart_files.archives(root, folder) if text.value.get("dependencies") else ()
    return chart_yaml.read(folder, text, chart_lock.read(lock) if lock else None, archives)
