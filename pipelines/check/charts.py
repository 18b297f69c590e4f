"""The step `chart-check`: what Helm and Kubernetes' schemas say about each chart of a checkout, in one report."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pipelines.charts.helm import Helm
from pipelines.charts.inspection import Inspection
from pipelines.charts.kubernetes_schemas import KubernetesSchemas
from pipelines.charts.model import ChartCheckout, ChartFinding, ChartReport, ComparedChart
from pipelines.declared.finding import ERROR, REFUSED, WARNING
from pipelines.declared.state import BROKEN, DIFFERENT
from pipelines.release import result as release_result
from pipelines.release.result import CHART, CHECKED, FAILED, PartResult
from pipelines.step.log import say
from pipelines.step.parameters import KubernetesVersion
from pipelines.step.signature import Arg


def chart_check(
    *,
    checkout: Annotated[ChartCheckout, Arg("what the step chart-clone found")],
    source: Annotated[Path, Arg("folder that holds the checked-out commit")] = Path("source"),
    cloned_in: Annotated[Path, Arg("folder that chart-clone ran in, where it unpacked the charts")] = Path(),
    kubernetes_schemas: Annotated[str, Arg("folder of Kubernetes' JSON schemas", setting="kubernetes-schemas")] = "",
    kubernetes_version: KubernetesVersion = "",
) -> ChartReport:
    """Lint and render each chart that is not yet published, with its default values and with each of its `ci/*.yaml`.

    Every finding of every chart is in the report, those of chart-clone first; none of them fails this step. No cluster
    is asked and no credential is needed. If a chart requires values and its `ci/*.yaml` give them, the default values
    need not suffice.

    Example:
        shipway step chart-check --checkout=out/clone --outputs=out/check
    """
    charts = [replace(chart, folder=str(cloned_in / chart.folder)) for chart in checkout.charts if chart.folder]
    findings = list(checkout.findings)
    if charts:
        with tempfile.TemporaryDirectory(prefix="shipway-") as home:
            helm = Helm(Path(home), kubernetes=kubernetes_version)
            schemas = KubernetesSchemas(Path(kubernetes_schemas)) if kubernetes_schemas else None
            inspection = Inspection(helm, Path(home), source, checkout.charts, schemas)
            findings += inspection.inspect(charts)
            for note in inspection.notes():
                say(note)
    report = ChartReport(
        checked=tuple(chart.path for chart in charts),
        findings=tuple(findings),
        errors=sum(finding.level in {ERROR, REFUSED} for finding in findings),
        warnings=sum(finding.level == WARNING for finding in findings),
        report=release_result.write_report([_part(chart, findings) for chart in checkout.charts], CHECKED),
    )
    for finding in report.findings[len(checkout.findings) :]:
        say(str(finding))
    counts = f"{_count(report.errors, 'error')}, {_count(report.warnings, 'warning')}"
    say(f"{_count(len(charts), 'chart')} checked: {counts}")
    return report


def _part(chart: ComparedChart, findings: Sequence[ChartFinding]) -> PartResult:
    """Return the result of a chart's checks."""
    result = PartResult(kind=CHART, name=chart.name, path=chart.path, result=CHECKED, why="")
    errors = [finding for finding in findings if finding.chart == chart.path and finding.level in {ERROR, REFUSED}]
    if chart.state == DIFFERENT:
        why = f"version {chart.version} is published with different content; the next version is {chart.next_version}"
        return replace(result, result=DIFFERENT, why=why, lines=release_result.cut(chart.differs))
    if errors or chart.state == BROKEN:
        why = errors[0].text if errors else "no archive can be made of it"
        return replace(result, result=FAILED, why=why, lines=release_result.cut(list(map(str, errors))))
    return result


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'s' * (number != 1)}"
