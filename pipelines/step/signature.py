"""A step's signature is its whole interface; this module reads it, once, for everybody.

The command line of `shipway step`, the files a step leaves its results in, and the arguments and
outputs of the compiled templates are all derived from the typed function, so they cannot drift apart.

A parameter is `Annotated[T, Arg(...)]` and keyword-only. T is one of
str, int, bool, Path; tuple[str, ...] (written as a JSON list); or a frozen dataclass that another step
returns, given as the folder of that step's outputs. The result is a frozen dataclass; each field becomes a file, as
`pipelines.step.results` says. `Annotated[FreeText, Arg(...)]` takes a text that a step before encoded.

Arguments that belong together are the fields of a frozen dataclass, annotated like parameters. A parameter
`Annotated[ThatClass, Group()]` stands for all of them: each field is an argument of the step under its own name, in the
place of the parameter, and the function receives the object.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import json
import typing
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pipelines.errors import Misuse, meant
from pipelines.step import results, texts
from pipelines.step.results import kebab

T = TypeVar("T")
STEPS: dict[str, str] = {
    "decode": "pipelines.events.decode:decode",
    "locate": "pipelines.events.locate:locate",
    "start": "pipelines.events.start:start",
    "supersede": "pipelines.events.supersede:supersede",
    "list-refs": "pipelines.events.list_refs:list_refs",
    "reconcile": "pipelines.events.reconcile:reconcile",
    "clone": "pipelines.images.clone:clone",
    "build": "pipelines.images.build:build",
    "push": "pipelines.images.push:push",
    "plan": "pipelines.release.plan:plan",
    "retag": "pipelines.release.retag:retag",
    "deploy": "pipelines.deploy.deploy:deploy",
    "deploy-charts": "pipelines.deploy.release_charts:deploy_charts",
    "deploy-publish": "pipelines.deploy.release_charts:deploy_publish",
    "deploy-await": "pipelines.deploy.release_charts:deploy_await",
    "verdict": "pipelines.release.verdict:verdict",
    "check-clone": "pipelines.check.clone:check_clone",
    "check-build": "pipelines.check.build:check_build",
    "check-verdict": "pipelines.check.verdict:check_verdict",
    "pass-on-images": "pipelines.check.pass_on:images",
    "pass-on-charts": "pipelines.check.pass_on:charts",
    "pass-on-impact": "pipelines.check.pass_on:impact",
    "report": "pipelines.report.report:report",
    "check-installation": "pipelines.release.check_installation:check_installation",
    "chart-clone": "pipelines.charts.clone:chart_clone",
    "chart-check": "pipelines.check.charts:chart_check",
    "chart-publish": "pipelines.charts.publish:chart_publish",
    "chart-version": "pipelines.charts.version:chart_version",
    "impact-gather": "pipelines.impact.gather:impact_gather",
    "impact": "pipelines.impact.impact:impact",
    "await-healthy": "pipelines.deploy.await_healthy:await_healthy",
}
"""Each step's name and where its function is; loaded only when asked for."""
_FORMS = {bool: "true or false", int: "a whole number", tuple: "a JSON list of texts"}


@dataclass(frozen=True)
class Arg:
    """What a signature cannot say about a parameter.

    `setting` names the key of the deployment's settings (ConfigMap `shipway`) whose value reaches the step
    as the environment variable SHIPWAY_<KEY>; such a parameter is never taken from a workflow's arguments.
    """

    help: str
    setting: str = ""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Marks a parameter whose fields are the step's arguments.

    `without` names fields that are not arguments of this step and keep their defaults: a step takes no setting that it
    does not use.
    """

    without: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One parameter of a step."""

    name: str
    """In kebab case: the flag without its dashes, and the name in templates."""
    type: Any
    help: str
    setting: str
    default: Any
    required: bool
    encoded: bool
    """Whether the text is a `FreeText`, which travels encoded."""

    @property
    def field(self) -> str:
        """The parameter's name in Python."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable that carries a setting, or an empty string."""
        return variable(self.setting) if self.setting else ""

    @property
    def is_step_result(self) -> bool:
        """Whether the value is the result of another step, passed as the folder of its outputs."""
        return dataclasses.is_dataclass(self.type)

    def parse(self, text: str) -> Any:
        """Return the value that `text` writes; raises Misuse naming the flag."""
        try:
            if self.is_step_result:
                return results.load(self.type, Path(text))
            if self.encoded:
                return texts.decode(text)
            if get_origin(self.type) is tuple:
                return _strings(text)
            if self.type is bool:
                return {"true": True, "false": False}[text.lower()]
            return self.type(text)
        except (ValueError, KeyError) as error:
            form = _FORMS.get(get_origin(self.type) or self.type, "what `--help` says")
            raise Misuse(
                f"--{self.name} cannot be read", seen=repr(text[:200]), todo=f"give {form}: {self.help}"
            ) from error


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step as its function declares it."""

    name: str
    function: Callable[..., Any]
    summary: str
    description: str
    arguments: tuple[Argument, ...]
    groups: Mapping[str, tuple[type[Any], tuple[str, ...]]]
    """By parameter: the class of a group, and the fields that are arguments."""
    result: type[Any]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the results, each also the name of its file."""
        return tuple(kebab(field.name) for field in dataclasses.fields(self.result))

    def call(self, values: Mapping[str, Any]) -> Any:
        """Call the function with arguments by their Python names and return its result; the others have defaults."""
        given = dict(values)
        for parameter, (group, fields) in self.groups.items():
            given[parameter] = group(**{field: given.pop(field) for field in fields if field in given})
        return self.function(**given)

    def argument(self, name: str) -> Argument:
        """Return the argument of that name; raises KeyError naming those there are."""
        for argument in self.arguments:
            if argument.name == name:
                return argument
        raise KeyError(f"step {self.name} has no argument {name!r}; it has {', '.join(a.name for a in self.arguments)}")


def variable(setting: str) -> str:
    """Return the environment variable that carries a setting to a step."""
    return "SHIPWAY_" + setting.upper().replace("-", "_")


@functools.cache
def describe(name: str) -> Step:
    """Return the step of that name; raises Misuse if there is none, TypeError if its signature is unfit."""
    if name not in STEPS:
        raise Misuse("no such step", seen=repr(name), todo=meant([name], STEPS, f"use one of {', '.join(STEPS)}"))
    module, _, attribute = STEPS[name].partition(":")
    return read(name, getattr(importlib.import_module(module), attribute))


def read(name: str, function: Callable[..., Any]) -> Step:
    """Return what a function's signature says; raises TypeError when it cannot be a step."""
    hints = get_type_hints(function, include_extras=True)
    result = hints.pop("return", None)
    if not (isinstance(result, type) and dataclasses.is_dataclass(result)):
        raise TypeError(f"step {name} must return a dataclass")
    arguments: list[Argument] = []
    groups: dict[str, tuple[type[Any], tuple[str, ...]]] = {}
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        if parameter.kind is not parameter.KEYWORD_ONLY or get_origin(hint) is not typing.Annotated:
            raise TypeError(f"step {name}: {parameter.name} must be keyword-only and Annotated with Arg or Group")
        kind, note = get_args(hint)[:2]
        if isinstance(note, Group):
            members = [item for item in group(kind) if item.field not in note.without]
            left_out = [item for item in group(kind) if item.field in note.without]
            if unknown := set(note.without) - {item.field for item in left_out}:
                raise TypeError(f"step {name}: {kind.__name__} has no field {', '.join(sorted(unknown))}")
            if needed := [item.field for item in left_out if item.required]:
                raise TypeError(f"step {name} cannot go without {', '.join(needed)}")
            groups[parameter.name] = kind, tuple(item.field for item in members)
            arguments += members
        else:
            arguments.append(_argument(f"step {name}", parameter.name, hint, parameter.default))
    names = Counter(item.name for item in arguments)
    if twice := [flag for flag, count in names.items() if count > 1]:
        raise TypeError(f"step {name} has the argument {', '.join(twice)} twice")
    doc = inspect.getdoc(function) or ""
    summary, _, description = doc.partition("\n")
    return Step(
        name=name,
        function=function,
        summary=summary,
        description=description.strip(),
        arguments=tuple(arguments),
        groups=groups,
        result=result,
    )


@functools.cache
def group(kind: Any) -> tuple[Argument, ...]:
    """Return the fields of a group as arguments; raises TypeError for a class that cannot be one."""
    # By its name in a text: typeshed hides the attribute.
    if not (dataclasses.is_dataclass(kind) and getattr(kind, "__dataclass_params__").frozen):  # noqa: B009
        raise TypeError(f"{kind} is not a frozen dataclass and cannot be a group")
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        _argument(str(kind), field.name, hints[field.name], field.default) for field in dataclasses.fields(kind)
    )


def from_settings(kind: Callable[..., T], settings: Mapping[str, str]) -> T:
    """Return a group with a deployment's settings, those that are empty with their defaults; raises Misuse."""
    values = ((item, settings.get(item.setting, "")) for item in group(kind))
    return kind(**{item.field: item.parse(text) for item, text in values if text})


def _argument(owner: str, name: str, hint: Any, default: Any) -> Argument:
    """Return one argument of a step or a group; raises TypeError for a hint that says none."""
    kind, *notes = get_args(hint) if get_origin(hint) is typing.Annotated else (hint,)
    note = next((note for note in notes if isinstance(note, Arg)), None)
    if note is None:
        raise TypeError(f"{owner}: {name} must be Annotated with Arg")
    if not (kind in {str, int, bool, Path} or kind == tuple[str, ...] or dataclasses.is_dataclass(kind)):
        raise TypeError(f"{owner}: {name} has a type that no command line carries: {kind}")
    required = default is inspect.Parameter.empty or default is dataclasses.MISSING
    return Argument(
        name=kebab(name),
        type=kind,
        help=note.help,
        setting=note.setting,
        default=None if required else default,
        required=required,
        encoded=any(isinstance(note, texts.Encoded) for note in notes),
    )


def _strings(text: str) -> tuple[str, ...]:
    value = json.loads(text) if text else []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("not a JSON list of strings")
    return tuple(value)
