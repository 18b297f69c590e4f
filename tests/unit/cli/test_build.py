"""The Workflow that builds several images: a legal name for each task, and parents before children."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from pipelines.cli import build, declared, running
from pipelines.engines.local import documents as local_documents
from pipelines.engines.local import plan as local_plan
from pipelines.images.names import Image
from pipelines.images.plan_model import ImageJob


def images(*names: str) -> list[Image]:
    """Return images of folders of the same names."""
    return [Image(name=name, path=f"apps/{name}", dockerfile=f"apps/{name}/Dockerfile") for name in names]


def tasks(workflow: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the tasks by name."""
    found = workflow["spec"]["templates"][0]["dag"]["tasks"]
    assert len({task["name"] for task in found}) == len(found)
    return {task["name"]: task for task in found}


def test_task_names_are_legal_and_differ() -> None:
    """What Argo's names do not allow becomes a dash.

    Images that would then share a name get a number, also a taken one.
    """
    found = build.task_names(images("a.b", "a_b", "a-b", "a-b-2", "web"))
    assert list(found) == ["a.b", "a_b", "a-b", "a-b-2", "web"]
    assert list(found.values()) == ["a-b", "a-b-2", "a-b-3", "a-b-2-2", "web"]


def test_children_wait_for_those_parents_that_are_built() -> None:
    """A task depends on the tasks of its parents by their names; a parent outside the run is waited for by nobody."""
    parents = {"base.x": (), "tools": ("base.x",), "web": ("tools", "base.x", "elsewhere"), "alone": ("elsewhere",)}
    found = tasks(build.workflow(images(*parents), parents, {}))
    assert {name: task.get("depends") for name, task in found.items()} == {
        "base-x": None,
        "tools": "base-x",
        "web": "base-x && tools",
        "alone": None,
    }


def test_each_task_gets_the_runs_arguments_and_its_own() -> None:
    """An image's folder, Dockerfile and name are never overridden by what is common to the run."""
    common = {"repo": "https://x.example/r.git", "revision": "c" * 40, "path": "elsewhere"}
    [task] = tasks(build.workflow(images("web"), {}, common)).values()
    assert {p["name"]: p["value"] for p in task["arguments"]["parameters"]} == {
        **common,
        "path": "apps/web",
        "dockerfile": "apps/web/Dockerfile",
        "name": "web",
    }


def test_the_engine_takes_it_with_the_compiled_template(tmp_path: Path) -> None:
    """Every argument is one of clone-build-push's, also a job's, and one failed image does not end the others."""
    values: dict[str, Any] = {field.name: ("x",) if "tuple" in str(field.type) else "x" for field in fields(ImageJob)}
    job = declared.inputs_of(ImageJob(**values))
    assert (job["key"], job["pins"], job["version-tag"]) == ("x", '["x"]', "x")
    common = {"repo": ".", "revision": "main"}
    workflow = build.workflow(images("base", "web"), {"web": ("base",)}, common, {"web": job})
    assert workflow["spec"]["templates"][0]["dag"]["failFast"] is False
    (tmp_path / "build.yaml").write_text(yaml.safe_dump(workflow))
    files = local_documents.load([*sorted(running.TEMPLATES.glob("*.yaml")), tmp_path / "build.yaml"])
    assert (
        local_plan.make(files, "build", {}, config_maps={running.VARIABLES: {}}, secrets=None).workflow.name == "build"
    )
