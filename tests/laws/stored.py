"""What Argo keeps of a run in the cluster's store: its Workflow, computed from the documents that it runs.

As Argo 4.1.2 does it. At its first look it checks the WorkflowTemplate that a run starts, and stores in its status
every template that a reference can reach, those that never run among them (workflow/validate, SetStoredTemplate); the
specification of that WorkflowTemplate stands beside them. A reference by an input it follows when it comes to it. A
node has the inputs and outputs of its template, a pod that may be retried has them twice, and an item of a fan-out
stands whole in the names of its nodes. The cluster's record of who wrote what (managedFields) is left out.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.engines.local import expressions
from pipelines.engines.local.expressions import Dialect
from tests.laws.documents import PARAMETER, Document, called, templates

Outputs = Mapping[str, Mapping[str, str]]
"""What the pods of a run put out, by the names of their templates."""
_TIME = "2026-11-30T23:06:58Z"
_NODE = "10-88-0-2.shipway-testbed"


def size(value: Any) -> int:
    """Return how many bytes a value has as JSON."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def reachable(documents: Mapping[str, Document], started: str) -> dict[str, Document]:
    """Return the templates that Argo stores for a run of a WorkflowTemplate, by the names that it gives them."""
    stored: dict[str, Document] = {}

    def visit(document: str, name: str) -> None:
        key = f"namespaced/{document}/{name}"
        if key not in stored:
            template = _template(documents, document, name)
            stored[key] = _as_go_has_it(template)
            for task in template.get("dag", {}).get("tasks", []):
                if "{{" not in task.get("templateRef", {}).get("template", ""):
                    visit(*called(documents[document], {}, task))

    for template in templates(documents[started]):
        visit(started, template["name"])
    return stored


@dataclass
class Run:
    """A run of a WorkflowTemplate in which every pod succeeds at once."""

    documents: Mapping[str, Document]
    started: str
    outputs: Outputs
    arguments: Mapping[str, str]
    name: str = "push-shop-main-0123456789abcdef"
    nodes: dict[str, Document] = field(default_factory=dict)

    def workflow(self) -> Document:
        """Return the Workflow as it is at its end."""
        spec = self.documents[self.started]["spec"]
        reference = {"template": spec["entrypoint"]}
        self._template(self.name, (self.started, {}), reference, self.arguments, "", "local/")
        if on_exit := spec.get("onExit"):
            self._template(f"{self.name}.onExit", (self.started, {}), {"template": on_exit}, {}, "", "local/")
        given = {"parameters": [{"name": name, "value": value} for name, value in self.arguments.items()]}
        asked = {"arguments": given, "workflowTemplateRef": {"name": self.started}}
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": self.name, "namespace": "ci", "uid": "0" * 36, "labels": {}, "annotations": {}},
            "spec": asked,
            "status": {
                "phase": "Succeeded",
                "startedAt": _TIME,
                "finishedAt": _TIME,
                "progress": "6/6",
                "nodes": self.nodes,
                "storedTemplates": reachable(self.documents, self.started),
                "storedWorkflowTemplateSpec": {**spec, **asked, "templates": [*map(_as_go_has_it, spec["templates"])]},
            },
        }

    def _template(
        self, name: str, at: tuple[str, Document], task: Document, values: Mapping[str, str], bound: str, scope: str
    ) -> tuple[str, dict[str, str]]:
        """Add the nodes of a template, and return its phase and its outputs."""
        document, caller = at
        document, inner = called(self.documents[document], caller, task)
        template = _template(self.documents, document, inner)
        parameters = [
            {**parameter, "value": values.get(parameter["name"], parameter.get("default", ""))}
            for parameter in template.get("inputs", {}).get("parameters", [])
        ]
        known = {f"inputs.parameters.{p['name']}": p["value"] for p in parameters} | {"workflow.name": self.name}
        inputs = {"inputs": {"parameters": parameters}} if parameters else {}
        if "dag" not in template:
            return self._pod(name, template, task, inputs, bound, scope)
        self._add(name, "DAG", task, bound, scope, **inputs)
        inside = scope if scope.endswith(f"/{document}") or document == self.started else f"namespaced/{document}"
        self._tasks(name, document, template, known, inside)
        outputs = [
            {
                "name": output["name"],
                "value": _filled(output["valueFrom"]["parameter"], known, output["valueFrom"].get("default", "")),
            }
            for output in template.get("outputs", {}).get("parameters", [])
        ]
        if outputs:
            self.nodes[_identity(name)]["outputs"] = {"parameters": outputs}
        return "Succeeded", {output["name"]: output["value"] for output in outputs}

    def _tasks(self, name: str, document: str, template: Document, known: dict[str, str], scope: str) -> None:
        phases: dict[str, str] = {}
        for task in template["dag"]["tasks"]:
            below, bound = f"{name}.{task['name']}", _identity(name)
            outputs: dict[str, str] = {}
            phase, message = "Succeeded", ""
            when = _filled(task.get("when", ""), known)
            items = json.loads(_filled(task["withParam"], known)) if "withParam" in task else None
            if task.get("when", "").startswith("{{="):  # whether the run has waited long
                when = "0 > 1"
            if "depends" in task and not _holds(task["depends"], phases):
                phase, message = "Omitted", "omitted: depends condition not met"
            elif when and not expressions.evaluate(expressions.parse(when, Dialect.WHEN), {}):
                phase, message = "Skipped", f"when '{when}' evaluated false"
            elif items == []:
                phase, message = "Skipped", "Skipped, empty params"
            if phase != "Succeeded":
                self._add(below, "Skipped", task, bound, scope, phase=phase, message=message, nodeFlag={})
            elif items is not None:
                self._add(below, "TaskGroup", task, bound, scope)
                for index, item in enumerate(items):
                    label = ",".join(sorted(f"{key}:{_text(part)}" for key, part in item.items()))
                    of_item = {f"item.{key}": _text(part) for key, part in item.items()}
                    of_item["item"] = json.dumps(item, separators=(",", ":"), sort_keys=True)
                    at = f"{below}({index}:{label.replace('(', '').replace(')', '')})"
                    self._template(at, (document, template), task, _arguments(task, {**known, **of_item}), bound, scope)
            else:
                phase, outputs = self._template(
                    below, (document, template), task, _arguments(task, known), bound, scope
                )
            phases[task["name"]] = phase
            known |= {f"tasks.{task['name']}.outputs.parameters.{key}": value for key, value in outputs.items()}

    def _pod(
        self, name: str, template: Document, task: Document, inputs: Document, bound: str, scope: str
    ) -> tuple[str, dict[str, str]]:
        given = self.outputs.get(template["name"], {})
        found = [
            {**output, "value": given.get(output["name"], "")}
            for output in template.get("outputs", {}).get("parameters", [])
        ]
        known = {f"inputs.parameters.{p['name']}": p["value"] for p in inputs.get("inputs", {}).get("parameters", [])}
        display = template.get("annotations", {}).get("workflows.argoproj.io/display-name", "")
        fields: Document = {**inputs, "outputs": {"parameters": found, "exitCode": "0"}}
        if display:
            fields["displayName"] = _filled(display, known)
        self._add(name, "Retry", task, bound, scope, **fields)
        pod = f"{name}(0)"
        placed = {"hostNodeName": _NODE, "taskResultSynced": True, "nodeFlag": {"retried": True}}
        self._add(pod, "Pod", task, bound, scope, **fields, **placed)
        for container in template["containerSet"]["containers"]:
            self._add(
                f"{pod}.{container['name']}", "Container", task, _identity(pod), scope, nodeFlag={"retried": True}
            )
        return "Succeeded", {output["name"]: output["value"] for output in found}

    def _add(self, name: str, kind: str, task: Document, bound: str, scope: str, **fields: Any) -> None:
        reference = (
            {"templateRef": task["templateRef"]} if "templateRef" in task else {"templateName": task["template"]}
        )
        node = {
            "id": _identity(name),
            "name": name,
            "displayName": name.removeprefix(f"{self.nodes.get(bound, {}).get('name', '')}.") if bound else name,
            "type": kind,
            **reference,
            "templateScope": scope,
            "phase": "Succeeded",
            "boundaryID": bound,
            "startedAt": _TIME,
            "finishedAt": _TIME,
        }
        if kind != "Skipped":
            node |= {"progress": "1/1", "children": [_identity(name)]}
        if kind not in {"Skipped", "Container"}:
            node |= {"resourcesDuration": {"cpu": 10, "memory": 100}}
        if kind == "DAG":
            node |= {"outboundNodes": [_identity(name)]}
        self.nodes[_identity(name)] = {**node, **fields}


def _template(documents: Mapping[str, Document], document: str, name: str) -> Document:
    return next(template for template in templates(documents[document]) if template["name"] == name)


def _as_go_has_it(template: Document) -> Document:
    """Return a template with the empty fields that Go writes."""
    found = {"inputs": {}, "outputs": {}, "metadata": {}, **template}
    if "dag" in template:
        tasks = [{"arguments": {}, **task} for task in template["dag"]["tasks"]]
        found["dag"] = {**template["dag"], "tasks": tasks}
    return found


def _identity(name: str) -> str:
    return f"{name.partition('.')[0]}-{zlib.crc32(name.encode()):010d}" if "." in name else name


def _filled(text: str, known: Mapping[str, str], otherwise: str = "") -> str:
    return PARAMETER.sub(lambda match: known.get(match[1]) or _filled(otherwise, known), text)


def _arguments(task: Document, known: Mapping[str, str]) -> dict[str, str]:
    given = task.get("arguments", {}).get("parameters", [])
    return {parameter["name"]: _filled(parameter["value"], known) for parameter in given}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _holds(depends: str, phases: Mapping[str, str]) -> bool:
    """Whether a condition of `depends` is met, where no item of a fan-out fails."""

    def result(name: str) -> bool:
        task, _, word = name.partition(".")
        return phases[task] == word.removeprefix("Any")

    return expressions.evaluate(expressions.parse_depends(depends), result)
