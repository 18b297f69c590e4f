"""What is wrong with charts: linted and rendered by Helm with several sets of values, objects checked by schemas."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.bounds import LARGEST
from pipelines.charts import chart_yaml, helm_messages, rendered, values_schema
from pipelines.charts.helm import Helm
from pipelines.charts.helm_messages import Message
from pipelines.charts.kubernetes_schemas import KubernetesSchemas
from pipelines.charts.model import ChartFinding, ComparedChart
from pipelines.charts.rendered import RenderedDocument
from pipelines.charts.source_lines import SourceLines, finding_in
from pipelines.declared.finding import REFUSED, WARNING
from pipelines.errors import Refused, Transient

_HOOK = "helm.sh/hook"
VALUES = "ci"
"""The folder of a chart whose YAML files are values to try it with."""
_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class ChartTrial:
    """One chart with one set of values."""

    chart: ComparedChart
    values: str = ""
    """The path of the file in the repository; empty for the default values."""
    copy: Path | None = None
    """The same file under a name that no option of Helm's takes apart."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The values files for Helm."""
        return (self.copy,) if self.copy else ()


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What one trial showed."""

    findings: tuple[ChartFinding, ...]
    wants_values: tuple[ChartFinding, ...] = ()
    """Those that only say that the chart needs values."""
    unknown: tuple[str, ...] = ()
    """Kinds of objects that no schema describes."""


class Inspection:
    """The checks of one checkout."""

    def __init__(
        self,
        helm: Helm,
        work: Path,
        source: Path,
        charts: Sequence[ComparedChart],
        schemas: KubernetesSchemas | None,
    ) -> None:
        self._helm = helm
        self._work = work
        self._source = source
        self._source_lines = SourceLines(source, {chart.path: chart for chart in charts})
        self._objects = Objects(self._source_lines, schemas)
        self._unknown: set[str] = set()
        self._refused: list[ChartFinding] = []

    def inspect(self, charts: Sequence[ComparedChart]) -> list[ChartFinding]:
        """Return the findings about charts, in their order and by file and line; raises Misconfigured as Helm does."""
        self._refused += [finding for chart in charts for finding in _schemas(chart)]
        refused = {finding.chart for finding in self._refused}
        trials = [trial for chart in charts if chart.path not in refused for trial in self._trials(chart)]
        with ThreadPoolExecutor(max_workers=min(_AT_ONCE, 1 + len(os.sched_getaffinity(0)))) as pool:
            version = pool.submit(self._helm.version)
            results = dict(zip(trials, pool.map(self._try, trials), strict=True))
            version.result()
        self._unknown |= {kind for result in results.values() for kind in result.unknown}
        found: list[ChartFinding] = []
        for chart in charts:
            if chart.path in refused:
                found += [finding for finding in self._refused if finding.chart == chart.path]
                continue
            own = {trial: result for trial, result in results.items() if trial.chart is chart}
            found += _merged(own, [finding for finding in self._refused if finding.chart == chart.path])
        return found

    def notes(self) -> list[str]:
        """Return what a reader of the report should know about the checks themselves."""
        if not self._objects.has_schemas:
            missing = "no schemas of Kubernetes are at hand (setting kubernetes-schemas)"
            return [f"{missing}: objects are checked for their form alone"]
        if self._unknown:
            return [f"no schema describes {', '.join(sorted(self._unknown))}: checked for their form alone"]
        return []

    def _trials(self, chart: ComparedChart) -> Iterator[ChartTrial]:
        yield ChartTrial(chart=chart)
        folder = self._source / chart.path / VALUES
        if not folder.is_dir() or folder.is_symlink() or chart.library:
            return
        files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
        # As chart-testing has it, what is called values are values, and what is beside them is for something else.
        for values_file in [file for file in files if file.stem.endswith("values")] or files:
            path = chart_yaml.join(chart.path, f"{VALUES}/{values_file.name}")
            if values_file.is_symlink() or not values_file.is_file() or values_file.stat().st_size > LARGEST:
                text = f"{path} is a link, no file, or too large"
                self._refused.append(
                    finding_in(chart, path, 0, "values", text, todo="put the values themselves there", level=REFUSED)
                )
                continue
            copy = self._work / "values" / f"{sum(1 for _ in (self._work / 'values').glob('*'))}.yaml"
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(values_file, copy)
            yield ChartTrial(chart=chart, values=path, copy=copy)

    def _try(self, trial: ChartTrial) -> TrialResult:
        try:
            return self._tried(trial)
        except (Transient, Refused) as error:
            # The chart brought Helm to that, and would again: this is no reason to run everything once more.
            message = Message(file="", line=0, text=f"{error.what}: {error.seen}", rule="template")
            return self._result(trial, [message], [])

    def _tried(self, trial: ChartTrial) -> TrialResult:
        folder = Path(trial.chart.folder)
        # Strictly, Helm wants the folder, which charts of dependencies or definitions alone do not have.
        (folder / "templates").mkdir(exist_ok=True)
        linted = self._helm.lint(folder, trial.files)
        messages = helm_messages.lint(linted.stdout)
        if linted.code != 0 and not messages:
            messages = helm_messages.failure(linted.stderr, "lint")
        if trial.chart.library:
            return self._result(trial, messages, [])
        done = self._helm.template(folder, trial.files)
        if done.code == 0:
            return self._result(trial, messages, rendered.documents(done.stdout))
        failures = helm_messages.failure(done.stderr)
        if all(message.wants_values for message in failures):
            # Lint goes on without the values; what it says of templates then only follows from that.
            messages = [message for message in messages if "templates/" not in message.file or message.wants_values]
        messages += failures
        shown: list[RenderedDocument] = []
        if any(message.rendered_line for message in failures):
            shown = rendered.documents(self._helm.template(folder, trial.files, debug=True).stdout)
        return self._result(trial, messages, [], broken=[document for document in shown if document.fault])

    def _result(
        self,
        trial: ChartTrial,
        messages: Sequence[Message],
        documents: Sequence[RenderedDocument],
        broken: Sequence[RenderedDocument] = (),
    ) -> TrialResult:
        found: dict[ChartFinding, bool] = {}
        for message in messages:
            finding = self._finding(trial, message, broken)
            found[finding] = found.get(finding, False) or message.wants_values
        unknown: list[str] = []
        for finding in self._objects.check(trial.chart, documents, unknown):
            found.setdefault(finding, False)
        return TrialResult(
            findings=tuple(finding for finding, wants in found.items() if not wants),
            wants_values=tuple(finding for finding, wants in found.items() if wants),
            unknown=tuple(unknown),
        )

    def _finding(self, trial: ChartTrial, message: Message, broken: Sequence[RenderedDocument]) -> ChartFinding:
        chart = trial.chart
        if trial.copy and message.file == str(trial.copy.resolve()):
            return finding_in(chart, trial.values, message.line, message.rule, message.text)
        source_file = self._source_lines.find(chart, message.file)
        path, line, text = source_file.path, 0 if source_file.within else message.line, message.text
        if source_file.within:
            shown = f"{source_file.within}:{message.line}" if message.line else source_file.within
            text = f"{shown}: {text}"
        elif message.pointer:
            values = (
                trial.values
                if trial.values and self._source_lines.line_of_value(trial.values, message.pointer)
                else path
            )
            path, line = values, self._source_lines.line_of_value(values, message.pointer)
        elif message.rendered_line:
            line = next((n for n in (self._fault_line(d, path, chart) for d in broken) if n), 0)
            text += "" if line else f" (line {message.rendered_line} of that)"
        return finding_in(chart, path, line, message.rule, text)

    def _fault_line(self, document: RenderedDocument, path: str, chart: ComparedChart) -> int:
        if self._source_lines.find(chart, document.source).path != path:
            return 0
        lines = document.text.split("\n")
        at = document.fault_line - 1
        return self._source_lines.line_of(path, lines[at]) if 0 <= at < len(lines) else 0


def _merged(results: dict[ChartTrial, TrialResult], refused: Sequence[ChartFinding]) -> list[ChartFinding]:
    """Return a chart's findings, each once; one that only some values cause names them."""
    default = next(result for trial, result in results.items() if not trial.values)
    with_values = {trial: result for trial, result in results.items() if trial.values}
    found = [*refused, *default.findings]
    for finding in default.wants_values:
        if with_values:
            text = f"with the default values alone: {finding.text}"
            found.append(replace(finding, level=WARNING, text=text, todo=""))
        else:
            found.append(
                replace(finding, todo=f"set it in values.yaml, or give values for the checks in {VALUES}/*.yaml")
            )
    common = {_essence(finding) for finding in found}
    for trial, result in with_values.items():
        for finding in (*result.findings, *result.wants_values):
            if _essence(finding) not in common:
                common.add(_essence(finding))
                text = finding.text if finding.path == trial.values else f"with {trial.values}: {finding.text}"
                found.append(replace(finding, text=text))
    # Lint and template say the same of the same line.
    once = {_essence(finding): finding for finding in reversed(found)}
    return sorted(once.values(), key=lambda finding: (finding.path, finding.line, finding.text))


def _essence(finding: ChartFinding) -> tuple[str, int, str]:
    return finding.path, finding.line, finding.text


def _schemas(chart: ComparedChart) -> Iterator[ChartFinding]:
    for fault in values_schema.faults(Path(chart.folder)):
        path = chart_yaml.join(chart.path, fault.file)
        yield finding_in(chart, path, fault.line, "schema", fault.text, todo=fault.todo, level=REFUSED)


class Objects:
    """The checks of what Helm rendered."""

    def __init__(self, source_lines: SourceLines, schemas: KubernetesSchemas | None) -> None:
        self._source_lines = source_lines
        self._schemas = schemas

    @property
    def has_schemas(self) -> bool:
        """Whether there are schemas of Kubernetes."""
        return self._schemas is not None

    def check(
        self, chart: ComparedChart, documents: Sequence[RenderedDocument], unknown: list[str]
    ) -> Iterator[ChartFinding]:
        """Give what is wrong with the objects that were rendered; kinds without a schema are added to `unknown`."""
        seen: dict[tuple[str, str, str, str], RenderedDocument] = {}
        for document in documents:
            if document.fault:
                lines = document.text.split("\n")
                at = lines[document.fault_line - 1] if 0 < document.fault_line <= len(lines) else ""
                yield self._about(chart, document, at, "yaml", f"what it renders is not YAML: {document.fault}")
                continue
            if not document.is_object:
                yield self._about(chart, document, "", "object", "it renders something without apiVersion or kind")
                continue
            for key, at in document.twice():
                text = f"{document.name}: {key!r} stands twice in one mapping; the last one counts"
                yield replace(self._about(chart, document, at, "object", text), level=WARNING)
            yield from self._against_schema(chart, document, unknown)
            key_of = rendered.identity(document.value)
            is_hook = _HOOK in str(document.value.get("metadata"))
            if key_of in seen and key_of[3] and not is_hook:
                text = f"{document.name} is rendered twice, also by {seen[key_of].source}"
                yield replace(self._about(chart, document, "", "object", text), level=WARNING)
            seen.setdefault(key_of, document)

    def _against_schema(
        self, chart: ComparedChart, document: RenderedDocument, unknown: list[str]
    ) -> Iterator[ChartFinding]:
        if self._schemas is None:
            return
        violations = self._schemas.check(document.value)
        if violations is None:
            unknown.append(f"{document.value['apiVersion']} {document.value['kind']}")
        for violation in violations or ():
            where = ".".join(map(str, violation.path))
            text = f"{document.name}: {where + ': ' if where else ''}{violation.text}"
            yield self._about(chart, document, document.line(*violation.path), "kubernetes", text)

    def _about(self, chart: ComparedChart, document: RenderedDocument, line: str, rule: str, text: str) -> ChartFinding:
        source_file = self._source_lines.find(chart, document.source)
        if source_file.within:
            return finding_in(chart, source_file.path, 0, rule, f"{source_file.within}: {text}")
        return finding_in(
            chart, source_file.path, self._source_lines.line_of(source_file.path, line) if line else 0, rule, text
        )
