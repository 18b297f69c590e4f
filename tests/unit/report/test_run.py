"""What a Workflow's document says of a run's failures."""

from __future__ import annotations

from typing import Any

from pipelines.report import run as report_run


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
