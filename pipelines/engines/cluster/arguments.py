"""Checks a run's arguments before they are sent: known to the template, harmless to Argo, valid for the steps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pipelines import settings
from pipelines.engines.cluster.names import CONFIG_MAP
from pipelines.errors import Misuse, Refused, meant
from pipelines.step import signature, texts

_FROM_INPUT = re.compile(r"--([a-z0-9-]+)=\{\{inputs\.parameters\.([A-Za-z0-9_-]+)\}\}")


def check(template: Mapping[str, Any], arguments: Mapping[str, str]) -> None:
    """Raise Misuse or Refused unless an installed WorkflowTemplate can be run with these arguments."""
    name, spec = template["metadata"]["name"], template["spec"]
    if "entrypoint" not in spec:
        raise Misuse(f"{name} is not started by itself", seen="no entrypoint", todo="start what refers to it")
    declared = {p["name"]: p for p in spec.get("arguments", {}).get("parameters", ())}
    check_names(name, declared, arguments)
    check_values(arguments)
    if missing := [p for p in declared if p not in arguments and not {"value", "valueFrom"} & declared[p].keys()]:
        raise Misuse(
            f"{name} needs parameters that are not given",
            seen=", ".join(missing),
            todo=f"add {' '.join(f'-p {parameter}=…' for parameter in missing)}",
        )
    entry: Mapping[str, Any] = next(
        (t for t in spec.get("templates", ()) if t.get("name") == spec.get("entrypoint")), {}
    )
    for container in entry.get("containerSet", {}).get("containers", ()):
        _check_step(container, arguments)


def check_names(template: str, known: Iterable[str], names: Iterable[str]) -> None:
    """Raise Misuse for a parameter that a template does not have, Refused for a setting."""
    known = list(known)
    for name in sorted(set(names) - set(known)):
        if name in settings.KEYS:
            raise setting_refused(name, f"-p {name}=")
        raise Misuse(
            f"the installed {template} has no parameter {name!r}",
            todo=meant([name], known, f"give one of its parameters: {', '.join(known) or 'none'}"),
        )


def check_values(arguments: Mapping[str, str]) -> None:
    """Raise Misuse for a value that Argo would evaluate or cannot pass on, Refused for an unprintable character."""
    for name, value in arguments.items():
        if why := texts.uncarried(value):
            raise texts.refusal(value)(
                f"the value of {name} is refused", seen=f"{value[:100]!r}: {why}", todo="write it differently"
            )


def setting_refused(key: str, seen: str, namespace: str = "") -> Refused:
    """Return the error for a setting given as a parameter of a run on a cluster."""
    where = f" in namespace {namespace}" if namespace else ""
    return Refused(
        f"{key} is a setting of the installation; no run may choose it",
        seen=seen,
        todo=f"change key `{key}` of ConfigMap `{CONFIG_MAP}`{where}, which is `settings.{key}` of the chart's values",
    )


def _check_step(container: Mapping[str, Any], arguments: Mapping[str, str]) -> None:
    match list(container.get("command", ())), list(container.get("args", ())):
        case ["shipway"], ["step", str(step), *words] if step in signature.STEPS:
            described = signature.describe(step)
            flags = {argument.name: argument for argument in described.arguments}
            for match in filter(None, map(_FROM_INPUT.fullmatch, map(str, words))):
                if match[1] in flags and match[2] in arguments:
                    flags[match[1]].parse(arguments[match[2]])
