"""The step chart-check with the real Helm: everything wrong with every chart, in one report, with its place."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.charts import chart_lock
from pipelines.charts.helm import Helm
from pipelines.charts.kubernetes_schemas import KubernetesSchemas
from pipelines.charts.model import ChartReport
from pipelines.check.charts import chart_check
from pipelines.errors import Misconfigured
from tests.chart_trees import add, clone, family
from tests.git_repositories import Repository
from tests.registry_process import registry

pytestmark = pytest.mark.helm
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: x}}
"""


@pytest.fixture(autouse=True)
def _workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")


def _check(
    tmp_path: Path, repository: Repository, *, kubernetes_schemas: str = "", kubernetes_version: str = ""
) -> ChartReport:
    repository.commit()
    with registry(tmp_path) as address:
        checkout = clone(repository, f"{address}/charts")
    return chart_check(checkout=checkout, kubernetes_schemas=kubernetes_schemas, kubernetes_version=kubernetes_version)


def _lines(report: ChartReport) -> list[str]:
    return [str(finding) for finding in report.findings]


def test_sound_charts_have_no_findings(tmp_path: Path) -> None:
    """Dependencies are rendered with their parents; nothing of it needs a cluster or a configuration."""
    report = _check(tmp_path, family(tmp_path / "repository"))
    assert (report.findings, report.errors, report.warnings) == ((), 0, 0)
    assert report.checked == ("libs/base", "apps/api", "apps/web")


def test_all_findings_of_all_charts(tmp_path: Path) -> None:
    """Each with the file of the repository that is at fault, also where it came through a dependency."""
    repository = family(tmp_path / "repository")
    repository.write("apps/web/templates/nil.yaml", "a: 1\nb: {{ .Values.x.y.z }}\n")
    repository.write(
        "libs/base/templates/indent.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  b:\n c: d\n"
    )
    add(repository, "apps/other")
    repository.write("apps/other/values.yaml", "text: hello\nimage:\n  tag: 5\n")
    repository.write(
        "apps/other/values.schema.json",
        '{"properties": {"image": {"properties": {"tag": {"type": "string"}}}, "text": {"type": "integer"}}}',
    )
    add(repository, "apps/locked", ("base", "1.0.0", "file://../../libs/base", "1.0.0"))
    repository.write("apps/locked/Chart.lock", "dependencies: []\ndigest: sha256:0\ngenerated: x\n")
    report = _check(tmp_path, repository)
    places = {(finding.path, finding.line, finding.rule) for finding in report.findings}
    assert {
        ("apps/web/templates/nil.yaml", 2, "template"),
        ("libs/base/templates/indent.yaml", 6, "yaml"),
        ("apps/other/values.yaml", 3, "values"),
        ("apps/other/values.yaml", 1, "values"),
    } <= places, _lines(report)
    assert any(path.startswith("apps/locked/") and rule == "lock" for path, _, rule in places), _lines(report)
    assert report.errors >= 5


def test_what_comes_through_dependencies(tmp_path: Path) -> None:
    """A file of a chart of this repository is named there, whatever the dependant calls it.

    Of a vendored one, where it lies.
    """
    repository = Repository(tmp_path / "repository")
    add(repository, "dep", ("lib", "1.0.0", "file://../lib", "1.0.0"))
    repository.write("dep/templates/bad.yaml", "\n{{- if .Values.text }}{{ .Values.a.b.c }}{{ end }}\n")
    add(repository, "lib", more="type: library\n")
    repository.write("lib/templates/config.yaml", "").write(
        "lib/templates/_x.tpl", '{{ define "lib.x" }}{{ .Values.a.b.c }}{{ end }}\n'
    )
    add(repository, "user", ("dep", "1.0.0", "file://../dep", "1.0.0"))
    repository.write("user/values.yaml", "text: hello\nother: {text: hello}\n")
    metadata = (repository.path / "user/Chart.yaml").read_text() + "    alias: other\n"
    lock = [{"name": "dep", "version": "1.0.0", "repository": "file://../dep"}]
    digest = chart_lock.digest([{**lock[0], "alias": "other"}], lock)
    repository.write("user/Chart.yaml", metadata)
    repository.write(
        "user/Chart.lock", json.dumps({"dependencies": lock, "digest": digest, "generated": "2026-01-01T00:00:00Z"})
    )
    add(repository, "vendor")
    repository.write("vendor/charts/old/Chart.yaml", "apiVersion: v2\nname: old\nversion: 1.0.0\n")
    repository.write("vendor/charts/old/templates/bad.yaml", "a: 1\n{{ nothing }}\n")
    add(repository, "include", ("lib", "1.0.0", "file://../lib", "1.0.0"))
    repository.write("include/templates/x.yaml", '{{ include "lib.x" . }}\n')
    places = {(finding.chart, finding.path, finding.line) for finding in _check(tmp_path, repository).findings}
    assert {
        ("dep", "dep/templates/bad.yaml", 2),
        ("user", "dep/templates/bad.yaml", 2),
        ("vendor", "vendor/charts/old/templates/bad.yaml", 2),
        ("include", "lib/templates/_x.tpl", 1),
    } <= places, places


def test_a_vendored_chart_may_be_named_by_its_folder(tmp_path: Path) -> None:
    """What lies in a chart's own charts/ is there already, with a lock or without; where it is not, Helm says so."""
    repository = Repository(tmp_path / "repository")
    add(repository, "web", ("sub", "1.0.0", "file://./charts/sub", "1.0.0"))
    add(repository, "web/charts/sub")
    add(repository, "bare", ("sub", "1.0.0", "file://charts/sub", "1.0.0"))
    add(repository, "bare/charts/sub")
    repository.git("rm", "-qf", "bare/Chart.lock")
    assert _check(tmp_path, repository).findings == ()
    repository.git("rm", "-rqf", "web/charts")
    found = _check(tmp_path, repository).findings
    assert {(finding.level, finding.chart) for finding in found} == {("error", "web")}
    assert any("missing in charts/ directory: sub" in finding.text for finding in found)


def test_values_to_try(tmp_path: Path) -> None:
    """Where none is called values, each ci/*.yaml is tried; what only one of them brings about names it."""
    repository = Repository(tmp_path / "repository")
    add(repository, "web")
    repository.write(
        "web/templates/more.yaml",
        'a: {{ required "give w" .Values.w }}\nkind: X\napiVersion: v1\nmetadata: {name: x}\n',
    )
    repository.write("web/ci/good, or not.yaml", "w: 1\n").write("web/ci/none.yaml", "w:\n")
    repository.link("web/ci/secret.yaml", "/etc/passwd").write("web/.helmignore", "ci/\n")
    report = _check(tmp_path, repository)
    found = {(finding.level, finding.path, finding.line): finding.text for finding in report.findings}
    assert found["refused", "web/ci/secret.yaml", 0]
    assert found["warning", "web/templates/more.yaml", 1] == "with the default values alone: give w"
    assert found["error", "web/templates/more.yaml", 1] == "with web/ci/none.yaml: give w"
    assert len(found) == 3, _lines(report)


def test_values_have_a_name_of_their_own_where_any_has_it(tmp_path: Path) -> None:
    """As chart-testing has it: beside `ci/*-values.yaml` lies what configures something else."""
    repository = Repository(tmp_path / "repository")
    add(repository, "web")
    repository.write("web/values.schema.json", '{"additionalProperties": {"type": "string"}}')
    repository.write("web/ci/default-values.yaml", "text: x\n").write("web/ci/kind.yaml", "nodes: []\n")
    assert _check(tmp_path, repository).findings == ()


def test_charts_without_templates_are_charts(tmp_path: Path) -> None:
    """Of dependencies alone, as Helm takes it with an empty folder, which Git does not keep."""
    repository = Repository(tmp_path / "repository")
    add(repository, "base")
    add(repository, "umbrella", ("base", "1.0.0", "file://../base", "1.0.0"))
    repository.git("rm", "-rqf", "umbrella/templates")
    assert _check(tmp_path, repository).findings == ()
    repository.write("umbrella/templates/.gitkeep", "")
    assert _check(tmp_path, repository).findings == ()


def test_the_version_of_kubernetes_is_a_setting(tmp_path: Path) -> None:
    """A chart for a newer Kubernetes than Helm's own can be rendered for it; what is no version is told."""
    repository = Repository(tmp_path / "repository")
    add(repository, "web", more='kubeVersion: ">=1.99.0-0"\n')
    assert "kubeVersion: >=1.99.0-0" in "".join(_lines(_check(tmp_path, repository)))
    assert _check(tmp_path, repository, kubernetes_version="1.99").findings == ()
    with pytest.raises(Misconfigured, match="not a version of Kubernetes"):
        _check(tmp_path, repository, kubernetes_version="1.99 --debug")


def test_values_that_nobody_gives(tmp_path: Path) -> None:
    """A chart that asks for values, with none to try it with, cannot be shown to work."""
    repository = Repository(tmp_path / "repository")
    add(repository, "web")
    repository.write("web/templates/config.yaml", 'a: {{ required "give w" .Values.w }}\n')
    [finding] = _check(tmp_path, repository).findings
    assert (finding.path, finding.line, finding.text) == ("web/templates/config.yaml", 1, "give w")
    assert "ci/*.yaml" in finding.todo


def test_schemas_of_kubernetes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Every violation is found, with its line.

    A kind without a schema is told once, and a missing folder is refused.
    """
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    spec = {"type": "object", "properties": {"replicas": {"type": ["integer", "null"]}}, "required": ["template"]}
    (schemas / "deployment-apps-v1.json").write_text(json.dumps({"properties": {"spec": spec}}))
    repository = Repository(tmp_path / "repository")
    add(repository, "web")
    repository.write("web/templates/deployment.yaml", DEPLOYMENT).write("web/values.yaml", "text: a\nreplicas: many\n")
    report = _check(tmp_path, repository, kubernetes_schemas=str(schemas))
    assert [(f.path, f.line) for f in report.findings if f.rule == "kubernetes"] == [
        ("web/templates/deployment.yaml", 5),
        ("web/templates/deployment.yaml", 6),
    ]
    assert capfd.readouterr().err.count("no schema describes v1 ConfigMap") == 1
    with pytest.raises(Misconfigured, match="no folder"):
        _check(tmp_path, repository, kubernetes_schemas=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"properties": {"spec": {"$ref": "_definitions.json#/definitions/Spec"}}}, "needs another file"),
        ({"properties": {"kind": {"pattern": "("}}}, "a pattern that cannot be used"),
    ],
)
def test_a_schema_that_cannot_be_used_is_told(tmp_path: Path, schema: dict[str, Any], words: str) -> None:
    """Such as one of those that are not standalone."""
    (tmp_path / "pod-v1.json").write_text(json.dumps(schema))
    with pytest.raises(Misconfigured, match=words):
        KubernetesSchemas(tmp_path).check({"apiVersion": "v1", "kind": "Pod", "spec": {}})


def test_a_kind_too_long_for_a_file_has_no_schema(tmp_path: Path) -> None:
    """The object's own words make up the name."""
    assert KubernetesSchemas(tmp_path).check({"apiVersion": "v1", "kind": "K" * 300}) is None


def test_templates_that_read_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lookup` finds nothing, whatever cluster the user has; the user's Helm is neither read nor written."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    for name in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"HELM_{name}_HOME", str(tmp_path / "users"))
    (tmp_path / "kubeconfig").write_text("clusters: [\n")
    repository = Repository(tmp_path / "repository")
    add(repository, "web")
    template = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n"
        '  found: {{ lookup "v1" "Secret" "a" "b" | toJson | quote }}\n'
    )
    repository.write("web/templates/lookup.yaml", template)
    assert _check(tmp_path, repository).findings == ()
    assert not (tmp_path / "users").exists()


@pytest.mark.parametrize(
    ("bound", "template"),
    [
        ({"memory_bytes": 2 << 30}, "a: {{ range until 400000000 }}{{ . }}{{ end }}\n"),
        ({"timeout_seconds": 2}, "a: {{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}\n"),
        ({}, 'a: {{ range until 20 }}{{ repeat 65536 "x" }}{{ end }}\n'),
        ({}, '{{ fail (repeat 1200000 "x") }}\n'),
    ],
)
def test_templates_without_end(
    bound: dict[str, Any], template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chart that takes all memory, or all time, or prints all there is, is a finding; the others are checked."""
    monkeypatch.setattr("pipelines.charts.helm.MOST_OUTPUT", 1 << 20)
    monkeypatch.setattr("pipelines.check.charts.Helm", functools.partial(Helm, **bound))
    repository = family(tmp_path / "repository")
    add(repository, "apps/endless")
    repository.write("apps/endless/templates/bomb.yaml", template)
    report = _check(tmp_path, repository)
    [finding] = [finding for finding in report.findings if finding.chart == "apps/endless"]
    assert (finding.level, finding.path) == ("error", "apps/endless/Chart.yaml")
    told = {"memory_bytes": "memory", "timeout_seconds": "did not finish"}
    assert told.get("".join(bound), "helm prints too much: more than 1048576 characters") in finding.text
    assert set(report.checked) == {"libs/base", "apps/api", "apps/web", "apps/endless"}


def test_what_is_no_yaml_has_its_line(tmp_path: Path) -> None:
    """A chart's own file that cannot be read at all is a finding at its line, said once."""
    repository = Repository(tmp_path / "repository")
    add(repository, "web")
    repository.write("web/Chart.yaml", "apiVersion: v2\nname: [\n")
    [finding] = _check(tmp_path, repository).findings
    assert (finding.path, finding.line) == ("web/Chart.yaml", 3)
    assert finding.text.startswith("not YAML (")


def test_a_program_that_is_not_helm_4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older Helm is named; without any, where it was looked for; behind PATH, where `make tools` built it."""
    old = tmp_path / "bin" / "helm"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'version.BuildInfo{Version:\"v3.20.1\"}'\n")
    old.chmod(0o755)
    monkeypatch.setenv("SHIPWAY_TOOLS", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Misconfigured, match="not Helm 4") as told:
        Helm(tmp_path / "home").version()
    assert "v3.20.1" in told.value.seen
    monkeypatch.delenv("SHIPWAY_TOOLS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    with pytest.raises(Misconfigured, match="no helm") as told:
        Helm(tmp_path / "home")
    default = tmp_path / "caches" / "shipway" / "tools" / "bin"
    assert str(default) in told.value.seen
    shutil.copytree(old.parent, default)
    with pytest.raises(Misconfigured, match="not Helm 4"):
        Helm(tmp_path / "home").version()
