"""Pods: which folders a container writes, and whose it reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.images.node import MOST_WAVES
from pipelines.workflows import chart_release, clone_build_push, release
from pipelines.workflows.pod import StepContainer, pod

CLONE, BUILD, MAIN = clone_build_push.CONTAINERS


def mounts(*containers: StepContainer) -> dict[str, dict[str, bool]]:
    """Return, for each container, whether its mount of a folder is read-only, by the folder's name."""
    made = pod("x", containers, results=(), deadline_seconds=1, workspace="1Gi")
    folders = {container.name for container in containers}
    return {
        str(node.name): {m.name: bool(m.read_only) for m in node.volume_mounts or () if m.name in folders}
        for node in made.containers
    }


def test_a_container_writes_its_own_folder_alone() -> None:
    """It reads those that its arguments name, through a read-only mount, and no other."""
    assert mounts(CLONE, BUILD, MAIN) == {
        "clone": {"clone": False},
        "build": {"build": False, "clone": True},
        "main": {"main": False, "clone": True, "build": True},
    }
    unneeded = replace(chart_release.MAIN, fixed={**chart_release.MAIN.fixed, "report": "../clone/out"})
    assert mounts(chart_release.CLONE, chart_release.CHECK, unneeded)["main"] == {"main": False, "clone": True}


@pytest.mark.parametrize("after", [(), ("clone",)])
def test_a_folder_is_read_after_its_container_has_ended(after: tuple[str, ...]) -> None:
    """One that may still be at work could change what was read."""
    with pytest.raises(ValueError, match=r"main reads the folder of (build|build, clone) "):
        mounts(CLONE, BUILD, replace(MAIN, after=after))


def test_a_wave_shows_its_images() -> None:
    """Argo takes a template's annotation for the node's name; each item of a wave passes its own, and one that a person
    starts keeps the node's name.
    """
    templates = {template["name"]: template for template in release.parts().to_dict()["spec"]["templates"]}
    image = templates["clone-build-push"]
    assert image["annotations"] == {"workflows.argoproj.io/display-name": "{{inputs.parameters.title}}"}
    assert {p["name"]: p.get("default") for p in image["inputs"]["parameters"]}["title"] == ""
    tasks = [task for one in templates.values() for task in one.get("dag", {}).get("tasks", [])]
    waves = [task for task in tasks if "withParam" in task]
    # The first stands in what a run begins with, and in what it does after it has waited.
    assert len(waves) == MOST_WAVES + 1
    for task in waves:
        assert {"name": "title", "value": "{{item.title}}"} in task["arguments"]["parameters"]
    assert "annotations" not in templates["verdict"]
