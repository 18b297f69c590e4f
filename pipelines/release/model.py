"""A plan: what is to be done to bring a registry to what a commit declares, and why. Ready for JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.charts.model import PlannedChart
from pipelines.declared.finding import ERROR, Finding
from pipelines.declared.state import ABSENT, BLOCKED, BUILD, DIFFERENT, NOTHING, PUBLISHED, UNKNOWN, PlanRow
from pipelines.environments.model import ImageFollower
from pipelines.images.plan_model import ImageJob, PlannedImage, RetagJob
from pipelines.step.texts import FreeText, Name, ObjectId, Packed, Plain, Words

STUCK = frozenset({BLOCKED, DIFFERENT})
"""States that only a new commit changes."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a commit declares, what is to be done for it, and why."""

    repo: str
    commit: str
    ref: str
    platform: str
    builder: str
    images: tuple[PlannedImage, ...]
    """Parents first."""
    charts: tuple[PlannedChart, ...]
    waves: tuple[tuple[ImageJob, ...], ...]
    """Images to build; those of one wave depend on earlier waves alone."""
    findings: tuple[Finding, ...]
    followers: tuple[ImageFollower, ...] = ()
    deploys: tuple[str, ...] = ()
    """Where a run of this ref would write: environments, and `charts` if their values name other images."""
    formerly: tuple[str, ...] = ()
    """Earlier addresses of the repository: what was published from there is its own."""

    @property
    def everything(self) -> tuple[PlanRow, ...]:
        """Images and charts."""
        return (*self.images, *self.charts)

    @property
    def blocked(self) -> int:
        """How many images, charts and findings block the release until a new commit changes them."""
        stuck = sum(item.state in STUCK for item in self.everything)
        return stuck + sum(finding.level == ERROR for finding in self.findings)

    @property
    def unknown(self) -> int:
        """How many images and charts no registry answered about."""
        return sum(item.state == UNKNOWN for item in self.everything)

    @property
    def to_do(self) -> int:
        """How many images and charts are to be built, tagged or released."""
        return sum(item.action != NOTHING for item in self.everything)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A plan as a workflow reads it: lists to fan out over, numbers to decide by; all empty if nothing was planned."""

    commit: ObjectId = ""
    ref: Plain = ""
    now: int = 0
    """When it was made, in seconds since 1970. With it, the same plan can be made again."""
    waves: int = 0
    """How many of the waves are not empty."""
    wave_1: tuple[ImageJob, ...] = ()
    """Builds that run side by side."""
    later: tuple[tuple[ImageJob, ...], ...] = ()
    """All further waves, empty ones too."""
    builds: tuple[Name, ...] = ()
    """Names of the images to build."""
    releases: tuple[Name, ...] = ()
    """Names of the charts to release."""
    builder_version: Words = ""
    """A part of every key."""
    batches: int = 0
    """How many of the batches are not empty."""
    batch_1: tuple[Name, ...] = ()
    """Names of images that one pod can build without publishing them: each with those to build that it depends on."""
    batch_2: tuple[Name, ...] = ()
    batch_3: tuple[Name, ...] = ()
    batch_4: tuple[Name, ...] = ()
    retag: tuple[RetagJob, ...] = ()
    untagged: int = 0
    """How many images `retag` lists."""
    formerly: tuple[str, ...] = ()
    """As in the plan."""
    charts: int = 0
    """How many charts are to be released."""
    needs: tuple[Plain, ...] = ()
    """For charts that are not published, the images that their values name and that are not either: each
    `NAME:key-…=FOLDER`, the chart's folder, or `NAME=FOLDER` for an image that is not to be built."""
    deploys: int = 0
    """How many places a deployment would write to, as far as a plan can know."""
    to_do: int = 0
    blocked: int = 0
    """As in the plan."""
    unknown: int = 0
    plan: str = ""
    """The whole plan, as JSON."""
    settled: Packed = ""
    """The same, packed, if nothing is to be done and it is short enough for an argument; else empty."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The results of a run's plan, and whether it succeeded."""

    verdict: Words
    """One line for people."""
    commit: ObjectId
    published: int
    """Images and charts that the registry has as the commit declares them."""
    untagged: int
    """How many of those images still lack tags."""
    summary: FreeText
    """The result of each image and chart: a ReleaseResult, as JSON."""


def held_back(
    charts: Iterable[PlannedChart], images: Iterable[PlannedImage], *, before_builds: bool = False
) -> dict[str, str]:
    """Return by path why charts are not released: their values name an image that is not published, for any reason.

    `charts` has parents first. Before the builds, those to be built count as published.
    """
    states = {image.name: PUBLISHED if before_builds and image.action == BUILD else image.state for image in images}
    held: dict[str, str] = {}
    for chart in charts:
        # A name that two images claim is no image of the plan.
        lacking = {name: states.get(name, BLOCKED) for name in chart.images if states.get(name) != PUBLISHED}
        if lacking:
            why = [
                f"{name}, which is {'not published' if state == ABSENT else state}" for name, state in lacking.items()
            ]
            held[chart.path] = f"its values name {' and '.join(why)}"
        elif above := [path for path in chart.parents if path in held]:
            held[chart.path] = f"it depends on {', '.join(above)}, which is held back"
    return held
