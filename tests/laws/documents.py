"""Walking compiled documents: every place with its path, and the templates in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]
_CONTAINER = re.compile(r"(?:^|\.)(?:container|script|(?:containers|initContainers|sidecars)\[\d+\])$")
PARAMETER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give every place of a document with its path, parents first."""
    yield path, value
    if isinstance(value, dict):
        for key, child in value.items():
            yield from walk(child, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from walk(child, f"{path}[{index}]")


def texts(value: Any) -> Iterator[tuple[str, str]]:
    """Give every text of a document with its path."""
    for path, child in walk(value):
        if isinstance(child, str):
            yield path, child


def templates(document: Document) -> list[Document]:
    """Return the templates of a WorkflowTemplate."""
    return list(document["spec"].get("templates", []))


def called(document: Document, caller: Document, task: Document) -> tuple[str, str]:
    """Return the names of the WorkflowTemplate and of the template that a task of a template calls."""
    reference = task.get("templateRef") or {"name": document["metadata"]["name"], "template": task["template"]}
    inputs = caller.get("inputs", {}).get("parameters", [])
    fixed = {f"{{{{inputs.parameters.{one['name']}}}}}": one["value"] for one in inputs if "value" in one}
    return reference["name"], fixed.get(reference["template"], reference["template"])


def every_container(document: Document) -> Iterator[tuple[str, Document]]:
    """Give each container of a document of any kind with its path, those of what a controller makes of it too."""
    for path, value in walk(document.get("spec", {})):
        if _CONTAINER.search(path):
            yield path, value
    if "jetstream" in document.get("spec", {}):
        for name in ("containerTemplate", "reloaderContainerTemplate", "metricsContainerTemplate"):
            yield name, document["spec"]["jetstream"].get(name, {})


def containers(template: Document) -> list[Document]:
    """Return the containers of a template, whatever its kind."""
    found = list(template.get("containerSet", {}).get("containers", []))
    found += [template[kind] for kind in ("container", "script") if kind in template]
    return found + list(template.get("initContainers", [])) + list(template.get("sidecars", []))
