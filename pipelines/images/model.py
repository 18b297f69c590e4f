"""The results of the steps about images, and the values of a plan of images.

`pipelines.step.signature` stores a step's result as a folder with one file for each field.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.step.texts import Address, Name, ObjectId
from pipelines.tools.git.fetched_commit import FetchedCommit
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
class Checkout(FetchedCommit):
    """One commit of a repository in the workspace, with the images that one of its Dockerfiles is based on."""

    path: str
    """The image's folder, relative to the repository's root."""
    dockerfile: str
    """Relative to the repository's root, like the path."""
    target: str
    build_args: tuple[str, ...]
    platform: str
    bases: tuple[Base, ...]
    formerly: tuple[str, ...] = ()
    """Earlier addresses of the repository, as shipway.yaml lists them."""
    name: Name = ""
    """The image's name by shipway.yaml and its path; empty if that cannot be one."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """An image in the workspace, ready to be published."""

    digest: Digest
    name: Name
    version: Name
    size: int
    """Bytes of the manifest's layers, compressed."""
    layers: int
    builder: Name
    """The builder's kind; its version is in the key."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """An image in a registry, read back by digest."""

    name: Name
    digest: Digest
    reference: Address
    """By digest."""
    commit: ObjectId
    tags: tuple[Name, ...]
    """Those that name this digest now."""
    size: int
