"""What a chart must be before Helm looks at it: its name, its versions, its lock.

Nothing is raised: every fault of every chart becomes a finding with its file and line, for one report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pipelines.charts import chart_lock
from pipelines.charts.chart_yaml import Chart, Unusable, is_name
from pipelines.charts.model import ChartFinding
from pipelines.declared import yaml_text
from pipelines.declared.finding import ERROR, REFUSED, WARNING
from pipelines.declared.yaml_text import KubernetesLoader
from pipelines.images.tag_names import parse_version


def check(chart: Chart) -> list[ChartFinding]:
    """Return what is wrong with a chart's own files."""
    return [*_identity(chart), *_versions(chart), *_lock(chart)]


def unusable(chart: Chart, faults: Iterable[Unusable]) -> list[ChartFinding]:
    """Return the findings for dependencies that cannot be had."""
    return [
        finding(chart, fault.line, "dependency", fault.text, fault.todo, level=REFUSED if fault.refused else ERROR)
        for fault in faults
    ]


def same_names(charts: Sequence[Chart]) -> list[ChartFinding]:
    """Return a finding for each chart whose name another one has taken."""
    taken: dict[str, Chart] = {}
    found = []
    for chart in charts:
        other = taken.setdefault(chart.name, chart)
        if other is not chart:
            text = f"the chart {chart.name} is also in {other.path}"
            found.append(
                finding(chart, chart.text.line("name"), "name", text, "rename one, or leave it out by --ignore")
            )
    return found


def finding(
    chart: Chart, line: int, rule: str, text: str, todo: str = "", *, level: str = ERROR, file: str = ""
) -> ChartFinding:
    """Return a finding in a chart's Chart.yaml, or in another file of it."""
    return ChartFinding(
        level=level, chart=chart.path, path=file or chart.file, line=line, rule=rule, text=text, todo=todo
    )


def _identity(chart: Chart) -> Iterator[ChartFinding]:
    line = chart.text.line("name")
    if chart.name in {".", ".."} or "/" in chart.name or "\\" in chart.name:
        yield finding(chart, line, "name", f"{chart.name!r} would leave its folder", "name the chart", level=REFUSED)
    elif not is_name(chart.name):
        yield finding(
            chart,
            line,
            "name",
            f"{chart.name!r} cannot name a chart in a registry",
            "use lower-case letters, digits and single - . _ between them",
        )
    if chart.text.scalar("apiVersion") not in {"v1", "v2"}:
        yield finding(
            chart, chart.text.line("apiVersion"), "api-version", "apiVersion is neither v2 nor v1", "write v2"
        )
    if chart.text.scalar("apiVersion") == "v1" and chart.dependencies:
        yield finding(
            chart,
            chart.text.line("dependencies"),
            "api-version",
            "apiVersion v1 keeps dependencies in requirements.yaml",
            "write apiVersion: v2",
        )
    if chart.text.scalar("type") not in {"", "application", "library"}:
        yield finding(chart, chart.text.line("type"), "type", "type is neither application nor library")


def _versions(chart: Chart) -> Iterator[ChartFinding]:
    line = chart.text.line("version")
    if parse_version(chart.version) is None:
        text = (
            f"version {chart.version!r} is not a version of the form 1.2.3" if chart.version else "there is no version"
        )
        yield finding(chart, line, "version", text, "see semver.org")
    if chart.app_version and not chart.text.is_text("appVersion"):
        read = yaml_text.load(chart.app_version, chart.file, KubernetesLoader)
        if chart.app_version != str(read):
            text = f"appVersion {chart.app_version} is no text to Helm, which reads it as {read}"
            line = chart.text.line("appVersion")
            yield finding(chart, line, "app-version", text, "put it in quotes", level=WARNING)
    for item in chart.dependencies:
        if not item.name or not item.version:
            yield finding(chart, item.line, "dependency", "a dependency lacks its name or its version")
        elif item.repository.startswith(("@", "alias:")):
            text = f"{item.repository} is a name of somebody's own Helm configuration"
            yield finding(chart, item.line, "dependency", text, "write the repository's address")


def _lock(chart: Chart) -> Iterator[ChartFinding]:
    todo = f"run `helm dependency update {chart.path}` and commit Chart.lock"
    fetched = [item for item in chart.dependencies if not item.is_vendored and not chart.committed(item)]
    if chart.lock is None:
        if fetched:
            yield finding(chart, fetched[0].line, "lock", "there are dependencies and no Chart.lock", todo)
        return
    for line, text in chart_lock.faults(chart.text, chart.lock):
        yield finding(chart, line, "lock", text, todo, file=chart.lock_file)
