"""The WorkflowTemplates that events start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAME = "release"
PROPOSAL = "review"
"""What may come from strangers: a pull request, a comment."""
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
        """Return what a compiled WorkflowTemplate says; raises ValueError where it cannot be started by an event."""
        parameters = document["spec"].get("arguments", {}).get("parameters", [])
        found = cls(
            name=document["metadata"]["name"],
            parameters=tuple(parameter["name"] for parameter in parameters),
            required=frozenset(p["name"] for p in parameters if "value" not in p and "valueFrom" not in p),
        )
        if ARGUMENT not in found.parameters:
            raise ValueError(f"{found.name} has no argument {ARGUMENT}")
        if others := found.required - {ARGUMENT}:
            raise ValueError(f"{found.name} needs {', '.join(sorted(others))}, which no event says")
        return found

    def workflow(self, name: str) -> dict[str, Any]:
        """Return a run of it, its name to be ended and its event to be set."""
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
        """Return where the value of an argument stands in a run; raises ValueError where the run lacks it."""
        names = [given["name"] for given in workflow["spec"]["arguments"]["parameters"]]
        return f"spec.arguments.parameters.{names.index(parameter)}.value"


CONTRACT = tuple(TriggerTarget(name=name, parameters=(ARGUMENT,), required=frozenset({ARGUMENT})) for name in NAMES)
"""What events start, whichever way they are made: `release`, what cannot publish, and what the night starts."""
