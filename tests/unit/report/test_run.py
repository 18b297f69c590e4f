"""What a Workflow's document says of a run's failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from pipelines.report import run as report_run
from pipelines.report import text as report_text
from pipelines.report.causes import Causes
from pipelines.tools.kubernetes import Kubernetes

FILES = Path(__file__).parents[3] / "charts" / "shipway" / "files"
CONTAINERS = [
    (document["metadata"]["name"], template, container["name"])
    for file in sorted(FILES.glob("*.yaml"))
    for document in yaml.load_all(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    for template in document["spec"]["templates"]
    for container in template.get("containerSet", {}).get("containers", ())
]


def node(name: str, kind: str = "Pod", phase: str = "Succeeded", **fields: Any) -> dict[str, Any]:
    """Return a node whose id is its name."""
    return {"id": name, "name": name, "displayName": name.rpartition(".")[2], "type": kind, "phase": phase, **fields}


def run(*nodes: dict[str, Any]) -> dict[str, Any]:
    """Return the document of a run `r`."""
    return {"metadata": {"name": "r"}, "spec": {}, "status": {"nodes": {one["id"]: one for one in nodes}}}


def test_the_last_attempt_counts() -> None:
    """One that failed and then succeeded is no failure; an exit handler's is none of the run's."""
    reference = {"name": "clone-build-push", "template": "clone-build-push"}
    found = report_run.failed_pods(
        run(
            node("r", "DAG", "Failed"),
            node("r.plan", "Retry", children=["r.plan(0)", "r.plan(1)"], templateName="plan"),
            node("r.plan(0)", phase="Failed", templateName="plan", message="main: Error (exit code 75)"),
            node("r.plan(1)", templateName="plan"),
            node("r.wave-1(0:name:web)", "Retry", "Failed", children=["w0", "w1"], templateRef=reference),
            node("w0", phase="Failed", templateRef=reference, message="clone: Error (exit code 75)"),
            {
                **node("r.wave-1(0:name:web)(1)", phase="Failed", templateRef=reference),
                "id": "w1",
                "message": "build: Error (exit code 1)",
                "inputs": {"parameters": [{"name": "name", "value": "web"}]},
            },
            node("b", "Container", "Failed", boundaryID="w1", message="Error (exit code 1)"),
            node("m", "Container", "Failed", boundaryID="w1", message='Error (exit code 64): dependency "b" failed'),
            node("r.onExit.report(0)", phase="Failed", templateName="report-final"),
        )
    )
    assert [(pod.name, pod.subject, pod.container, pod.code) for pod in found] == [("wave-1", "web", "b", 1)]
    assert found[0].pod.startswith("r-clone-build-push-")


def test_pods_are_named_as_argo_names_them() -> None:
    """As seen on a cluster."""
    assert (
        report_run.pod_name("rel-rv8vt", node("rel-rv8vt.decode(0)", templateName="decode"))
        == "rel-rv8vt-decode-359586692"
    )
    assert report_run.pod_name("r", node("r")) == "r"


def test_a_retried_step_puts_out_what_its_last_attempt_did() -> None:
    def given(value: str, at: str) -> dict[str, Any]:
        return {
            "outputs": {"parameters": [{"name": "lane", "value": value}]},
            "startedAt": at,
            "templateName": "start",
        }

    document = run(
        node("b", **given("ignored", "2026-11-24T01:00:00Z")), node("a", **given("trusted", "2026-11-24T02:00:00Z"))
    )
    assert report_run.outputs(document, "start") == {"lane": "trusted"}
    assert report_run.outputs(document, "plan") == {}


@pytest.mark.parametrize(
    ("of", "template", "container"), CONTAINERS, ids=[f"{of}-{one['name']}-{name}" for of, one, name in CONTAINERS]
)
def test_whatever_fails_is_told_with_its_step(of: str, template: dict[str, Any], container: str) -> None:
    """Of every container of every template: what it does, in words of people, and the error that it wrote."""
    reference = {"name": of, "template": template["name"]}
    message = f"{container}: Error (exit code 1): "
    document = run(
        node("r.x", phase="Failed", templateRef=reference, message=message),
        node("c", "Container", "Failed", boundaryID="r.x", message=message) | {"displayName": container},
    )
    document["status"]["storedTemplates"] = {f"namespaced/{of}/{template['name']}": template}

    class Logs:
        def log(self, pod: str, name: str) -> list[str]:
            return [f"shipway: no {name}", "  seen: remote: denied"]

    causes = Causes(cluster=cast(Kubernetes, Logs()), workflow=document)
    told = report_text.headline(None, causes.failures(None))
    if template["name"] in {"begin-pod", "impact"}:  # which fail no run
        assert told == ""
        return
    if (template["name"], container) in {("try-images", "build"), ("try-charts", "check")}:  # a stranger's words
        assert told == "x failed"
        return
    title, _, words = told.partition(": its ")
    step, _, rest = words.partition(" failed")
    assert (title, rest) == ("x", f": no {container}: remote: denied")
    assert step not in {"", "main", "again", template["name"] if container != "main" else ""}


def test_the_container_that_failed_first_is_the_cause() -> None:
    """Argo names the first by name, which may have been ended, or not started, because of another one."""
    codes = {"clone": "OOMKilled (exit code 137)", "build": "Error (exit code 143)", "main": "Error (exit code 64)"}
    ended = {name: f"{name}: {text}: " for name, text in codes.items()}
    pod = node("w", phase="Failed", templateName="clone-build-push", message="build: Error (exit code 143)")
    containers = [
        node(name, "Container", "Failed", boundaryID="w", message=text) | {"displayName": name}
        for name, text in ended.items()
    ]
    for order in (containers, containers[::-1]):
        [found] = report_run.failed_pods(run(pod, *order))
        assert (found.container, found.code, found.ended) == ("clone", 137, ended["clone"])
    evicted = "The node was low on resource: memory."
    [found] = report_run.failed_pods(run({**pod, "message": evicted}, *containers))
    assert (found.code, found.ended) == (None, evicted)
