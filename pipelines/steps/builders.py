"""The builder that the settings name."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import Misconfigured
from pipelines.tools.buildah import Buildah
from pipelines.tools.builder import Builder
from pipelines.tools.buildkit import BuildKit


def choose(kind: str, host: str, cache: Path) -> Builder:
    """Return the builder of a kind, `host` the running one's address where there is one; raises Misconfigured."""
    if kind == Buildah.kind:
        return Buildah(cache)
    if kind == BuildKit.kind:
        return BuildKit(cache, host)
    raise Misconfigured("the setting builder is not known", seen=repr(kind), todo="use buildah or buildkit")
