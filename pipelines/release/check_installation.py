"""The step `check-installation`, which `helm test` runs with the settings of builds and in a pod like theirs."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pipelines.errors import Misconfigured
from pipelines.images import build_context, platforms
from pipelines.images.build import build
from pipelines.images.builders.choice import choose_builder
from pipelines.images.model import Checkout
from pipelines.step.groups import BuildSettings, RegistrySettings
from pipelines.step.log import say
from pipelines.step.parameters import PushLogins
from pipelines.step.signature import Arg, Group
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.layout import LAYER_TIME, Layout
from pipelines.tools.registry.reference import Reference

NAME = "shipway-check"
_NO_COMMIT = "0" * 40


def check_installation(
    *,
    docker_config: PushLogins = Path("../push"),
    settings: Annotated[RegistrySettings, Group(without=("shared_names",))],
    builder: Annotated[BuildSettings, Group()],
    program: Annotated[str, Arg("a statically linked program, for the image that is built")] = "buildctl",
) -> InstallationCheck:
    """Ask the registry with the login for pushing, and build an image with one RUN step. Nothing is published.

    Example:
        shipway step check-installation --registry=registry.example.org
    """
    settings.require_registry("publish to", "set `registry`")
    to = Reference.under(settings.registry, settings.project, NAME, tag="none")
    registry_client.connect(docker_config, settings).resolve(to)
    say(f"{settings.registry} answers")
    # In the workspace, like every build: an overlay cannot lie on the overlay of a container's root.
    with tempfile.TemporaryDirectory(prefix="shipway-", dir=Path.cwd()) as folder:
        source = Path(folder) / "source"
        checkout = _checkout(source, program)
        build_context.prepare(source, source.resolve(), standing=builder.is_standing)
        image = build(
            checkout=checkout,
            source=source,
            bases=Layout.create(Path(folder) / "bases").path,
            secrets=Path(folder) / "secrets",
            name=NAME,
            builder=builder,
            into=Path(folder) / "image",
        )
    version = f"{image.builder} {choose_builder(builder, builder.cache).version()}"
    say(f"{version} builds")
    return InstallationCheck(registry=f"{to.registry}/{to.repository.removesuffix(NAME)}".rstrip("/"), builder=version)


def _checkout(source: Path, program: str) -> Checkout:
    """Write a Dockerfile whose RUN step needs no base, and return it like the step clone."""
    path = shutil.which(program)
    if not path:
        raise Misconfigured(
            f"{program} is not on PATH", seen="nothing for a RUN step to run", todo="name a static --program"
        )
    source.mkdir()
    name = Path(path).name
    shutil.copyfile(path, source / name)
    (source / name).chmod(0o755)
    (source / "Dockerfile").write_text(f'FROM scratch\nCOPY {name} /{name}\nRUN ["/{name}", "--help"]\n')
    return Checkout(
        repo="",
        revision="",
        ref="",
        commit=_NO_COMMIT,
        time=LAYER_TIME,
        tree=_NO_COMMIT,
        path=".",
        dockerfile="Dockerfile",
        target="",
        build_args=(),
        platform=platforms.this_platform(),
        bases=(),
    )


@dataclass(frozen=True, kw_only=True)
class InstallationCheck:
    """An installation whose registry and builder both work."""

    registry: str
    """Where its images go: registry and project."""
    builder: str
    """Kind and version of the builder, which has run a Dockerfile."""
