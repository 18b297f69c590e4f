"""The inputs of a build: read from the checkout, and checked before a builder starts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError
from pipelines.images import build_context, dockerfile_checks, image_config, layer_cache
from pipelines.images import dockerfile as image_dockerfile
from pipelines.images.dockerfile import SelectedStages, StageUse
from pipelines.images.dockerfile_pins import last_line, pin, stage_name
from pipelines.images.dockerfile_syntax import Instruction
from pipelines.images.image_config import BaseImage
from pipelines.images.model import Base, Checkout
from pipelines.images.platforms import this_platform
from pipelines.step.log import say
from pipelines.tools.registry.layout import LAYER_TIME, Layout

_SECRET_ID = re.compile(r"[A-Za-z0-9._-]+")
_RESERVED = re.compile(r"BUILDKIT_.*|SOURCE_DATE_EPOCH")
_ALIAS = "shipway.invalid/base:"
_NONE: Mapping[int, str] = {}


@dataclass(frozen=True, kw_only=True)
class BuildInputs:
    """One Dockerfile of a checkout, with the images it is based on and the secrets it may read."""

    checkout: Checkout
    selected: SelectedStages
    triggers: Mapping[str, tuple[Instruction, ...]]
    """What the bases run in the stages that are based on them, by the base's name in the Dockerfile."""
    context: Path
    ignore: str
    bases: Layout
    images: tuple[Base, ...]
    """Those of the checkout's bases that the target needs, in the order of the file."""
    base_images: tuple[BaseImage, ...]
    """The same images with their configurations, under the names that labels may give them."""
    secrets: Mapping[str, Path]

    @property
    def aliases(self) -> dict[str, str]:
        """The alias of each image for builders: it holds the digest, and no registry has it."""
        return {image.name: _ALIAS + image.digest.hex for image in self.images}

    @property
    def build_args(self) -> tuple[str, ...]:
        """The arguments, and the time for Dockerfiles that declare SOURCE_DATE_EPOCH."""
        has_time = "SOURCE_DATE_EPOCH" in self.selected.file.arguments
        return (*self.checkout.build_args, *([f"SOURCE_DATE_EPOCH={LAYER_TIME}"] if has_time else []))

    @property
    def has_steps(self) -> bool:
        """Whether a RUN may run: one of the Dockerfile, whatever its stage, or a trigger of a base."""
        own = any(instruction.name in {"RUN", "ONBUILD"} for instruction in self.selected.file.instructions)
        return own or any(self.triggers.values())

    def pinned_dockerfile(self, inserted: Mapping[int, str] = _NONE, mounted: Mapping[int, str] = _NONE) -> str:
        """Return the Dockerfile with each image under its alias, some lines added, and mounts of some stages renamed.

        See dockerfile_pins.
        """
        return pin(self.selected, aliases=self.aliases, inserted=inserted, mounted=mounted)

    def lines_for_buildah(self) -> dict[int, str]:
        """Return the lines that correct buildah's cache and its reading of bases, by the line that each goes before."""
        configs = {image.name: base.config for image, base in zip(self.images, self.base_images, strict=True)}
        triggers = [trigger for each in self.triggers.values() for trigger in each]
        reads_files = layer_cache.mounts_files([*self.selected.file.instructions, *triggers])
        lines = layer_cache.marks(
            self.selected,
            images={name: _hash(image_config.without_derived_labels(config)) for name, config in configs.items()},
            context=build_context.digest(self.context) if reads_files else "",
            triggers=self.triggers,
        )
        for use in self.selected.uses:
            if use.label == "FROM" and use.to is None:
                base = self.selected.external(use).id
                shell = (configs[base].get("config") or {}).get("Shell")
                more = [f"SHELL {json.dumps(shell)}"] if shell else []
                more += [self._line(trigger, use) for trigger in self.triggers[base]]
                lines[use.instruction.end + 1] = "\n".join([lines[use.instruction.end + 1], *more])
        for number, name in layer_cache.mounted(self.selected).items():
            stage = self.selected.file.stages[number]
            before = lines.get(last_line(stage) + 1)
            more = [*([before] if before else []), f"FROM {stage_name(self.selected, number)} AS {name}"]
            lines[last_line(stage) + 1] = "\n".join(more)
        return lines

    def _line(self, trigger: Instruction, use: StageUse) -> str:
        """Return a trigger as one line that does not go on in the next; raises Refused if that is not possible."""
        text = trigger.text.strip()
        if trigger.heredocs or text.endswith(("\\", "`")):
            raise Refused(
                f"{self.selected.file.at(use.instruction)}: buildah cannot run a trigger of the base",
                seen=f"ONBUILD {trigger.shown}",
                todo="build with BuildKit, or use a base without it",
            )
        return text


def read(
    checkout: Checkout,
    *,
    source: Path,
    bases: Path,
    context: str,
    secrets: Path,
    secret_ids: Collection[str],
    exclude: Collection[str] = (),
) -> BuildInputs:
    """Return the inputs of a checkout's build.

    Raises Refused, Misuse or Misconfigured, with the line if there is one.
    """
    _check_arguments(checkout.build_args)
    file = build_context.inside(source, checkout.dockerfile, "Dockerfile")
    if not file.is_file():
        raise ShipwayError(f"{checkout.dockerfile} is not a Dockerfile", seen="not a file", todo="name another")
    dockerfile = image_dockerfile.read_file(file, checkout.dockerfile)
    selected = dockerfile.select(
        checkout.build_args, target=checkout.target, platform=checkout.platform, build_platform=this_platform()
    )
    dockerfile_checks.check(dockerfile, secrets=secret_ids)
    dockerfile_checks.check_platform(selected)
    folder = build_context.folder(source, context or checkout.path)
    layout = Layout(bases.resolve())
    images = _images(selected, checkout)
    base_images = tuple(BaseImage.read(image, layout) for image in images)
    of_bases = {image.name: base.triggers for image, base in zip(images, base_images, strict=True)}
    triggers = dockerfile_checks.triggers_of(selected, of_bases)
    dockerfile_checks.check_triggers(selected, triggers, secrets=secret_ids)
    return BuildInputs(
        checkout=checkout,
        selected=selected,
        triggers=triggers,
        context=folder,
        ignore=build_context.ignore(source, checkout.dockerfile, folder, exclude),
        bases=layout,
        images=images,
        base_images=base_images,
        secrets=_secrets(secrets.resolve(), secret_ids, dockerfile_checks.secret_ids(dockerfile), dockerfile.where),
    )


def _images(selected: SelectedStages, checkout: Checkout) -> tuple[Base, ...]:
    fetched = {base.name: base for base in checkout.bases}
    for external in selected.externals:
        if external.id not in fetched:
            raise Misuse(
                f"{selected.file.where}:{external.line}: the image {external.name} was not fetched",
                seen=f"fetched: {', '.join(fetched) or 'none'}",
                todo="run the step clone with the same Dockerfile, target and arguments",
            )
    return tuple(fetched[external.id] for external in selected.externals)


def _secrets(folder: Path, declared: Collection[str], mounted: Collection[str], where: str) -> dict[str, Path]:
    for name in declared:
        if not _SECRET_ID.fullmatch(name):
            raise Misuse("not a secret's id", seen=repr(name[:100]), todo="use letters, digits and . _ -")
    if without := sorted({*mounted} - {*declared}):
        say(f"{where} is built without the secrets {', '.join(without)}, which are not declared")
    found = {name: folder / name for name in sorted({*mounted} & {*declared})}
    for name, path in found.items():
        if not path.is_file():
            raise Misconfigured(
                f"the secret {name} has no value here",
                seen=f"{folder.name} holds {', '.join(sorted(p.name for p in folder.glob('[!.]*'))) or 'nothing'}",
                todo=f"put a file {name} into the folder of the build's secrets",
            )
    return found


def _check_arguments(build_args: Sequence[str]) -> None:
    for argument in build_args:
        name, equals, _ = argument.partition("=")
        if not equals or not name.isidentifier():
            raise Misuse("a build argument is not NAME=value", seen=repr(argument[:100]), todo="write NAME=value")
        if _RESERVED.fullmatch(name):
            raise Refused(
                "a build argument that steers the builder itself", seen=name, todo="leave it out: Shipway sets these"
            )


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
