"""Cases made of our own compiled templates, so that both engines run every pair of features that these use.

A scenario in `scenarios` says what each container does in place of its command; all that an engine acts on (DAGs,
conditions, fan-outs, references, retries, deadlines, mutexes, defaults, exit handlers) is that of charts/shipway/files.
Its file has
    run       name of the document that runs
    pods      by document/template/container: `outputs`, which the container writes, and `shell`, which it runs before
An output that nothing writes is empty, or has its default where the template gives one.
"""

from __future__ import annotations

import copy
import posixpath
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pipelines.engines.local import fields as local_fields
from pipelines.workflows.pod import RESULTS

FILES = Path(__file__).parents[2] / "charts" / "shipway" / "files"
SCENARIOS = Path(__file__).parent / "scenarios"
# Whoever runs the cases has none of the chart's accounts, images and limits; either engine does without.
_LEFT_OUT = {"spec": local_fields.PASSED_OVER["spec"], "template": local_fields.PASSED_OVER["template"]}


def documents(name: str, scenario: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a scenario's documents under names of its own; the first is the one that runs."""
    compiled = _compiled()
    pods = dict(scenario["pods"])
    reached = _reached(scenario["run"], compiled)
    found = [_document(name, compiled[one], pods) for one in reached]
    assert not pods, f"{name}: nothing runs {sorted(pods)}"
    return found


def pod_templates() -> set[str]:
    """Return every template of the compiled documents that makes pods, as document/template."""
    return {
        f"{name}/{template['name']}"
        for name, document in _compiled().items()
        for template in document["spec"]["templates"]
        if "containerSet" in template
    }


@cache
def _compiled() -> dict[str, Any]:
    """Read each compiled file once: every scenario asks for them."""
    return {
        path.stem: yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        for path in sorted(FILES.glob("*.yaml"))
    }


def _reached(name: str, compiled: Mapping[str, Any]) -> list[str]:
    found = [name]
    for one in found:  # grows while it is gone through
        for template in compiled[one]["spec"]["templates"]:
            for task in template.get("dag", {}).get("tasks", ()):
                there = task.get("templateRef", {}).get("name")
                if there and there not in found:
                    found.append(there)
    return found


def _document(name: str, compiled: Mapping[str, Any], pods: dict[str, Any]) -> dict[str, Any]:
    own = compiled["metadata"]["name"]
    left_out = {*_LEFT_OUT["spec"], "templates"}
    spec = {key: copy.deepcopy(value) for key, value in compiled["spec"].items() if key not in left_out}
    spec["templates"] = [_template(name, own, template, pods) for template in compiled["spec"]["templates"]]
    return {
        "apiVersion": compiled["apiVersion"],
        "kind": compiled["kind"],
        "metadata": {"name": _renamed(name, own)},
        "spec": spec,
    }


def _renamed(name: str, document: str) -> str:
    return f"conformance-{name}-{document}"


def _template(name: str, document: str, template: Mapping[str, Any], pods: dict[str, Any]) -> dict[str, Any]:
    made = {key: copy.deepcopy(value) for key, value in template.items() if key not in _LEFT_OUT["template"]}
    for task in made.get("dag", {}).get("tasks", ()):
        if "templateRef" in task:
            task["templateRef"]["name"] = _renamed(name, task["templateRef"]["name"])
    outputs = made.get("outputs", {}).get("parameters", ())
    for container in made.get("containerSet", {}).get("containers", ()):
        told = pods.pop(f"{document}/{template['name']}/{container['name']}", {})
        lines = [told["shell"]] if "shell" in told else []
        if container["name"] == "main":
            lines += _written(outputs, told.get("outputs", {}))
        assert told.keys() <= {"shell", "outputs"}
        for field in ("resources", "securityContext", "envFrom"):
            container.pop(field, None)
        container |= {"image": "busybox", "command": ["sh", "-c", "\n".join(lines) or "exit 0", "sh"]}
    return made


def _written(outputs: list[Mapping[str, Any]], values: Mapping[str, str]) -> list[str]:
    """Return the lines that write a pod's outputs, by paths relative to where its container works.

    Argo reads them below RESULTS, where that folder can be read alone.
    """
    assert values.keys() <= {output["name"] for output in outputs}, values
    lines = []
    for output in outputs:
        source = output["valueFrom"]
        path = posixpath.relpath(source["path"], RESULTS)
        if output["name"] in values:
            write = f"printf %s {shlex.quote(values[output['name']])} > {path}"
        elif "default" not in source:
            write = f"test -e {path} || : > {path}"
        else:
            continue
        lines += [f"mkdir -p {posixpath.dirname(path)}", write]
    return lines
