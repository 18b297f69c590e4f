"""What one step hands to the next: the results of `clone`, `build` and `push`.

Each is stored as a folder of files by `pipelines.step.signature`, one file a field.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.declared.state import PlanRow
from pipelines.tools.registry.reference import Digest


@dataclass(frozen=True, kw_only=True)
class Base:
    """An image that a Dockerfile names, fetched into the workspace."""

    name: str
    """As the Dockerfile writes it, arguments expanded: `debian:bookworm-slim`, `base`."""
    reference: str
    """The whole reference it stands for, tag included."""
    resolved: Digest
    """What the tag named: an index, or the manifest itself."""
    digest: Digest
    """The manifest of the platform, named `digest` in the layout `bases`."""
    sibling: bool
    """Whether it is an image of the same repository."""


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """One commit of a repository in the workspace, with the images that one Dockerfile of it stands on."""

    repo: str
    revision: str
    """As it was asked for."""
    ref: str
    """The full ref that the revision named, `refs/heads/main`; empty for a bare commit id."""
    commit: str
    time: int
    """The commit's time, in seconds since 1970."""
    tree: str
    path: str
    """The image's folder, relative to the repository's root."""
    dockerfile: str
    """Relative to the repository's root, like the path."""
    target: str
    build_args: tuple[str, ...]
    platform: str
    bases: tuple[Base, ...]


@dataclass(frozen=True, kw_only=True)
class Built:
    """An image in the workspace, ready to be published."""

    digest: Digest
    name: str
    version: str
    size: int
    """Bytes of the manifest's layers, compressed."""
    layers: int
    builder: str
    """The builder's kind; which version it was is in the key."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """An image in a registry, read back by digest."""

    digest: Digest
    reference: str
    """By digest."""
    commit: str
    tags: tuple[str, ...]
    """Those that name this digest now."""
    size: int


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
class PlannedImage(PlanRow):
    """One image of a commit, compared with the registry; its digest is what the registry has under the key."""

    key: str
    """Empty where it cannot be known."""
    externals: tuple[str, ...]
    shared: tuple[str, ...]
    tags: tuple[str, ...]
    """Those that are to name it and do not, as far as they are known before a build."""
    moment: int = 0
    """What it was, or is to be, renewed for, in seconds since 1970; 0 for an image that never was."""


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
class Retagged:
    """What the step retag did."""

    images: int
    tags: int
    """How many tags name these images now."""
