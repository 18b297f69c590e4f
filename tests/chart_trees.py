"""Repositories of charts for tests, with locks as Helm writes them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from pipelines.charts import chart_lock
from pipelines.charts.model import ChartCheckout, ChartRelease, ChartReport, ComparedChart
from tests.git_repositories import Repository
from tests.steps import step

chart_clone = step("chart-clone", ChartCheckout)
chart_publish = step("chart-publish", ChartRelease)

TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-{{ .Chart.Name }}
data:
  text: {{ .Values.text | quote }}
"""
Dependency = tuple[str, str, str, str]
"""Name, range, repository and the locked version."""


def add(
    repository: Repository,
    folder: str,
    *dependencies: Dependency,
    version: str = "1.0.0",
    name: str = "",
    more: str = "",
) -> None:
    """Write and stage a chart, with its lock where it has dependencies."""
    text = f"# {folder}\napiVersion: v2\nname: {name or folder.rpartition('/')[2]}\nversion: {version} # ours\n{more}"
    if dependencies:
        text += "dependencies:\n" + "".join(
            f"  - name: {name}\n    version: {allowed}\n    repository: {place}\n"
            for name, allowed, place, _ in dependencies
        )
        repository.write(f"{folder}/Chart.lock", lock(dependencies))
    repository.write(f"{folder}/Chart.yaml", text)
    repository.write(f"{folder}/values.yaml", "text: hello\n")
    repository.write(f"{folder}/templates/config.yaml", TEMPLATE)


def lock(dependencies: Sequence[Dependency]) -> str:
    """Return the text of a Chart.lock."""
    wanted = [{"name": name, "version": allowed, "repository": place} for name, allowed, place, _ in dependencies]
    pins = [{"name": name, "repository": place, "version": locked} for name, _, place, locked in dependencies]
    value = {"dependencies": pins, "digest": chart_lock.digest(wanted, pins), "generated": "2026-01-01T00:00:00Z"}
    return yaml.safe_dump(value, sort_keys=False)


def family(path: Path) -> Repository:
    """Return a repository of three charts: web depends on api, api on base."""
    repository = Repository(path)
    add(repository, "libs/base")
    add(repository, "apps/api", ("base", "^1.0.0", "file://../../libs/base", "1.0.0"))
    add(repository, "apps/web", ("api", "1.0.0", "file://../api", "1.0.0"), more="appVersion: v2.0.0\n")
    repository.commit("Charts")
    return repository


def archive(name: str, version: str, files: Mapping[str, str] | None = None) -> bytes:
    """Return a chart's archive as others pack it, with times."""
    out = io.BytesIO()
    content = {"Chart.yaml": f"apiVersion: v2\nname: {name}\nversion: {version}\n", **(files or {})}
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, text in content.items():
            info = tarfile.TarInfo(f"{name}/{path}")
            info.size, info.mtime = len(text), 1700000000
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def index(*charts: tuple[str, str, str, bytes]) -> bytes:
    """Return the index of a chart repository: name, version, address and archive of each chart."""
    entries: dict[str, list[object]] = {}
    for name, version, url, data in charts:
        digest = hashlib.sha256(data).hexdigest()
        entries.setdefault(name, []).append({"name": name, "version": version, "urls": [url], "digest": digest})
    return yaml.safe_dump({"apiVersion": "v1", "entries": entries}).encode()


def clone(repository: Repository, place: str, *, also_plain: str = "", **more: object) -> ChartCheckout:
    """Run the step chart-clone in this folder, against a registry's path, without TLS there and in `also_plain`."""
    arguments: dict[str, object] = {"repo": str(repository.path), "chart_registry": place, **more}
    return chart_clone(plain_http=f"{place.partition('/')[0]},{also_plain}", **arguments)


def publish(checkout: ChartCheckout, place: str, archives: str = "archives", **more: object) -> ChartRelease:
    """Run the step chart-publish in this folder, after checks that found nothing more."""
    return chart_publish(
        checkout=checkout,
        report=report(checkout),
        archives=Path(archives),
        chart_registry=place,
        plain_http=place.partition("/")[0],
        **more,
    )


def report(checkout: ChartCheckout) -> ChartReport:
    """Return what chart-check says of charts that Helm finds no fault with."""
    return ChartReport(
        checked=tuple(chart.path for chart in checkout.charts if chart.folder),
        findings=checkout.findings,
        errors=sum(finding.level != "warning" for finding in checkout.findings),
        warnings=0,
    )


def by_name(checkout: ChartCheckout) -> dict[str, ComparedChart]:
    """Return the charts of a checkout by name."""
    return {chart.name: chart for chart in checkout.charts}


def states(checkout: ChartCheckout) -> dict[str, str]:
    """Return the state of each chart by name."""
    return {chart.name: chart.state for chart in checkout.charts}
