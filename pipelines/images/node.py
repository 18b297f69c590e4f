"""The parts of a graph of images: its nodes, its edges, and the target they are built for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.declared.finding import Finding
from pipelines.declared.shipway_yaml import ImageSettings
from pipelines.images.context import Context
from pipelines.images.dockerfile import ExternalImage
from pipelines.images.names import Image, platform_of
from pipelines.images.platforms import are_several

MOST_WAVES = 8
"""The workflow has a fixed number of them."""


@dataclass(frozen=True, kw_only=True)
class BuildTarget:
    """The platforms, the builder and the arguments; the same for all images of a plan."""

    platforms: tuple[str, ...]
    """Of images for which shipway.yaml declares none."""
    native: frozenset[str] = frozenset()
    """Platforms with builders of their own."""
    emulated: frozenset[str] = frozenset()
    """Further architectures whose RUN steps an emulator runs."""
    builder: str
    """Its kind."""
    builder_version: str
    compression: str
    here: str = ""
    """The platform of the machine that builds what has no builder of its own."""
    build_args: tuple[str, ...] = ()
    """For every Dockerfile; they win over those of shipway.yaml."""

    def machine(self, platform: str) -> str:
        """Return the platform of the machine that builds for a platform."""
        return platform if platform in self.native or not self.here else self.here


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A line that names an image of the same repository."""

    name: str
    written: str
    """As the Dockerfile names it, arguments expanded."""
    line: int


@dataclass(frozen=True, kw_only=True)
class ImageNode:
    """One image: its inputs, and the images that it depends on."""

    image: Image
    """With several platforms, that of each of them has a name of its own, and that of the index the image's."""
    settings: ImageSettings
    platform: str = ""
    """Of an index: all of them, separated by spaces."""
    build_args: tuple[str, ...] = ()
    """Those that its Dockerfile declares, sorted by name."""
    dockerfile: str = ""
    """Digest of the Dockerfile's content."""
    context: Context | None = None
    parents: tuple[Edge, ...] = ()
    externals: tuple[ExternalImage, ...] = ()
    without: tuple[str, ...] = ()
    """The secrets that its Dockerfile mounts and that are not declared: it is built without them."""
    blocked: str = ""
    """Why it cannot be built; empty where it can."""

    @property
    def name(self) -> str:
        """The image's name."""
        return self.image.name

    @property
    def is_index(self) -> bool:
        """Whether it only lists the images of several platforms, which are its parents."""
        return are_several(self.platform)

    @property
    def is_part(self) -> bool:
        """Whether it is one platform's part of an image that has several; no tag of a ref names it."""
        return bool(platform_of(self.name))

    @property
    def parent_names(self) -> tuple[str, ...]:
        """The images of the repository that it depends on, each once."""
        return tuple(dict.fromkeys(edge.name for edge in self.parents))


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Every image by name, parents first."""

    nodes: Mapping[str, ImageNode]
    off: tuple[Image, ...]
    """Those that shipway.yaml switches off."""
    clashing: Mapping[str, tuple[Image, ...]] = field(default_factory=dict)
    """Those that share a name, by it; the first of them is among the nodes, blocked."""
    findings: tuple[Finding, ...] = field(repr=False)
