"""The Workflow that builds several images of one commit, parents before children.

Each image is a task that refers to the compiled `clone-build-push`, so the local engine and a cluster run the same one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.images.names import Image

TEMPLATE = "clone-build-push"
_NONE: Mapping[str, Mapping[str, str]] = {}
_ILLEGAL = re.compile(r"[^A-Za-z0-9-]")


def task_names(images: Iterable[Image]) -> dict[str, str]:
    """Return the name of each image's task, by the image's name: Argo takes letters, digits and dashes only."""
    names: dict[str, str] = {}
    for image in images:
        base = name = _ILLEGAL.sub("-", image.name)
        number = 2
        while name in names.values():
            name, number = f"{base}-{number}", number + 1
        names[image.name] = name
    return names


def workflow(
    images: Sequence[Image],
    parents: Mapping[str, Iterable[str]],
    arguments: Mapping[str, str],
    inputs: Mapping[str, Mapping[str, str]] = _NONE,
) -> dict[str, Any]:
    """Return the Workflow document; `parents` names, for each image, the siblings that are built before it.

    `arguments` are for every image, `inputs` for some, by name. A parent that is not among `images` is expected in the
    registry.
    """
    names = task_names(images)
    tasks = []
    for image in images:
        own = {"path": image.path, "dockerfile": image.dockerfile, "name": image.name, **inputs.get(image.name, {})}
        waits = sorted(names[parent] for parent in parents.get(image.name, ()) if parent in names)
        task: dict[str, Any] = {
            "name": names[image.name],
            "templateRef": {"name": TEMPLATE, "template": TEMPLATE},
            "arguments": {"parameters": [{"name": key, "value": value} for key, value in {**arguments, **own}.items()]},
        }
        if waits:
            task["depends"] = " && ".join(waits)
        tasks.append(task)
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "build-"},
        "spec": {"entrypoint": "images", "templates": [{"name": "images", "dag": {"failFast": False, "tasks": tasks}}]},
    }
