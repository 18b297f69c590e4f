"""A commit's images as they are planned, and the jobs of builds and tags.

Apart from the results of `clone`, `build` and `push`, which load at every start of their pods.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.declared.state import PlanRow
from pipelines.step.texts import BRIEF, BuildArgument, Hash, Name, Plain


@dataclass(frozen=True, kw_only=True)
class ImageJob:
    """One build, as an item of a fan-out: every argument of clone-build-push except those of the commit.

    Lists are not JSON texts: when Argo passes an item on, a text in it keeps the backslashes of its JSON. What is as in
    most jobs is left out, since the names of nodes hold all of an item.
    """

    name: Name
    title: Name
    """What Argo shows its node as."""
    path: Plain
    dockerfile: Plain
    target: Plain = field(default="", metadata=BRIEF)
    build_args: tuple[BuildArgument, ...] = field(default=(), metadata=BRIEF)
    secret_ids: tuple[Plain, ...] = field(default=(), metadata=BRIEF)
    shared: tuple[Plain, ...] = field(default=(), metadata=BRIEF)
    """Folders of the repository that the context also contains."""
    exclude: tuple[Plain, ...] = field(default=(), metadata=BRIEF)
    """Files of the context that no build sees, because deployments write them."""
    version: Plain
    platform: Name
    key: Hash
    renews: Hash = field(default="", metadata=BRIEF)
    """The lasting key, which will lead to this build; empty if it is the key itself."""
    moment: int = field(default=0, metadata=BRIEF)
    """The moment of the renewal, in seconds since 1970; 0 if the build is not a renewal."""
    pins: tuple[Plain, ...]
    """The images that the Dockerfile's names mean: each `name=sha256:…`, or `name=key-…` for an image of this plan."""
    parents: tuple[Name, ...] = field(default=(), metadata=BRIEF)
    """The images of earlier waves of the same plan that it depends on, in the order of the waves."""
    requires: Plain = field(default="''", metadata=BRIEF)
    """The same as an expression that the names of what was built must match, in quotes, for Argo's `when`."""


@dataclass(frozen=True, kw_only=True)
class PlannedImage(PlanRow):
    """One image of a commit, compared with the registry; its digest is what the registry has under the key."""

    key: str
    """Empty if it is unknown."""
    externals: tuple[str, ...]
    shared: tuple[str, ...]
    tags: tuple[str, ...]
    """The tags that should name it and do not yet, as far as they are known before a build."""
    dockerfile: str = ""
    moment: int = 0
    """The moment of its last renewal, or of the one to make, in seconds since 1970; 0 if there is none."""


@dataclass(frozen=True, kw_only=True)
class RetagJob:
    """An image that is published and lacks tags."""

    name: str
    digest: str
    tags: tuple[str, ...]
    renews: str
    """The lasting key if it does not lead to this image yet, else empty."""
    moment: int
