"""How a run left each part of what a commit declares: what is reported of it, and what passes between a check's pods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.images.model import Checkout

IMAGE = "image"
CHART = "chart"
FINDING = "finding"
"""Kinds of parts; a finding is a fault of what the commit declares that belongs to no image or chart."""

BUILT = "built"
PUBLISHED = "published"
RELEASED = "released"
CHECKED = "checked"
LEFT_OUT = "left out"
FAILED = "failed"
SKIPPED = "skipped"
BLOCKED = "blocked"
DIFFERENT = "different"
UNKNOWN = "unknown"
UNTRIED = "not tried"
"""What became of a part: built by this run; published before; a chart released by this run, or found good; not tried for a reason
that is no fault; failed; not tried because what it stands on failed; kept back by a finding; a version that has another content; a
registry did not say; nobody came to it."""
GOOD = frozenset({BUILT, PUBLISHED, RELEASED, CHECKED, LEFT_OUT})


@dataclass(frozen=True, kw_only=True)
class Part:
    """An image, a chart or a finding, and what became of it."""

    kind: str
    name: str
    path: str
    """Its folder; of a finding, its file and line."""
    result: str
    why: str
    """One line; empty where there is nothing to say."""
    lines: tuple[str, ...] = ()
    """What failed, as its program told it, cut."""

    @property
    def is_good(self) -> bool:
        """Whether nothing about it fails a run."""
        return self.result in GOOD


@dataclass(frozen=True, kw_only=True)
class ReleaseResult:
    """A whole run: what the step that gives the verdict puts out as JSON, of bounded size."""

    repo: str
    commit: str
    ref: str
    is_good: bool
    verdict: str
    """One line."""
    parts: tuple[Part, ...]
    """What failed first."""
    left_out: int
    """How many parts more there are, for which there was no room; they are good ones as long as there are any."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An image that is to be built without being published, as far as its bases are fetched."""

    name: str
    path: str
    checkout: Checkout | None
    """None where it cannot be built: `result` and `lines` say why."""
    parents: Mapping[str, str]
    """What the Dockerfile calls images that are built before it in the same pod, and their names."""
    shared: tuple[str, ...]
    exclude: tuple[str, ...]
    version: str
    result: str = ""
    why: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImageTrial:
    """Images of one commit to try, parents first, in one workspace."""

    commit: str
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What became of a trial."""

    report: str
    """Names of what was built, and the rest with why, as JSON of bounded size."""
    built: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """How a check found a commit."""

    verdict: str
    commit: str
    summary: str
    """The Outcome, as JSON."""
