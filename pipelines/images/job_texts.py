"""What a repository says of an image becomes arguments of its build, which Argo takes for templates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipelines.declared import shipway_yaml
from pipelines.declared.shipway_yaml import Configuration, ImageSettings
from pipelines.errors import ShipwayError
from pipelines.images.names import Image
from pipelines.step.texts import BUILD_ARGUMENT, PLAIN, Narrow, Unfit


def check(
    image: Image,
    settings: ImageSettings,
    configuration: Configuration,
    *,
    build_args: Iterable[str],
    excluded: Iterable[str],
) -> None:
    """Raise ShipwayError, with the line, if a text of an image cannot be an argument: it holds `{{`, for example."""
    for field, what, text, narrow in _texts(image, settings, build_args, excluded):
        try:
            narrow.check(text)
        except Unfit as error:
            line = configuration.line(image.dockerfile, field)
            place = f"{shipway_yaml.NAME}:{line}" if line else f"{image.dockerfile}:1"
            raise ShipwayError(
                f"{place}: {what} cannot be passed on", seen=str(error), todo="write it without such characters"
            ) from None


def _texts(
    image: Image, settings: ImageSettings, build_args: Iterable[str], excluded: Iterable[str]
) -> Iterator[tuple[str, str, str, Narrow]]:
    """Yield each text with the field of shipway.yaml that says it, and what it is."""
    yield "", f"the folder {image.path}", image.path, PLAIN
    yield "target", f"the target {settings.target}", settings.target, PLAIN
    yield "version", f"the version {settings.version}", settings.version, PLAIN
    for name in settings.secrets:
        yield "secrets", f"the secret {name}", name, PLAIN
    for folder in settings.shared:
        yield "shared", f"the folder {folder}", folder, PLAIN
    for file in excluded:
        yield "", f"the file {file}", file, PLAIN
    for argument in build_args:
        yield "build_args", f"the build argument {argument.partition('=')[0]}", argument, BUILD_ARGUMENT
