"""The WorkflowTemplates that events start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAME = "release"
PROPOSAL = "review"
"""For what strangers may send: a pull request, a comment."""
NIGHTLY = "reconcile"
NAMES = (NAME, PROPOSAL, NIGHTLY)
ARGUMENT = "event"


@dataclass(frozen=True, kw_only=True)
class TriggerTarget:
    """A WorkflowTemplate as a trigger needs to know it."""

    name: str
    parameters: tuple[str, ...]
    """The names of its arguments."""
    required: frozenset[str]
    """Those without a value."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> TriggerTarget:
        """Return the target of a compiled WorkflowTemplate; raises ValueError if an event cannot start it."""
        parameters = document["spec"].get("arguments", {}).get("parameters", [])
        target = cls(
            name=document["metadata"]["name"],
            parameters=tuple(parameter["name"] for parameter in parameters),
            required=frozenset(p["name"] for p in parameters if "value" not in p and "valueFrom" not in p),
        )
        if ARGUMENT not in target.parameters:
            raise ValueError(f"{target.name} has no argument {ARGUMENT}")
        if others := target.required - {ARGUMENT}:
            raise ValueError(f"{target.name} needs {', '.join(sorted(others))}, which no event says")
        return target

    def workflow(self, name: str) -> dict[str, Any]:
        """Return a run of it; a trigger completes its name and sets its event."""
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {
                "name": name,
                "labels": {"app.kubernetes.io/name": "shipway", "app.kubernetes.io/component": "run"},
            },
            "spec": {
                "workflowTemplateRef": {"name": self.name},
                "arguments": {"parameters": [{"name": ARGUMENT, "value": ""}]},
            },
        }

    def path(self, workflow: Mapping[str, Any], parameter: str) -> str:
        """Return the path of an argument's value in a run; raises ValueError if the run lacks it."""
        names = [given["name"] for given in workflow["spec"]["arguments"]["parameters"]]
        return f"spec.arguments.parameters.{names.index(parameter)}.value"


CONTRACT = tuple(TriggerTarget(name=name, parameters=(ARGUMENT,), required=frozenset({ARGUMENT})) for name in NAMES)
"""What the Sensor needs of `release`, `review` and `reconcile`."""
