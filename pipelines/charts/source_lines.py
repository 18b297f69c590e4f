"""Where in the repository something is that Helm names by the path it has inside a packed chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.bounds import LARGEST
from pipelines.charts import chart_yaml, rendered
from pipelines.charts.model import ChartFinding, ComparedChart
from pipelines.declared import yaml_text
from pipelines.declared.finding import ERROR
from pipelines.errors import ShipwayError


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A file of the repository, and what Helm called it where that says more."""

    path: str
    within: str = ""
    """A file of a dependency that this repository has no source of."""


class SourceLines:
    """The files and lines of one checkout's charts, by the names that Helm gives them."""

    def __init__(self, source: Path, planned: Mapping[str, ComparedChart]) -> None:
        self._source = source
        self._charts = planned
        self._texts: dict[str, str | None] = {}

    def find(self, chart: ComparedChart, name: str) -> SourceFile:
        """Return a file by the name that Helm gives it, `web/templates/x.yaml` or `values.yaml`."""
        inside = name.removeprefix(f"{chart.name}/")
        if inside.startswith("charts/"):
            return self._of_dependency(chart, inside)
        path = chart_yaml.join(chart.path, inside)
        if inside and self._file(path):
            return SourceFile(path=path)
        return SourceFile(path=chart_yaml.join(chart.path, chart_yaml.CHART), within=name.rstrip("/"))

    def line_of(self, path: str, rendered_line: str) -> int:
        """Return the line of a template that rendered a line; 0 where that is not certain."""
        text = self._text(path)
        return rendered.source_line(rendered_line, text) if text else 0

    def line_of_value(self, path: str, pointer: str) -> int:
        """Return the line of a value, `/image/tag`, in a file of values; 0 where the file does not have it."""
        text = self._text(path)
        if not text or not pointer:
            return 0
        keys = [part.replace("~1", "/").replace("~0", "~") for part in pointer.strip("/").split("/")]
        try:
            document = yaml_text.read(text.encode(), path)
        except ShipwayError:
            return 0
        steps: list[str | int] = [int(key) if key.isdigit() else key for key in keys]
        return document.line(*steps) if document.node(*steps[:1]) is not None else 0

    def _of_dependency(self, chart: ComparedChart, inside: str) -> SourceFile:
        """Find a file of a dependency: a folder of the chart, a chart of this repository, or only an archive."""
        if self._file(chart_yaml.join(chart.path, inside)):
            return SourceFile(path=chart_yaml.join(chart.path, inside))
        _, name, rest = inside.split("/", 2) if inside.count("/") > 1 else ("", inside, "")
        known_as = self._aliases(chart).get(name, name)
        for embedded in chart.embedded:
            parent = self._charts.get(embedded.source)
            if parent and parent.name == known_as:
                return self.find(parent, rest)
        return SourceFile(path=chart_yaml.join(chart.path, chart_yaml.CHART), within=inside)

    def _aliases(self, chart: ComparedChart) -> dict[str, str]:
        """Return the names of a chart's dependencies by the aliases that it gives them."""
        path = chart_yaml.join(chart.path, chart_yaml.CHART)
        try:
            metadata = yaml_text.read((self._text(path) or "").encode(), path)
        except ShipwayError:
            return {}
        count = len(metadata.value.get("dependencies") or ())
        keys = [("dependencies", number) for number in range(count)]
        return {metadata.scalar(*key, "alias"): metadata.scalar(*key, "name") for key in keys}

    def _file(self, path: str) -> bool:
        return self._text(path) is not None

    def _text(self, path: str) -> str | None:
        if path not in self._texts:
            self._texts[path] = self._read(path)
        return self._texts[path]

    def _read(self, path: str) -> str | None:
        """Return a file's text; None if it does not exist, is large, or is reached by a link."""
        file = self._source
        for part in path.split("/"):
            file = file / part
            if part == ".." or file.is_symlink():
                return None
        if not file.is_file() or file.stat().st_size > LARGEST:
            return None
        return file.read_text(encoding="utf-8", errors="replace")


def finding_in(
    chart: ComparedChart, path: str, line: int, rule: str, text: str, *, todo: str = "", level: str = ERROR
) -> ChartFinding:
    """Return a finding about a chart in a file of the repository."""
    return ChartFinding(level=level, chart=chart.path, path=path, line=line, rule=rule, text=text, todo=todo)
