"""DAGs that go on whatever became of a task, and the small texts that their tasks are written with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hera.workflows import DAG, Parameter, Task
from hera.workflows import models as m

NOTHING = "nothing"
"""A template that succeeds without a pod; whoever uses `either_way` has one of that name."""
ENDS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted")


class Unhurried(DAG):
    """A DAG with failFast off where DAGs have it: Hera writes it onto the template, too, where it bounds fan-outs."""

    def _build_template(self) -> m.Template:
        found: m.Template = super()._build_template()
        found.fail_fast = None
        return found


def either_way(name: str, task: Task, inputs: Sequence[Parameter] = ()) -> DAG:
    """Return a DAG that succeeds whatever becomes of its task: a DAG is what its leaves are, and its leaf succeeds."""
    depends = f"{task.name}.Succeeded || {task.name}.Failed || {task.name}.Errored"
    return DAG(name=name, inputs=list(inputs), tasks=[task, Task(name="either-way", template=NOTHING, depends=depends)])


def ended(*tasks: str) -> str:
    """Return the condition that tasks have ended in whatever way."""
    return " && ".join(f"({' || '.join(f'{task}.{end}' for end in ENDS)})" for task in tasks)


def reference(name: str) -> m.TemplateRef:
    """Return what refers to the first template of a WorkflowTemplate of ours."""
    return m.TemplateRef(name=name, template=name)


def inputs(*names: str) -> dict[str, str]:
    """Return arguments that hand a template's inputs on under their own names."""
    return {name: f"{{{{inputs.parameters.{name}}}}}" for name in names}


def outputs(task: str, *names: str) -> dict[str, str]:
    """Return arguments that hand a task's outputs on under their own names."""
    return {name: f"{{{{tasks.{task}.outputs.parameters.{name}}}}}" for name in names}


def arguments(values: Mapping[str, str]) -> list[Parameter]:
    """Return arguments as Hera has them."""
    return [Parameter(name=name, value=value) for name, value in values.items()]


def repeated(task: str, *names: str, otherwise: Mapping[str, str] | None = None) -> list[Parameter]:
    """Return what a DAG repeats of a task's outputs; where that task did not run, nothing, or what `otherwise` says."""
    return [
        Parameter(name=name, value_from=m.ValueFrom(parameter=value, default=(otherwise or {}).get(name, "")))
        for name, value in outputs(task, *names).items()
    ]
