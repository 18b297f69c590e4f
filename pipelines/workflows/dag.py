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


def deferred(name: str, template: str = "") -> m.TemplateRef:
    """Return the same by an input `constant(template)`: Argo stores what it leads to when a run comes to it.

    What a name leads to that stands there, every run stores as soon as it starts.
    """
    return reference(name, f"{{{{inputs.parameters.{template or name}}}}}")


def constant(name: str) -> Parameter:
    """Return an input whose value is its name."""
    return Parameter(name=name, value=name)


def apart(name: str, task: str, document: str, template: str, passed: Sequence[str]) -> DAG:
    """Return a DAG that passes its inputs to a template of a WorkflowTemplate, and stands for it until it runs."""
    called = Task(name=task, template_ref=deferred(document, template), arguments=arguments(inputs(*passed)))
    return DAG(name=name, inputs=[constant(template), *(Parameter(name=one) for one in passed)], tasks=[called])


def inputs(*names: str) -> dict[str, str]:
    """Return arguments that pass a template's inputs on under their own names."""
    return {name: f"{{{{inputs.parameters.{name}}}}}" for name in names}


def element(name: str, index: int) -> str:
    """Return the list that stands at an index of an input, which is a list of lists."""
    return f"{{{{=toJson(jsonpath(inputs.parameters.{name}, '$[{index}]'))}}}}"


def outputs(task: str, *names: str) -> dict[str, str]:
    """Return arguments that pass a task's outputs on under their own names."""
    return {name: f"{{{{tasks.{task}.outputs.parameters.{name}}}}}" for name in names}


def arguments(values: Mapping[str, str]) -> list[Parameter]:
    """Return arguments as Hera has them."""
    return [Parameter(name=name, value=value) for name, value in values.items()]


def repeated(task: str, *names: str) -> list[Parameter]:
    """Return a DAG's outputs that repeat a task's; empty if the task did not run."""
    return [
        Parameter(name=name, value_from=m.ValueFrom(parameter=value, default=""))
        for name, value in outputs(task, *names).items()
    ]
