"""What a change does to the applications of every environment, as it is gathered, rendered and reported."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.declared.finding import Finding
from pipelines.step.texts import FreeText


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """One chart with the values of one application: everything that decides what Helm renders."""

    chart: str
    """SHA-256 of the chart's archive, and the name of the folder of its files."""
    version: str
    """For people: the chart's version, or the Git revision."""
    release: str
    namespace: str
    values: str
    """SHA-256 of the values, and the name of their file; empty for none."""
    skip_crds: bool


@dataclass(frozen=True, kw_only=True)
class Touched:
    """An application that a change may touch."""

    environment: str
    application: str
    chart: str
    """The chart's name, or its Git repository and path."""
    before: Rendering | None
    """None where there was no such application."""
    after: Rendering | None
    fault: str
    """Why it cannot be rendered; else empty."""


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Everything that it takes to render the applications that a commit touches."""

    repo: str
    commit: str
    base: str
    """The commit that it is compared with: the last one that both have."""
    environments: str
    """The commit of the environments repository; empty where there is none."""
    untouched: int
    """How many applications the change has no part in."""
    touched: tuple[Touched, ...]
    findings: tuple[Finding, ...]
    """What is wrong with config files of the environments repository."""


@dataclass(frozen=True, kw_only=True)
class ObjectChange:
    """An object of Kubernetes that a change makes, takes away or alters."""

    action: str
    """`added`, `removed`, `changed`, or `restarted`: nothing but checksums of its pods differ."""
    name: str
    """`Deployment web`."""
    diff: str
    """Unified, without file names and with secrets masked; empty for `restarted`."""
    masked: int
    """How many values of the object are masked, on the side that has more of them; 0 for `restarted`."""


@dataclass(frozen=True, kw_only=True)
class ApplicationImpact:
    """What a change does to one application."""

    environment: str
    application: str
    chart: str
    before: str
    """The chart's version; empty where there was no such application."""
    after: str
    changes: tuple[ObjectChange, ...]
    labels_only: int
    """How many objects differ in nothing but labels that name the chart's version."""
    fault: str
    """What Helm says where the application cannot be rendered any more; else empty."""
    was_broken: bool
    """Whether it could not be rendered before, either."""


@dataclass(frozen=True, kw_only=True)
class Impact:
    """The rendered difference of every application that a change touches."""

    commit: str
    base: str
    changed: int
    """Applications whose objects differ, or that cannot be rendered any more."""
    unchanged: int
    broken: int
    masked: int
    """How many values are masked in the objects that differ, and in the messages of Helm."""
    rendered: int
    """How many times Helm was run."""
    cached: int
    markdown: FreeText
    """For people, at most 60,000 characters."""
    impact: tuple[ApplicationImpact, ...]
    """Those that changed."""
