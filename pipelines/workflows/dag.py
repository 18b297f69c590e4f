"""DAGs that go on however a task ends, and the texts of their tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hera.workflows import DAG, Parameter, Task
from hera.workflows import models as m

ENDS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted")


class Unhurried(DAG):
    """A DAG whose failFast is off. Hera would also write it to the template, where it bounds fan-outs."""

    def _build_template(self) -> m.Template:
        found: m.Template = super()._build_template()
        found.fail_fast = None
        return found


def aside(name: str, task: Task, inputs: Sequence[Parameter] = ()) -> DAG:
    """Return a DAG that succeeds however its one task ends."""
    task.continue_on = m.ContinueOn(failed=True, error=True)
    return DAG(name=name, inputs=list(inputs), tasks=[task])


def ended(*tasks: str) -> str:
    """Return the condition that tasks have ended in any way."""
    return " && ".join(f"({' || '.join(f'{task}.{end}' for end in ENDS)})" for task in tasks)


def reference(name: str, template: str = "") -> m.TemplateRef:
    """Return a reference to a template of one of our WorkflowTemplates, by default the first."""
    return m.TemplateRef(name=name, template=template or name)


def inputs(*names: str) -> dict[str, str]:
    """Return arguments that pass a template's inputs on under their own names."""
    return {name: f"{{{{inputs.parameters.{name}}}}}" for name in names}


def outputs(task: str, *names: str) -> dict[str, str]:
    """Return arguments that pass a task's outputs on under their own names."""
    return {name: f"{{{{tasks.{task}.outputs.parameters.{name}}}}}" for name in names}


def arguments(values: Mapping[str, str]) -> list[Parameter]:
    """Return arguments as Hera has them."""
    return [Parameter(name=name, value=value) for name, value in values.items()]


def repeated(task: str, *names: str, otherwise: Mapping[str, str] | None = None) -> list[Parameter]:
    """Return a DAG's outputs that repeat a task's; if the task did not run, those of `otherwise`, else empty."""
    return [
        Parameter(name=name, value_from=m.ValueFrom(parameter=value, default=(otherwise or {}).get(name, "")))
        for name, value in outputs(task, *names).items()
    ]
