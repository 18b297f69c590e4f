"""Reads a document into typed values, refusing whatever this engine does not run, by document and path."""

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
from pipelines.engines.local.expressions import Dialect, Expression, Unfit
from pipelines.errors import Misuse, Refused

_POLICIES = ("Always", "OnFailure", "OnError")


def read_workflow(document: DocumentPath) -> tuple[Workflow, tuple[Volume, ...]]:
    """Return what a document says beside its templates, and the volumes that it adds to each of its pods; raises Refused or Misuse."""
    spec = document.map("document").at("spec").map("spec")
    if not spec.has("entrypoint"):
        raise Misuse(
            f"{document.document} is not started by itself", seen="no entrypoint", todo="start what refers to it"
        )
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
    """Return the place of a document's template; raises Refused naming those there are."""
    places = list(document.at("spec").items("templates"))
    for place in places:
        if place.at("name").value == name:
            return place
    there = ", ".join(str(place.at("name").value) for place in places) or "none"
    raise Refused(f"{document.document} has no template {name!r}", seen=f"its templates: {there}")


def read_template(place: DocumentPath, volumes: tuple[Volume, ...]) -> Template:
    """Return one template; raises Refused naming the first field that does not run here."""
    place.map("template")
    if sum(place.has(kind) for kind in ("container", "containerSet", "dag")) != 1:
        raise place.refuse("exactly one of container, containerSet and dag expected")
    name = place.at("name").text()
    is_dag = place.has("dag")
    for field in ("timeout", "activeDeadlineSeconds"):
        if is_dag and place.has(field):
            raise place.at(field).refuse("Argo allows it on pods only")
    parallelism = place.at("parallelism").integer()
    if parallelism and not is_dag:
        raise place.at("parallelism").refuse("Argo allows it on DAGs only")
    outputs = place.at("outputs").map("outputs").items("parameters") if place.has("outputs") else ()
    inputs = place.at("inputs").map("inputs").items("parameters") if place.has("inputs") else ()
    return Template(
        id=TemplateName(document=place.document, name=name),
        inputs=tuple(map(_input, inputs)),
        outputs=tuple(_output(output, is_dag=is_dag) for output in outputs),
        retry=_retry(place.at("retryStrategy")) if place.has("retryStrategy") else None,
        mutexes=_mutexes(place),
        pod=None if is_dag else pod_reader.read_pod(place, volumes),
        dag=_dag(place, parallelism) if is_dag else None,
        where=str(place),
    )


def _workflow_parameter(place: DocumentPath) -> Parameter:
    place.map("workflow parameter")
    value, config_map = _source(place)
    return Parameter(
        name=place.at("name").text(),
        value=place.at("value").tagged() if place.has("value") else value,
        config_map=config_map,
        enum=tuple(item.tagged() for item in place.items("enum")),
    )


def _input(place: DocumentPath) -> Parameter:
    place.map("input")
    value, config_map = _source(place)
    # A fixed value is used before a default (workflow/common/util.go, overwriteWithDefaultParams).
    for field in ("default", "value"):
        value = place.at(field).tagged() if place.has(field) else value
    return Parameter(name=place.at("name").text(), value=value, config_map=config_map)


def _source(place: DocumentPath) -> tuple[str | None, KeyRef | None]:
    if not place.has("valueFrom"):
        return None, None
    source = place.at("valueFrom").map("input source")
    if not source.has("configMapKeyRef"):
        raise source.refuse("a configMapKeyRef expected")
    default = source.at("default").tagged() if source.has("default") else None
    return default, pod_reader.read_key(source.at("configMapKeyRef"))


def _output(place: DocumentPath, *, is_dag: bool) -> OutputParameter:
    source = place.map("output").at("valueFrom").map("output of a DAG" if is_dag else "output of a pod")
    reference = ""
    if is_dag:
        tag = source.at("parameter").tagged()
        reference = tag.removeprefix("{{").removesuffix("}}").strip()
    return OutputParameter(
        name=place.at("name").text(),
        path="" if is_dag else source.at("path").text(),
        reference=reference,
        default=source.at("default").tagged() if source.has("default") else None,
    )


def _retry(place: DocumentPath) -> Retry:
    place.map("retryStrategy")
    limit = place.at("limit").integer()
    if limit is None:
        raise place.refuse("a limit expected; without one, Argo tries for ever")
    expression = None
    if place.has("expression"):
        expression = _parse(place.at("expression"), Dialect.RETRY)
    policy = place.at("retryPolicy").text("OnFailure" if expression is None else "Always")
    if policy not in _POLICIES:
        raise place.at("retryPolicy").refuse(f"one of {', '.join(_POLICIES)} expected")
    if not place.has("backoff"):
        return Retry(limit=limit, policy=policy, expression=expression)
    backoff = place.at("backoff").map("backoff")
    return Retry(
        limit=limit,
        policy=policy,
        expression=expression,
        duration=_duration(backoff.at("duration")),
        factor=backoff.at("factor").integer() or 0,
        max_duration=_duration(backoff.at("maxDuration")) if backoff.has("maxDuration") else None,
        cap=_duration(backoff.at("cap")) if backoff.has("cap") else None,
    )


def _duration(place: DocumentPath) -> float:
    try:
        return definition.seconds(str(place.value))
    except ValueError as error:
        raise place.refuse(str(error)) from error


def _parse(place: DocumentPath, dialect: Dialect) -> Expression:
    text = place.text()
    try:
        return expressions.parse_depends(text) if dialect is Dialect.DEPENDS else expressions.parse(text, dialect)
    except Unfit as error:
        raise place.refuse(f"{text!r}: {error}") from error


def _mutexes(place: DocumentPath) -> tuple[str, ...]:
    if not place.has("synchronization"):
        return ()
    synchronization = place.at("synchronization").map("synchronization")
    return tuple(mutex.map("mutex").at("name").tagged() for mutex in synchronization.items("mutexes"))


def _dag(place: DocumentPath, parallelism: int | None) -> Dag:
    dag = place.at("dag").map("dag")
    return Dag(
        tasks=tuple(_task(task) for task in dag.items("tasks")),
        fail_fast=dag.at("failFast").boolean(default=True),
        parallelism=parallelism,
    )


def _task(place: DocumentPath) -> Task:
    place.map("task")
    if place.has("withItems") and place.has("withParam"):
        raise place.refuse("withItems or withParam expected, not both")
    if place.has("depends") and place.has("dependencies"):
        raise place.refuse("depends or dependencies expected, not both")
    needs = _parse(place.at("depends"), Dialect.DEPENDS) if place.at("depends").value else None
    if place.has("dependencies"):
        needs = expressions.of_dependencies([item.text() for item in place.items("dependencies")])
    items = [item.value for item in place.items("withItems")]
    return Task(
        name=place.at("name").text(),
        template=_template_name(place),
        arguments=_arguments(place.at("arguments")) if place.has("arguments") else {},
        depends=needs,
        ancestors=expressions.tasks(needs) if needs is not None else (),
        when=place.at("when").tagged() if place.has("when") else "",
        # Argo takes an empty list for no list (dag.go, ShouldExpand).
        with_items=tuple(items) if items else None,
        with_param=place.at("withParam").tagged() if place.at("withParam").value else None,
        where=str(place),
    )


def _template_name(place: DocumentPath) -> TemplateName:
    if place.has("template") == place.has("templateRef"):
        raise place.refuse("exactly one of template and templateRef expected")
    if place.has("template"):
        return TemplateName(document=place.document, name=place.at("template").text())
    ref = place.at("templateRef").map("templateRef")
    return TemplateName(document=ref.at("name").text(), name=ref.at("template").text())


def _arguments(place: DocumentPath) -> Mapping[str, Any]:
    found: dict[str, str] = {}
    for argument in place.map("arguments").items("parameters"):
        name = argument.map("argument").at("name").text()
        if name in found:
            raise argument.refuse(f"{name} is given twice")
        found[name] = argument.at("value").tagged()
    return found
