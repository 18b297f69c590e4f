"""The compiled workflow `deploy`: who holds the login that may push to Git."""

from __future__ import annotations

import json

from pipelines import compile as compiled


def test_one_pod_alone_holds_the_login_that_writes() -> None:
    """Neither a build, nor a step that reads strangers' charts, nor any other template mounts it."""
    holders = {
        (document["metadata"]["name"], template["name"])
        for document in compiled.documents()
        for template in document["spec"]["templates"]
        if "shipway-git-write" in json.dumps(template)
    }
    assert holders == {("deploy", "deploy"), ("work", "deploy")}


def test_a_release_fails_with_its_deployment() -> None:
    """The verdict does not depend on it: both are leaves, and a DAG fails by its leaves."""
    [document] = [d for d in compiled.documents() if d["metadata"]["name"] == "work"]
    [work] = [t for t in document["spec"]["templates"] if t["name"] == "work"]
    needed = " ".join(task.get("depends", "") for task in work["dag"]["tasks"] if task["name"] == "verdict")
    assert "deploy." not in needed
