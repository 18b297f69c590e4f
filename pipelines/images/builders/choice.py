"""Chooses the builder that the settings name; planning asks for its version and loads nothing else that builds."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import Misconfigured
from pipelines.images.builders import sandbox
from pipelines.images.builders.buildah import Buildah
from pipelines.images.builders.builder import Builder
from pipelines.images.builders.buildkit import BuildKit
from pipelines.step.groups import BuilderSettings


def choose_builder(settings: BuilderSettings, cache: Path, *, isolation: str = sandbox.SANDBOX) -> Builder:
    """Return the builder that the settings name, with a folder for its layers; raises Misconfigured."""
    sandbox.check(isolation)
    if settings.builder == Buildah.kind:
        return Buildah(cache, isolation=isolation)
    if settings.builder == BuildKit.kind:
        return BuildKit(cache, settings.buildkit_host)
    raise Misconfigured("the setting builder is not known", seen=repr(settings.builder), todo="use buildah or buildkit")
