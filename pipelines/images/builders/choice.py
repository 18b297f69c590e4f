"""Chooses the builder that the settings name; planning asks for its version and loads nothing else that builds."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import Misconfigured
from pipelines.images import platforms
from pipelines.images.builders import sandbox
from pipelines.images.builders.buildah import Buildah
from pipelines.images.builders.builder import Builder
from pipelines.images.builders.buildkit import BuildKit
from pipelines.images.node import BuildTarget
from pipelines.step.groups import BuilderSettings, TargetSettings


def target(
    settings: TargetSettings,
    program: Builder,
    *,
    platform: str = "",
    version: str = "",
    build_args: tuple[str, ...] = (),
) -> BuildTarget:
    """Return what images are built for, with one builder; `platform` and `version` are in place of the settings' and
    the builder's own. Raises Misuse, Misconfigured.
    """
    return BuildTarget(
        platforms=platforms.wanted(platform, settings.platforms),
        native=frozenset(platforms.read_platforms(settings.native_platforms.split(","))) | named_hosts(settings).keys(),
        here=platforms.this_platform(),
        emulated=program.emulated(),
        builder=settings.builder,
        builder_version=version or program.version(),
        compression=settings.compression,
        build_args=build_args,
    )


def named_hosts(settings: BuilderSettings) -> dict[str, str]:
    """Return the buildkitd of each platform that the setting names one for: linux/amd64=ADDRESS,linux/arm64=ADDRESS.

    It is empty for the address of one that builds everything. Raises Misuse if something is no platform.
    """
    pairs = [item.strip().partition("=") for item in settings.buildkit_host.split(",")]
    named = [(platform, address) for platform, equals, address in pairs if equals and "://" not in platform]
    return {platforms.normalized(platform, "buildkit-host"): address for platform, address in named}


def choose_builder(
    settings: BuilderSettings, cache: Path, *, platform: str = "", isolation: str = sandbox.SANDBOX
) -> Builder:
    """Return the builder that the settings name, with a folder for its layers; raises Misconfigured.

    Of several buildkitd it is that of the platform, or a new one if it has none; the first, for no platform.
    """
    sandbox.check(isolation)
    if settings.builder == Buildah.kind:
        return Buildah(cache, isolation=isolation)
    if settings.builder == BuildKit.kind:
        hosts = named_hosts(settings) or {platform: settings.buildkit_host}
        return BuildKit(cache, hosts.get(platform, "") if platform else next(iter(hosts.values())))
    raise Misconfigured("the setting builder is not known", seen=repr(settings.builder), todo="use buildah or buildkit")
