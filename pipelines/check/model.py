"""What passes between the steps of a check, and what it puts out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.images.model import Checkout
from pipelines.step.texts import FreeText, ObjectId, Words


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One image to build without publishing it, as far as its bases are fetched."""

    name: str
    path: str
    checkout: Checkout | None
    """None if it cannot be built; `result` and `lines` say why."""
    parents: Mapping[str, str]
    """What the Dockerfile calls images that are built before it in the same pod, and their names."""
    has_own_context: bool
    """Whether it has a checkout of its own, with the shared folders in its context."""
    exclude: tuple[str, ...]
    version: str
    result: str = ""
    why: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImageTrials:
    """Images of one commit to try in one workspace, parents first."""

    commit: str
    trials: tuple[Trial, ...]


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """The results of one pod's builds."""

    report: FreeText
    """Names of the images that were built, and the others with why, as JSON of bounded size."""
    built: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """The result of a check."""

    verdict: Words
    """One line."""
    commit: ObjectId
    summary: FreeText
    """A ReleaseResult, as JSON."""
