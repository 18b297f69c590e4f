"""The pods that deploy: who holds the login that may push to Git, and what a release fails by."""

from __future__ import annotations

from pipelines import compile as compiled


def test_who_holds_the_login_that_writes() -> None:
    """Neither a build, nor what runs templates, nor what pushes to the registry mounts it."""
    holders = {
        (document["metadata"]["name"], template["name"], container["name"])
        for document in compiled.documents()
        for template in document["spec"]["templates"]
        for container in template.get("containerSet", {}).get("containers", ())
        if "git-write" in {mount["name"] for mount in container["volumeMounts"]}
    }
    assert holders == {("deploy", "deploy", "main"), ("work", "deploy", "charts"), ("work", "deploy", "environments")}


def test_no_container_pushes_to_both() -> None:
    """Whoever takes one container over can write to Git or to the registry, not both."""
    both = [
        (template["name"], container["name"])
        for document in compiled.documents()
        for template in document["spec"]["templates"]
        for container in template.get("containerSet", {}).get("containers", ())
        if {"git-write", "push"} <= {mount["name"] for mount in container["volumeMounts"]}
    ]
    assert both == []


def test_a_release_fails_with_its_deployment() -> None:
    """The verdict does not depend on it: both are leaves, and a DAG fails by its leaves."""
    [document] = [d for d in compiled.documents() if d["metadata"]["name"] == "release"]
    [release] = [t for t in document["spec"]["templates"] if t["name"] == "release"]
    needed = " ".join(task.get("depends", "") for task in release["dag"]["tasks"])
    assert "deploy." not in needed
    assert "verdict." not in needed
