"""The typed values of a checked document: the part of an Argo workflow that this engine runs.

Texts may still hold `{{…}}`; everything else is final. The names are Argo's, in this project's spelling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.engines.local.expressions import Expression

_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, kw_only=True)
class KeyRef:
    """One key of a ConfigMap or a Secret."""

    name: str
    key: str
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """An argument of a workflow or an input of a template."""

    name: str
    value: str | None = None
    """The value if no argument is given."""
    config_map: KeyRef | None = None
    enum: tuple[str, ...] = ()
    """The values it may have; empty means any."""


@dataclass(frozen=True, kw_only=True)
class OutputParameter:
    """A result of a template."""

    name: str
    path: str = ""
    """Of a pod: the file that holds it."""
    reference: str = ""
    """Of a DAG: the name of the task's output that it repeats, without braces."""
    default: str | None = None


@dataclass(frozen=True, kw_only=True)
class Retry:
    """When and how often a failed node is tried again. Times are in seconds."""

    limit: int
    policy: str
    expression: Expression | None = None
    duration: float | None = None
    factor: int = 0
    max_duration: float | None = None
    cap: float | None = None


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A folder that containers share, or that holds the keys of a Secret or a ConfigMap."""

    name: str
    kind: str
    """emptyDir, secret, configMap or projected, which is empty: it is a token, and there is no account here."""
    source: str = ""
    optional: bool = False
    items: Mapping[str, str] = field(default_factory=dict)
    """Key and file name; empty means every key under its own name."""


@dataclass(frozen=True, kw_only=True)
class EnvVar:
    """An environment variable of a container."""

    name: str
    value: str = ""
    config_map: KeyRef | None = None
    secret: KeyRef | None = None


@dataclass(frozen=True, kw_only=True)
class Container:
    """One process of a pod."""

    name: str
    command: tuple[str, ...]
    working_dir: str
    env: tuple[EnvVar, ...]
    variables: tuple[str, ...]
    """ConfigMaps each key of which is a variable; `env` comes after them."""
    mounts: Mapping[str, str]
    """Path and volume."""
    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A container, or a set of them."""

    containers: tuple[Container, ...]
    is_set: bool
    volumes: tuple[Volume, ...]
    deadline_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class TemplateName:
    """A template's document and name."""

    document: str
    name: str

    def __str__(self) -> str:
        """Return the form that messages use."""
        return f"{self.document}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Task:
    """A node of a DAG."""

    name: str
    template: TemplateName
    arguments: Mapping[str, str]
    depends: Expression | None
    ancestors: tuple[str, ...] = ()
    """The tasks that `depends` names."""
    when: str = ""
    with_items: tuple[Any, ...] | None = None
    with_param: str | None = None
    goes_on: frozenset[str] = frozenset()
    """Phases, Failed and Error, that do not fail its DAG."""
    where: str = ""

    @property
    def fans_out(self) -> bool:
        """Whether it stands for a node per item."""
        return self.with_items is not None or self.with_param is not None


@dataclass(frozen=True, kw_only=True)
class Dag:
    """Tasks with their dependencies."""

    tasks: tuple[Task, ...]
    fail_fast: bool
    parallelism: int | None = None


@dataclass(frozen=True, kw_only=True)
class Template:
    """Something that can be run with arguments: a pod or a DAG."""

    id: TemplateName
    inputs: tuple[Parameter, ...]
    outputs: tuple[OutputParameter, ...]
    retry: Retry | None
    mutexes: tuple[str, ...]
    """Their names, which may hold inputs."""
    pod: Pod | None
    dag: Dag | None
    where: str


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """The document that is run, without its templates."""

    name: str
    entrypoint: TemplateName
    on_exit: TemplateName | None
    arguments: tuple[Parameter, ...]
    deadline_seconds: float | None
    parallelism: int | None


def seconds(text: str) -> float:
    """Return a duration of Argo in seconds, `90` or `1h30m`; raises ValueError.

    Sources: Argo's ParseStringToDuration, Go's time.ParseDuration.
    """
    if text.isdecimal():
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"not a duration: {text!r}")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
