"""Reads a document into typed values; refuses what this engine does not run, naming its document and path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.engines.local import definition, expressions, pod_reader
from pipelines.engines.local.definition import (
    Dag,
    KeyRef,
    OutputParameter,
    Parameter,
    Retry,
    Task,
    Template,
    TemplateName,
    Volume,
    Workflow,
)
from pipelines.engines.local.document_path import DocumentPath
from pipelines.engines.local.expressions import Dialect, Expression, ExpressionError
from pipelines.errors import Misuse, Refused

_POLICIES = ("Always", "OnFailure", "OnError")


def read_workflow(document: DocumentPath) -> tuple[Workflow, tuple[Volume, ...]]:
    """Return a document without its templates, and the volumes that it adds to each pod; raises Refused or Misuse."""
    spec = document.map("document").at("spec").map("spec")
    if not spec.has("entrypoint"):
        raise Misuse(
            f"{document.document} is not started by itself", seen="no entrypoint", todo="start what refers to it"
        )
    pod_reader.check_patch(spec)
    arguments = spec.at("arguments").map("workflow arguments") if spec.has("arguments") else None
    workflow = Workflow(
        name=document.document,
        entrypoint=TemplateName(document=document.document, name=spec.at("entrypoint").text()),
        on_exit=TemplateName(document=document.document, name=spec.at("onExit").text()) if spec.has("onExit") else None,
        arguments=tuple(map(_workflow_parameter, arguments.items("parameters"))) if arguments else (),
        deadline_seconds=spec.at("activeDeadlineSeconds").integer(),
        parallelism=spec.at("parallelism").integer(),
    )
    return workflow, tuple(pod_reader.read_volume(volume) for volume in spec.items("volumes"))


def find_template(document: DocumentPath, name: str) -> DocumentPath:
    """Return the template of that name in a document; raises Refused with the names that it has."""
    templates = list(document.at("spec").items("templates"))
    names = [template.at("name").value for template in templates]
    if name in names:
        return templates[names.index(name)]
    known = ", ".join(map(str, names)) or "none"
    raise Refused(f"{document.document} has no template {name!r}", seen=f"its templates: {known}")


def read_template(spec: DocumentPath, volumes: tuple[Volume, ...]) -> Template:
    """Return one template; raises Refused with the first field that does not run here."""
    spec.map("template")
    if sum(spec.has(kind) for kind in ("container", "containerSet", "dag")) != 1:
        raise spec.refuse("exactly one of container, containerSet and dag expected")
    name = spec.at("name").text()
    is_dag = spec.has("dag")
    for field in ("timeout", "activeDeadlineSeconds"):
        if is_dag and spec.has(field):
            raise spec.at(field).refuse("Argo allows it on pods only")
    parallelism = spec.at("parallelism").integer()
    if parallelism and not is_dag:
        raise spec.at("parallelism").refuse("Argo allows it on DAGs only")
    outputs = spec.at("outputs").map("outputs").items("parameters") if spec.has("outputs") else ()
    inputs = tuple(spec.at("inputs").map("inputs").items("parameters")) if spec.has("inputs") else ()
    fixed = {
        f"{{{{inputs.parameters.{one.at('name').text()}}}}}": one.at("value") for one in inputs if one.has("value")
    }
    return Template(
        id=TemplateName(document=spec.document, name=name),
        inputs=tuple(map(_input, inputs)),
        outputs=tuple(_output(output, is_dag=is_dag) for output in outputs),
        retry=_retry(spec.at("retryStrategy")) if spec.has("retryStrategy") else None,
        mutexes=_mutexes(spec),
        pod=None if is_dag else pod_reader.read_pod(spec, volumes),
        dag=_dag(spec, parallelism, fixed) if is_dag else None,
        where=str(spec),
    )


def _workflow_parameter(spec: DocumentPath) -> Parameter:
    spec.map("workflow parameter")
    value, config_map = _source(spec)
    return Parameter(
        name=spec.at("name").text(),
        value=spec.at("value").tagged() if spec.has("value") else value,
        config_map=config_map,
        enum=tuple(item.tagged() for item in spec.items("enum")),
    )


def _input(spec: DocumentPath) -> Parameter:
    spec.map("input")
    value, config_map = _source(spec)
    # A fixed value is used before a default (workflow/common/util.go, overwriteWithDefaultParams).
    for field in ("default", "value"):
        value = spec.at(field).tagged() if spec.has(field) else value
    return Parameter(name=spec.at("name").text(), value=value, config_map=config_map)


def _source(spec: DocumentPath) -> tuple[str | None, KeyRef | None]:
    if not spec.has("valueFrom"):
        return None, None
    source = spec.at("valueFrom").map("input source")
    if not source.has("configMapKeyRef"):
        raise source.refuse("a configMapKeyRef expected")
    default = source.at("default").tagged() if source.has("default") else None
    return default, pod_reader.read_key(source.at("configMapKeyRef"))


def _output(spec: DocumentPath, *, is_dag: bool) -> OutputParameter:
    source = spec.map("output").at("valueFrom").map("output of a DAG" if is_dag else "output of a pod")
    reference = ""
    if is_dag:
        tag = source.at("parameter").tagged()
        reference = tag.removeprefix("{{").removesuffix("}}").strip()
    return OutputParameter(
        name=spec.at("name").text(),
        path="" if is_dag else source.at("path").text(),
        reference=reference,
        default=source.at("default").tagged() if source.has("default") else None,
    )


def _retry(spec: DocumentPath) -> Retry:
    spec.map("retryStrategy")
    limit = spec.at("limit").integer()
    if limit is None:
        raise spec.refuse("a limit expected; without one, Argo tries for ever")
    expression = None
    if spec.has("expression"):
        expression = _parse(spec.at("expression"), Dialect.RETRY)
    policy = spec.at("retryPolicy").text("OnFailure" if expression is None else "Always")
    if policy not in _POLICIES:
        raise spec.at("retryPolicy").refuse(f"one of {', '.join(_POLICIES)} expected")
    if not spec.has("backoff"):
        return Retry(limit=limit, policy=policy, expression=expression)
    backoff = spec.at("backoff").map("backoff")
    return Retry(
        limit=limit,
        policy=policy,
        expression=expression,
        duration=_duration(backoff.at("duration")),
        factor=backoff.at("factor").integer() or 0,
        max_duration=_duration(backoff.at("maxDuration")) if backoff.has("maxDuration") else None,
        cap=_duration(backoff.at("cap")) if backoff.has("cap") else None,
    )


def _duration(spec: DocumentPath) -> float:
    try:
        return definition.seconds(str(spec.value))
    except ValueError as error:
        raise spec.refuse(str(error)) from error


def _parse(spec: DocumentPath, dialect: Dialect) -> Expression:
    text = spec.text()
    try:
        return expressions.parse_depends(text) if dialect is Dialect.DEPENDS else expressions.parse(text, dialect)
    except ExpressionError as error:
        raise spec.refuse(f"{text!r}: {error}") from error


def _mutexes(spec: DocumentPath) -> tuple[str, ...]:
    if not spec.has("synchronization"):
        return ()
    synchronization = spec.at("synchronization").map("synchronization")
    return tuple(mutex.map("mutex").at("name").tagged() for mutex in synchronization.items("mutexes"))


def _dag(spec: DocumentPath, parallelism: int | None, fixed: Mapping[str, DocumentPath]) -> Dag:
    dag = spec.at("dag").map("dag")
    tasks = tuple(dag.items("tasks"))
    for task in tasks:
        if len(tasks) > 1 and task.has("continueOn"):
            raise task.at("continueOn").refuse("it runs here in a DAG of one task; elsewhere it changes conditions")
    return Dag(
        tasks=tuple(_task(task, fixed) for task in tasks),
        fail_fast=dag.at("failFast").boolean(default=True),
        parallelism=parallelism,
    )


def _task(spec: DocumentPath, fixed: Mapping[str, DocumentPath]) -> Task:
    spec.map("task")
    if spec.has("withItems") and spec.has("withParam"):
        raise spec.refuse("withItems or withParam expected, not both")
    if spec.has("depends") and spec.has("dependencies"):
        raise spec.refuse("depends or dependencies expected, not both")
    needs = _parse(spec.at("depends"), Dialect.DEPENDS) if spec.at("depends").value else None
    if spec.has("dependencies"):
        needs = expressions.parse_dependencies([item.text() for item in spec.items("dependencies")])
    items = [item.value for item in spec.items("withItems")]
    return Task(
        name=spec.at("name").text(),
        template=_template_name(spec, fixed),
        arguments=_arguments(spec.at("arguments")) if spec.has("arguments") else {},
        depends=needs,
        ancestors=expressions.tasks_of(needs) if needs is not None else (),
        when=spec.at("when").tagged() if spec.has("when") else "",
        # Argo treats an empty list as no list (dag.go, ShouldExpand).
        with_items=tuple(items) if items else None,
        with_param=spec.at("withParam").tagged() if spec.at("withParam").value else None,
        goes_on=_goes_on(spec.at("continueOn")) if spec.has("continueOn") else frozenset(),
        where=str(spec),
    )


def _goes_on(spec: DocumentPath) -> frozenset[str]:
    spec.map("continueOn")
    phases = {"failed": "Failed", "error": "Error"}
    return frozenset(phase for name, phase in phases.items() if spec.at(name).boolean(default=False))


def _template_name(spec: DocumentPath, fixed: Mapping[str, DocumentPath]) -> TemplateName:
    """Return the template that a task calls; a reference may name it by an input with a fixed value."""
    if spec.has("template") == spec.has("templateRef"):
        raise spec.refuse("exactly one of template and templateRef expected")
    if spec.has("template"):
        return TemplateName(document=spec.document, name=spec.at("template").text())
    ref = spec.at("templateRef").map("templateRef")
    named = ref.at("template")
    return TemplateName(document=ref.at("name").text(), name=fixed.get(str(named.value), named).text())


def _arguments(spec: DocumentPath) -> Mapping[str, Any]:
    arguments: dict[str, str] = {}
    for argument in spec.map("arguments").items("parameters"):
        name = argument.map("argument").at("name").text()
        if name in arguments:
            raise argument.refuse(f"{name} is given twice")
        arguments[name] = argument.at("value").tagged()
    return arguments
