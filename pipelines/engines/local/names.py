"""Checks that every `{{…}}` of a template has a value, as far as this can be known before a run."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.engines.local import expressions, substitution
from pipelines.engines.local.definition import Dag, Task, Template, TemplateName
from pipelines.engines.local.expressions import Dialect, ExpressionError
from pipelines.errors import Refused

ITEM = "item"
RETRIES = "retries"
"""The number of earlier attempts of a pod."""


def check_inputs(template: Template, known: frozenset[str]) -> None:
    """Refuse defaults that read more than the workflow's own names, and mutexes that read more than the inputs."""
    for parameter in template.inputs:
        _check(parameter.value or "", known, f"{template.where}.inputs.{parameter.name}")
    for name in template.mutexes:
        _check(name, known | _inputs(template), f"{template.where}.synchronization")


def check_pod(template: Template, known: frozenset[str]) -> None:
    """Refuse commands and variables that read unknown names."""
    assert template.pod is not None
    known = known | _inputs(template) | (frozenset({RETRIES}) if template.retry else frozenset())
    for container in template.pod.containers:
        for text in (*container.command, *(variable.value for variable in container.env)):
            _check(text, known, f"{template.where}, container {container.name}")


def check_dag(template: Template, templates: Mapping[TemplateName, Template], known: frozenset[str]) -> None:
    """Refuse unknown or circular dependencies, names of later tasks, and wrong arguments."""
    dag = template.dag
    assert dag is not None
    tasks = {task.name: task for task in dag.tasks}
    if not tasks or len(tasks) != len(dag.tasks):
        raise Refused(f"{template.where}.dag has no task, or two of one name")
    _check_depends(dag, tasks)
    before = ancestors(dag)
    known = known | _inputs(template)
    for task in dag.tasks:
        names = known.union(*(_outputs(tasks[name], templates[tasks[name].template]) for name in before[task.name]))
        _check_task(task, templates[task.template], names)
    every = known.union(*(_outputs(task, templates[task.template]) for task in dag.tasks))
    for output in template.outputs:
        _check("{{" + output.reference + "}}", every, f"{template.where}.outputs.{output.name}")
        _check(output.default or "", known, f"{template.where}.outputs.{output.name}.default")


def ancestors(dag: Dag) -> dict[str, frozenset[str]]:
    """Return all tasks that come before each task; raises Refused for a circle."""
    found: dict[str, frozenset[str]] = {}
    waiting = list(dag.tasks)
    while waiting:
        ready = [task for task in waiting if all(name in found for name in task.ancestors)]
        if not ready:
            circle = ", ".join(task.name for task in waiting)
            raise Refused("tasks wait for each other in a circle", seen=f"{waiting[0].where}: {circle}")
        for task in ready:
            found[task.name] = frozenset(task.ancestors).union(*(found[name] for name in task.ancestors))
        waiting = [task for task in waiting if task.name not in found]
    return found


def _check_depends(dag: Dag, tasks: Mapping[str, Task]) -> None:
    for task in dag.tasks:
        for name in expressions.names(task.depends) if task.depends is not None else ():
            needed, _, result = name.partition(".")
            if needed not in tasks:
                raise Refused(
                    f"{task.where} depends on {needed!r}, which is not a task", todo=f"one of {', '.join(tasks)}"
                )
            if result in expressions.OF_ITEMS and not tasks[needed].fans_out:
                raise Refused(f"{task.where} depends on {name}, but {needed} has no items")


def _check_task(task: Task, called: Template, names: frozenset[str]) -> None:
    inputs = {parameter.name: parameter for parameter in called.inputs}
    for name in task.arguments:
        if name not in inputs:
            raise Refused(
                f"{task.where} gives argument {name!r}",
                seen=f"{called.id} has no such input",
                todo=f"its inputs: {', '.join(inputs) or 'none'}",
            )
    for parameter in inputs.values():
        if parameter.name not in task.arguments and parameter.value is None and parameter.config_map is None:
            raise Refused(f"{task.where} gives no {parameter.name!r}", seen=f"{called.id} needs it")
    _check(task.with_param or "", names, f"{task.where}.withParam")
    with_item = frozenset({ITEM}) if task.fans_out else frozenset()
    for name, text in task.arguments.items():
        _check(text, names | with_item, f"{task.where}.arguments.{name}", is_item=task.fans_out)
    _check(task.when, names | with_item, f"{task.where}.when", is_item=task.fans_out)
    if task.when:
        try:
            expressions.parse(substitution.replaced(task.when, "x"), Dialect.WHEN)
        except ExpressionError as error:
            raise Refused(f"{task.where}.when cannot be read", seen=f"{task.when!r}: {error}") from error


def _inputs(template: Template) -> frozenset[str]:
    return frozenset(f"inputs.parameters.{parameter.name}" for parameter in template.inputs)


def _outputs(task: Task, called: Template) -> frozenset[str]:
    prefix = f"tasks.{task.name}"
    found = {f"{prefix}.status"} | {f"{prefix}.outputs.parameters.{output.name}" for output in called.outputs}
    if task.fans_out:
        found.add(f"{prefix}.outputs.parameters")
    return frozenset(found)


def _check(text: str, known: frozenset[str], where: str, *, is_item: bool = False) -> None:
    for tag in substitution.names(text):
        name = substitution.read_by(tag) or tag
        if substitution.is_expression(name):
            raise Refused(
                f"{where} holds an expression", seen=f"{{{{{name}}}}}", todo="the local engine runs plain names"
            )
        if name not in known and not (is_item and name.startswith(f"{ITEM}.")):
            raise Refused(
                f"{where} reads {{{{{name}}}}}",
                seen="it has no value there",
                todo=f"known there: {', '.join(sorted(known))}"[:600],
            )
    if "{{" in substitution.replaced(text, ""):
        raise Refused(f"{where} opens {{{{ without closing it", seen=text[:200])
