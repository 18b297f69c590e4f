"""The results of the steps about images, and the values of a plan of images.

`pipelines.step.signature` stores a step's result as a folder with one file for each field.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.declared.state import PlanRow
from pipelines.tools.registry.reference import Digest


@dataclass(frozen=True, kw_only=True)
class Base:
    """An image that a Dockerfile names, fetched into the workspace."""

    name: str
    """As in the Dockerfile, arguments expanded: `debian:bookworm-slim`, `base`."""
    reference: str
    """The whole reference, tag included."""
    resolved: Digest
    """The digest that the tag named: of an index, or of the manifest itself."""
    digest: Digest
    """The manifest of the platform, named `digest` in the layout `bases`."""
    sibling: bool
    """Whether it is an image of the same repository."""


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """One commit of a repository in the workspace, with the images that one of its Dockerfiles is based on."""

    repo: str
    revision: str
    """As it was asked for."""
    ref: str
    """The full ref that the revision named, `refs/heads/main`; empty if it was a commit id."""
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
    """The builder's kind; its version is in the key."""


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
    """One build, as an item of a fan-out: every argument of clone-build-push except those of the commit.

    Lists are not JSON texts: when Argo passes an item on, a text in it keeps the backslashes of its JSON.
    """

    name: str
    path: str
    dockerfile: str
    target: str
    build_args: tuple[str, ...]
    secret_ids: tuple[str, ...]
    shared: tuple[str, ...]
    """Folders of the repository that the context also contains."""
    exclude: tuple[str, ...]
    """Files of the context that no build sees, because deployments write them."""
    version: str
    platform: str
    key: str
    renews: str
    """The lasting key, which will lead to this build; empty if it is the key itself."""
    moment: int
    """The moment of the renewal, in seconds since 1970; 0 if the build is none."""
    pins: tuple[str, ...]
    """The images that the Dockerfile's names mean: each `name=sha256:…`, or `name=key-…` for an image of this plan."""
    parents: tuple[str, ...]
    """The images of earlier waves of the same plan that it depends on."""


@dataclass(frozen=True, kw_only=True)
class PlannedImage(PlanRow):
    """One image of a commit, compared with the registry; its digest is what the registry has under the key."""

    key: str
    """Empty if it is unknown."""
    externals: tuple[str, ...]
    shared: tuple[str, ...]
    tags: tuple[str, ...]
    """The tags that should name it and do not yet, as far as they are known before a build."""
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


@dataclass(frozen=True, kw_only=True)
class Retagged:
    """The result of the step retag."""

    images: int
    tags: int
    """How many tags name these images now."""
