"""Checks before anything starts all that a run needs: its templates, names, ConfigMap keys and Secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.engines.local import reader
from pipelines.engines.local.definition import KeyRef, Template, TemplateName, Volume, Workflow
from pipelines.engines.local.documents import Documents
from pipelines.engines.local.names import check_dag, check_inputs, check_pod
from pipelines.errors import Misconfigured, Misuse, Refused, meant
from pipelines.step import texts

RUN_NAMES = frozenset({"workflow.name", "workflow.uid", "workflow.namespace"})
STATUS = "workflow.status"


@dataclass(frozen=True, kw_only=True)
class WorkflowPlan:
    """A workflow with its arguments and every template that it calls."""

    workflow: Workflow
    parameters: Mapping[str, str]
    """The workflow's arguments, defaults filled in."""
    templates: Mapping[TemplateName, Template]
    config_maps: Mapping[str, Mapping[str, str]]
    secrets: Path | None


def make(
    documents: Documents,
    name: str,
    arguments: Mapping[str, str],
    *,
    config_maps: Mapping[str, Mapping[str, str]],
    secrets: Path | None,
) -> WorkflowPlan:
    """Return the checked plan of a run.

    Raises Misuse for wrong arguments, Refused for fields that do not run here, Misconfigured for missing keys.
    """
    workflow, volumes = reader.read_workflow(documents.get(name))
    parameters = _parameters(workflow, arguments, config_maps)
    walk = _Walk(documents, name, volumes)
    known = RUN_NAMES | {f"workflow.parameters.{parameter}" for parameter in parameters}
    walk.visit(workflow.entrypoint, known, ())
    if workflow.on_exit:
        walk.visit(workflow.on_exit, known | {STATUS}, ())
    for entry in filter(None, (workflow.entrypoint, workflow.on_exit)):
        _check_entry(walk.templates[entry], parameters)
    for template in walk.templates.values():
        _check_sources(template, config_maps, secrets)
    return WorkflowPlan(
        workflow=workflow, parameters=parameters, templates=walk.templates, config_maps=config_maps, secrets=secrets
    )


def value_of(ref: KeyRef, config_maps: Mapping[str, Mapping[str, str]]) -> str | None:
    """Return a ConfigMap's key, or None."""
    return config_maps.get(ref.name, {}).get(ref.key)


class _Walk:
    """Reads and checks the templates that are called, once for the entrypoint and once for the exit handler."""

    def __init__(self, documents: Documents, root: str, volumes: tuple[Volume, ...]) -> None:
        self.documents = documents
        self.root = root
        self.volumes = volumes
        self.templates: dict[TemplateName, Template] = {}
        self.checked: set[tuple[TemplateName, bool]] = set()

    def visit(self, name: TemplateName, known: frozenset[str], above: tuple[TemplateName, ...]) -> None:
        """Read a template and those that it calls, and check every `{{…}}` in them."""
        if name in above:
            circle = " -> ".join(map(str, (*above, name)))
            raise Refused("a template calls itself", seen=circle, todo="the local engine runs no recursion")
        if (name, STATUS in known) in self.checked:
            return
        self.checked.add((name, STATUS in known))
        template = self._read(name)
        check_inputs(template, known)
        if template.pod:
            check_pod(template, known)
        if template.dag:
            for task in template.dag.tasks:
                self.visit(task.template, known, (*above, name))
            check_dag(template, self.templates, known)

    def _read(self, name: TemplateName) -> Template:
        if name not in self.templates:
            document = self.documents.get(name.document)
            # In Argo every pod gets the volumes of the workflow that runs, and none of a document that it refers to.
            self.templates[name] = reader.read_template(reader.find_template(document, name.name), self.volumes)
        return self.templates[name]


def _parameters(
    workflow: Workflow, arguments: Mapping[str, str], config_maps: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    names = [parameter.name for parameter in workflow.arguments]
    if unknown := sorted(arguments.keys() - set(names)):
        raise Misuse(
            f"{workflow.name} does not take every parameter that is given",
            seen=f"no parameter {', '.join(map(repr, unknown))}",
            todo=meant(unknown, names, f"give one of its parameters: {', '.join(names) or 'none'}"),
        )
    for name, value in arguments.items():
        if why := texts.uncarried(value):
            raise texts.refusal(value)(
                f"the value of parameter {name} is refused", seen=why, todo="write it differently"
            )
    found, missing = {}, []
    for parameter in workflow.arguments:
        default = value_of(parameter.config_map, config_maps) if parameter.config_map else None
        chosen = arguments.get(parameter.name, parameter.value if default is None else default)
        if chosen is None:
            missing.append(parameter.name)
            continue
        if parameter.enum and chosen not in parameter.enum:
            raise Misuse(
                f"parameter {parameter.name} does not allow this value",
                seen=repr(chosen),
                todo=f"one of {', '.join(parameter.enum)}",
            )
        found[parameter.name] = chosen
    if missing:
        raise Misuse(
            f"{workflow.name} needs parameters that are not given",
            seen=", ".join(missing),
            todo=f"add {' '.join(f'-p {name}=…' for name in missing)}",
        )
    return found


def _check_entry(template: Template, parameters: Mapping[str, str]) -> None:
    for parameter in template.inputs:
        if parameter.name not in parameters and parameter.value is None and parameter.config_map is None:
            raise Refused(
                f"{template.where} needs input {parameter.name!r}",
                seen="the workflow's arguments do not give it",
                todo="add it to spec.arguments",
            )


def _check_sources(template: Template, config_maps: Mapping[str, Mapping[str, str]], secrets: Path | None) -> None:
    for parameter in template.inputs:
        if parameter.config_map and parameter.value is None:
            _check_key(parameter.config_map, config_maps, template.where)
    if template.pod is None:
        return
    for container in template.pod.containers:
        for name in container.variables:
            if name not in config_maps:
                raise Misconfigured(f"{template.where} takes variables of ConfigMap {name!r}, which is not there")
        for variable in container.env:
            if variable.config_map:
                _check_key(variable.config_map, config_maps, template.where)
            if variable.secret and not variable.secret.optional:
                _check_secret(variable.secret.name, (variable.secret.key,), secrets, template.where)
    mounted = {volume for container in template.pod.containers for volume in container.mounts.values()}
    for volume in template.pod.volumes:
        if volume.name not in mounted or volume.optional:
            continue
        if volume.kind == "secret":
            _check_secret(volume.source, volume.items, secrets, template.where)
        if volume.kind == "configMap" and volume.source not in config_maps:
            raise Misconfigured(f"{template.where} mounts ConfigMap {volume.source!r}, which is not there")


def _check_key(ref: KeyRef, config_maps: Mapping[str, Mapping[str, str]], where: str) -> None:
    if not ref.optional and value_of(ref, config_maps) is None:
        raise Misconfigured(
            f"ConfigMap {ref.name!r} has no key {ref.key!r}",
            seen=f"{where} reads it",
            todo=f"set {ref.key} in the settings",
        )


def _check_secret(name: str, keys: Iterable[str], secrets: Path | None, where: str) -> None:
    folder = secrets / name if secrets else None
    missing = [key for key in keys if folder is None or not (folder / key).is_file()]
    if folder is None or not folder.is_dir() or missing:
        raise Misconfigured(
            f"Secret {name!r} is not there" if not missing else f"Secret {name!r} has no key {missing[0]!r}",
            seen=f"{where} needs it; looked in {folder or 'no folder, since the settings name none'}",
            todo=f"make the folder {name} with a file per key in the folder that the setting `secrets` names",
        )
