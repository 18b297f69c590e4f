"""What does not run here is refused by document and path before anything starts."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.engines.local import documents as local_documents
from pipelines.engines.local import engine as local_engine
from pipelines.engines.local import fields as local_fields
from pipelines.engines.local.reporter import PlainReporter
from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError

DOCUMENT = yaml.safe_load("""
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: flow}
spec:
  entrypoint: all
  onExit: bye
  arguments: {parameters: [{name: x, value: a}]}
  templates:
  - name: all
    inputs: {parameters: [{name: x}]}
    dag:
      tasks:
      - {name: one, template: pod, arguments: {parameters: [{name: x, value: "{{inputs.parameters.x}}"}]}}
      - name: two
        template: pod
        depends: one
        arguments: {parameters: [{name: x, value: "{{tasks.one.outputs.parameters.y}}"}]}
    outputs: {parameters: [{name: y, valueFrom: {parameter: "{{tasks.two.outputs.parameters.y}}"}}]}
  - name: pod
    inputs: {parameters: [{name: x}]}
    outputs: {parameters: [{name: y, valueFrom: {path: /work/y}}]}
    retryStrategy: {limit: 1, backoff: {duration: 1s}}
    volumes: [{name: work, emptyDir: {}}, {name: login, secret: {secretName: login, optional: true}}]
    container:
      image: busybox
      workingDir: /work
      env: [{name: A, value: b}]
      volumeMounts: [{name: work, mountPath: /work}, {name: login, mountPath: /login}]
      command: [sh, -c, 'touch "$TOUCHED"; : > y']
  - name: bye
    container: {image: busybox, command: [sh, -c, "exit 0"]}
  - name: unreachable
    script: {image: python, source: "print()"}
""")


def at(document: Any, path: str) -> tuple[Any, Any]:
    """Return the container and the key that a path such as spec.templates.1.container names."""
    *above, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    for part in above:
        document = document[part]
    return document, last


def run(tmp_path: Path, document: Any, monkeypatch: pytest.MonkeyPatch, **arguments: str) -> None:
    """Run a document; whatever it starts leaves a file `touched`."""
    monkeypatch.setenv("TOUCHED", str(tmp_path / "touched"))
    file = tmp_path / "flow.yaml"
    file.write_text(json.dumps(document))
    local_engine.run(
        local_documents.load([file]),
        "flow",
        arguments,
        config_maps={},
        secrets=tmp_path,
        folder=tmp_path / "run",
        jobs=1,
        reporter=PlainReporter(),
    )


def test_a_document_that_is_only_referred_to_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = copy.deepcopy(DOCUMENT)
    del document["spec"]["entrypoint"]
    with pytest.raises(Misuse, match="flow is not started by itself"):
        run(tmp_path, document, monkeypatch)
    assert not (tmp_path / "touched").exists()


def test_the_document_itself_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unchanged it runs, although a template that nobody reaches could not."""
    run(tmp_path, DOCUMENT, monkeypatch)
    assert (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("spec.hooks", {}, "flow: spec.hooks"),
        ("spec.templateDefaults", {"timeout": "1m"}, "flow: spec.templateDefaults"),
        ("spec.retryStrategy", {"limit": 1}, "flow: spec.retryStrategy"),
        ("spec.suspend", True, "flow: spec.suspend"),
        ("spec.templates.0.steps", [], "flow: spec.templates[0].steps"),
        ("spec.templates.0.timeout", "5m", "flow: spec.templates[0].timeout"),
        ("spec.templates.0.dag.target", "one", "flow: spec.templates[0].dag.target"),
        ("spec.templates.0.dag.tasks.1.continueOn", {"failed": True}, "dag.tasks[1].continueOn"),
        ("spec.templates.0.dag.tasks.1.withSequence", {"count": 1}, "dag.tasks[1].withSequence"),
        ("spec.templates.0.dag.tasks.1.hooks", {}, "dag.tasks[1].hooks"),
        ("spec.templates.0.dag.tasks.1.inline", {}, "dag.tasks[1].inline"),
        ("spec.templates.0.dag.tasks.1.depends", "one.Daemoned", "dag.tasks[1].depends"),
        ("spec.templates.0.dag.tasks.1.depends", "nobody", "'nobody'"),
        ("spec.templates.0.dag.tasks.1.depends", "one.AllFailed", "one has no items"),
        ("spec.templates.0.dag.tasks.0.depends", "two", "circle"),
        ("spec.templates.0.dag.tasks.1.when", "a b == c", "dag.tasks[1].when"),
        ("spec.templates.0.dag.tasks.1.template", "all", "calls itself"),
        ("spec.templates.0.dag.tasks.1.template", "nothing", "no template 'nothing'"),
        ("spec.templates.0.dag.tasks.1.template", "unreachable", "templates[3].script"),
        ("spec.templates.0.dag.tasks.1.arguments.parameters", [], "gives no 'x'"),
        ("spec.templates.0.dag.tasks.1.arguments.parameters.0.name", "z", "argument 'z'"),
        ("spec.templates.0.dag.tasks.1.arguments.parameters.0.value", "{{tasks.one.outputs.result}}", "outputs.result"),
        (
            "spec.templates.0.dag.tasks.1.arguments.parameters.0.value",
            "{{tasks.one.outputs.parameters.z}}",
            "parameters.z",
        ),
        (
            "spec.templates.0.dag.tasks.0.arguments.parameters.0.value",
            "{{tasks.two.outputs.parameters.y}}",
            "tasks.two",
        ),
        ("spec.templates.0.dag.tasks.1.arguments.parameters.0.value", "{{=sprig.env('HOME')}}", "expression"),
        ("spec.templates.0.dag.tasks.1.arguments.parameters.0.value", "{{item}}", "{{item}}"),
        ("spec.templates.0.dag.tasks.1.arguments.parameters.0.value", "{{inputs.parameters.x", "without closing"),
        (
            "spec.templates.0.outputs.parameters.0.valueFrom.parameter",
            "{{tasks.two.outputs.parameters.z}}",
            "parameters.z",
        ),
        ("spec.templates.0.outputs.parameters.0.valueFrom", {"expression": "1"}, "valueFrom.expression"),
        ("spec.templates.0.outputs.parameters.0.globalName", "g", "parameters[0].globalName"),
        ("spec.templates.1.daemon", True, "flow: spec.templates[1].daemon"),
        ("spec.templates.1.memoize", {}, "flow: spec.templates[1].memoize"),
        ("spec.templates.1.sidecars", [], "flow: spec.templates[1].sidecars"),
        ("spec.templates.1.initContainers", [], "flow: spec.templates[1].initContainers"),
        ("spec.templates.1.failFast", True, "flow: spec.templates[1].failFast"),
        ("spec.templates.1.podSpecPatch", "{}", "flow: spec.templates[1].podSpecPatch"),
        ("spec.templates.1.podSpecPatch", "volumes: []", "flow: spec.templates[1].podSpecPatch"),
        ("spec.templates.1.podSpecPatch", '{"volumes": [{"name": "work"}]}', "the source of the volume exec-sa-token"),
        ("spec.templates.1.podSpecPatch", '{"volumes": [], "containers": []}', "flow: spec.templates[1].podSpecPatch"),
        ("spec.podSpecPatch", '{"containers": []}', "flow: spec.podSpecPatch"),
        ("spec.templates.1.timeout", "300", "flow: spec.templates[1].timeout"),
        ("spec.templates.1.activeDeadlineSeconds", "{{inputs.parameters.x}}", "activeDeadlineSeconds"),
        ("spec.templates.1.inputs.artifacts", [], "flow: spec.templates[1].inputs.artifacts"),
        ("spec.templates.1.inputs.parameters.0.value", "{{inputs.parameters.y}}", "inputs.x"),
        ("spec.templates.1.outputs.parameters.0.valueFrom.path", "/tmp/y", "/tmp/y is on no volume"),
        ("spec.templates.1.outputs.parameters.0.valueFrom.path", "/work/../../y", "absolute path"),
        ("spec.templates.1.retryStrategy", {}, "a limit expected"),
        ("spec.templates.1.retryStrategy.retryPolicy", "OnTransientError", "retryPolicy"),
        ("spec.templates.1.retryStrategy.expression", "lastRetry.foo == 1", "retryStrategy.expression"),
        ("spec.templates.1.retryStrategy.backoff.duration", "soon", "backoff.duration"),
        ("spec.templates.1.volumes.0", {"name": "work", "hostPath": {"path": "/"}}, "volumes[0].hostPath"),
        ("spec.templates.1.volumes.1.secret.secretName", "{{inputs.parameters.x}}", "secretName"),
        ("spec.templates.1.container.workingDir", "/elsewhere", "/elsewhere, which is on no volume"),
        ("spec.templates.1.container.workingDir", "work", "workingDir"),
        ("spec.templates.1.container.lifecycle", {}, "flow: spec.templates[1].container.lifecycle"),
        ("spec.templates.1.container.envFrom", [{"secretRef": {"name": "x"}}], "container.envFrom[0].secretRef"),
        ("spec.templates.1.container.env.0.valueFrom", {"fieldRef": {}}, "env[0].valueFrom.fieldRef"),
        ("spec.templates.1.container.volumeMounts.0.subPath", "x", "volumeMounts[0].subPath"),
        ("spec.templates.1.container.volumeMounts.1.name", "nothing", "'nothing', which is not a volume"),
        ("spec.templates.1.container.volumeMounts.1.mountPath", "/work", "mounted twice"),
        (
            "spec.templates.1.container.volumeMounts.1",
            {"name": "work", "mountPath": "/work/in"},
            "/work/in lies in /work, and volume 'work' is mounted at another path",
        ),
        (
            "spec.templates.1.volumes.0",
            {"name": "work", "projected": {"sources": [{"secret": {"name": "login"}}]}},
            "volumes[0].projected.sources[0].secret",
        ),
        (
            "spec.templates.1.volumes.0",
            {"name": "work", "projected": {"sources": [{"configMap": {"name": "files"}}]}},
            "only a token of an account can be projected",
        ),
        ("spec.templates.1.container.command", None, "no command"),
        ("spec.templates.1.container.command", ["{{inputs.parameters.x}}"], "may not choose the program"),
        ("spec.templates.1.container.command", ["sh", "{{workflow.failures}}"], "workflow.failures"),
        ("spec.templates.1.container.command", ["sh", "{{workflow.status}}"], "workflow.status"),
        ("spec.templates.2.resource", {}, "flow: spec.templates[2].resource"),
    ],
)
def test_a_refusal_names_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, value: Any, named: str
) -> None:
    """Each is refused, the message names it, and nothing has started: no command, no folder."""
    document = copy.deepcopy(DOCUMENT)
    container, key = at(document, path)
    container[key] = value
    with pytest.raises(Refused) as caught:
        run(tmp_path, document, monkeypatch)
    assert named in str(caught.value)
    assert not (tmp_path / "touched").exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("container", "named"),
    [
        ({"name": "wait", "command": ["x"]}, "containers[0].name"),
        ({"name": "main", "command": ["x"], "dependencies": ["nobody"]}, "dependencies[0]"),
        ({"name": "main", "command": ["x"], "dependencies": ["main"]}, "circle"),
        ({"name": "main", "command": ["x"], "ports": []}, "containers[0].ports"),
    ],
)
def test_a_refused_container_of_a_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: dict[str, Any], named: str
) -> None:
    """Containers of a set are checked one by one."""
    document = copy.deepcopy(DOCUMENT)
    document["spec"]["templates"][2] = {"name": "bye", "containerSet": {"containers": [container]}}
    with pytest.raises(Refused) as caught:
        run(tmp_path, document, monkeypatch)
    assert named in str(caught.value)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"y": "1"}, Misuse, "'y'"),
        ({"x": "{{workflow.uid}}"}, Misuse, "{{"),
        ({"x": "bell\x07"}, Misuse, "x07"),
        ({"x": "feature/\U0001fae9"}, Refused, "parameter x is refused\n  seen: it holds the character '\\U0001fae9'"),
    ],
)
def test_refused_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, str], error: type[ShipwayError], named: str
) -> None:
    """An argument that does not exist, or that Argo would evaluate or could not carry, is a misuse."""
    with pytest.raises(error) as caught:
        run(tmp_path, DOCUMENT, monkeypatch, **arguments)
    assert named in str(caught.value)
    assert not (tmp_path / "touched").exists()


def test_a_missing_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every argument that is missing is named at once."""
    document = copy.deepcopy(DOCUMENT)
    document["spec"]["arguments"]["parameters"] = [{"name": "x"}, {"name": "z"}]
    with pytest.raises(Misuse, match="x, z"):
        run(tmp_path, document, monkeypatch)


def test_an_argument_outside_its_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An enum is a promise."""
    document = copy.deepcopy(DOCUMENT)
    document["spec"]["arguments"]["parameters"] = [{"name": "x", "value": "a", "enum": ["a", "b"]}]
    with pytest.raises(Misuse, match="a, b"):
        run(tmp_path, document, monkeypatch, x="c")


def test_a_missing_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Secret that is not optional must be there, and the message says where it was looked for."""
    document = copy.deepcopy(DOCUMENT)
    document["spec"]["templates"][1]["volumes"][1]["secret"]["optional"] = False
    with pytest.raises(Misconfigured, match="'login'") as caught:
        run(tmp_path, document, monkeypatch)
    assert str(tmp_path / "login") in str(caught.value)


@pytest.mark.parametrize("optional", [True, False])
def test_a_missing_key_of_a_config_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optional: bool) -> None:
    """The key is named, unless it may be missing."""
    document = copy.deepcopy(DOCUMENT)
    ref = {"name": "shipway", "key": "registry", "optional": optional}
    document["spec"]["templates"][1]["container"]["env"] = [{"name": "R", "valueFrom": {"configMapKeyRef": ref}}]
    if optional:
        run(tmp_path, document, monkeypatch)
    else:
        with pytest.raises(Misconfigured, match="'registry'"):
            run(tmp_path, document, monkeypatch)


def test_two_documents_of_one_name(tmp_path: Path) -> None:
    """Which one is meant cannot be known."""
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(json.dumps(DOCUMENT))
    with pytest.raises(Refused, match="flow"):
        local_documents.load([tmp_path / "a.yaml", tmp_path / "b.yaml"])


def test_every_field_stands_in_one_table_alone() -> None:
    """What is passed over is not read, and has a reason."""
    for kind, reasons in local_fields.PASSED_OVER.items():
        assert not local_fields.READ[kind] & reasons.keys()
        assert all(reasons.values())
