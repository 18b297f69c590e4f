"""What is to be done to bring a registry to what a commit declares, and why: the result of planning, ready for JSON."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.declared.finding import ERROR, Finding

BUILD = "build"
TAG = "tag"
RELEASE = "release"
NOTHING = "nothing"
"""Actions: build and publish an image, only bring its tags in place, publish a chart, or none."""

PUBLISHED = "published"
ABSENT = "absent"
BLOCKED = "blocked"
UNKNOWN = "unknown"
DIFFERENT = "different"
"""States: in the registry as declared; not there; not to be built before a finding is dealt with; nobody knows, for a registry
did not answer; a version that is published with another content."""
STUCK = frozenset({BLOCKED, DIFFERENT})
"""States that people have to change something about."""


@dataclass(frozen=True, kw_only=True)
class ImageJob:
    """One build, as an item of a fan-out: every argument that clone-build-push takes beside the commit's.

    Lists are lists: a text inside an item keeps the backslashes of its JSON when Argo passes it on, a list does not.
    """

    name: str
    path: str
    dockerfile: str
    target: str
    build_args: tuple[str, ...]
    secret_ids: tuple[str, ...]
    shared: tuple[str, ...]
    """Folders of the repository to lay into the context."""
    exclude: tuple[str, ...]
    """Files of the context that deployments write, so that no build sees them."""
    version: str
    platform: str
    key: str
    renews: str
    """The lasting key, which is to lead to this build; empty where it is the key itself."""
    moment: int
    """What the build renews the image for, in seconds since 1970; 0 where it does not."""
    pins: tuple[str, ...]
    """What the Dockerfile's names for images stand for: each `name=sha256:…`, or `name=key-…` for one of this plan."""
    parents: tuple[str, ...]
    """Images of the same plan's earlier waves that it stands on."""


@dataclass(frozen=True, kw_only=True)
class PlannedImage:
    """One image of a commit, compared with the registry."""

    name: str
    path: str
    state: str
    action: str
    reasons: tuple[str, ...]
    key: str
    """Empty where it cannot be known."""
    digest: str
    """What the registry has under the key, or an empty string."""
    parents: tuple[str, ...]
    externals: tuple[str, ...]
    shared: tuple[str, ...]
    tags: tuple[str, ...]
    """Those that are to name it and do not, as far as they are known before a build."""
    moment: int = 0
    """What it was, or is to be, renewed for, in seconds since 1970; 0 for an image that never was."""


@dataclass(frozen=True, kw_only=True)
class PlannedChart:
    """One chart of a commit, compared with the registry."""

    name: str
    version: str
    path: str
    state: str
    action: str
    reasons: tuple[str, ...]
    digest: str
    parents: tuple[str, ...]
    """Folders of charts that it depends on."""
    images: tuple[str, ...]
    """Images of the same repository that its values name."""


@dataclass(frozen=True, kw_only=True, order=True)
class Follower:
    """A values file that names an image of the same repository, and so follows it; beside a chart's own values.yaml."""

    file: str
    image: str


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
    """Images to build: those of one wave stand on earlier waves alone."""
    findings: tuple[Finding, ...]
    followers: tuple[Follower, ...] = ()
    deploys: tuple[str, ...] = ()
    """Where a run of this ref would write: `charts`, where they do not name the images as they are, and environments."""

    @property
    def everything(self) -> tuple[PlannedImage | PlannedChart, ...]:
        """Images and charts."""
        return (*self.images, *self.charts)

    @property
    def blocked(self) -> int:
        """How many images, charts and findings keep the whole from being done, before people change something."""
        stuck = sum(item.state in STUCK for item in self.everything)
        return stuck + sum(finding.level == ERROR for finding in self.findings)

    @property
    def unknown(self) -> int:
        """How many images and charts a registry left a question open about."""
        return sum(item.state == UNKNOWN for item in self.everything)

    @property
    def to_do(self) -> int:
        """How many images and charts something is to be done for."""
        return sum(item.action != NOTHING for item in self.everything)


@dataclass(frozen=True, kw_only=True)
class RetagJob:
    """An image that is published and lacks tags."""

    name: str
    digest: str
    tags: tuple[str, ...]
    renews: str
    """The lasting key, where it does not lead to this image yet; else empty."""
    moment: int


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A plan as a workflow reads it: lists to fan out over, and numbers to decide by; without any, nothing was planned."""

    commit: str = ""
    ref: str = ""
    now: int = 0
    """When it was made, in seconds since 1970: the same plan can be made again with it."""
    wave_1: tuple[ImageJob, ...] = ()
    """Builds side by side."""
    wave_2: tuple[ImageJob, ...] = ()
    wave_3: tuple[ImageJob, ...] = ()
    wave_4: tuple[ImageJob, ...] = ()
    wave_5: tuple[ImageJob, ...] = ()
    wave_6: tuple[ImageJob, ...] = ()
    wave_7: tuple[ImageJob, ...] = ()
    wave_8: tuple[ImageJob, ...] = ()
    builds: tuple[str, ...] = ()
    """Names of the images to build."""
    releases: tuple[str, ...] = ()
    """Names of the charts to release."""
    builder_version: str = ""
    """Which is in every key."""
    lots: int = 0
    """How many of the following are not empty."""
    lot_1: tuple[str, ...] = ()
    """Names of images that one pod can build without publishing them: with each, those to build that it stands on."""
    lot_2: tuple[str, ...] = ()
    lot_3: tuple[str, ...] = ()
    lot_4: tuple[str, ...] = ()
    retag: tuple[RetagJob, ...] = ()
    untagged: int = 0
    """How many images `retag` lists."""
    charts: int = 0
    """How many charts are to be released."""
    deploys: int = 0
    """How many places a deployment would write to, as far as a plan can know."""
    to_do: int = 0
    blocked: int = 0
    """How many images, charts and findings keep the whole from being done."""
    unknown: int = 0
    plan: str = ""
    """All of it, as JSON, for people."""
    settled: str = ""
    """The same, packed, where nothing is to be done and it is short enough for an argument; else empty."""


@dataclass(frozen=True, kw_only=True)
class Retagged:
    """What the step retag did."""

    images: int
    tags: int
    """How many tags name these images now."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a run left what it planned."""

    verdict: str
    """One line for people."""
    commit: str
    published: int
    """Images and charts that the registry has as the commit declares them."""
    untagged: int
    """Images of those that still lack tags."""
    summary: str
    """What became of each image and chart: an Outcome, as JSON."""
