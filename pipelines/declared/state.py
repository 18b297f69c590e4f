"""How a commit's images and charts compare with the registry, and what is to be done: the words of every plan."""

from __future__ import annotations

from dataclasses import dataclass

PUBLISHED = "published"
ABSENT = "absent"
DIFFERENT = "different"
UNKNOWN = "unknown"
BLOCKED = "blocked"
"""States: in the registry as declared; not there; a version that is published with different content; a registry did
not answer; not to be built before a finding is dealt with."""
UNPUBLISHED = "unpublished"
"""A chart that is not meant for the registry, which is never asked for it."""
HELD = "held back"
"""A chart that is not released, because an image that its values name is not published, for whatever reason."""
IDENTICAL = "identical"
BROKEN = "broken"
"""What chart-clone and chart-publish say of a chart for PUBLISHED and BLOCKED: no archive can be made of a broken one,
for a reason that is among the findings."""

BUILD = "build"
TAG = "tag"
RELEASE = "release"
NOTHING = "nothing"
"""Actions: build and publish an image, only move its tags, publish a chart, or none."""


@dataclass(frozen=True, kw_only=True)
class PlanRow:
    """An image or a chart of a commit, compared with the registry."""

    name: str
    path: str
    """Its folder, relative to the repository's root."""
    state: str
    action: str
    reasons: tuple[str, ...]
    digest: str
    """What the registry has, or an empty string."""
    parents: tuple[str, ...]
    """What it depends on: names of images, or folders of charts."""
