"""Dockerfiles: their stages, and the images from outside that a build of one target needs.

BuildKit's own parser (package `dockerfile`) reads them; this module follows the names and expands the variables. The
rules are those of BuildKit's dockerfile2llb: FROM sees only the ARGs before the first FROM, a stage is named by AS or
its number, and only stages that the target reaches are built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipelines import bounds
from pipelines.errors import Misuse, ShipwayError
from pipelines.images import dockerfile_syntax, variables
from pipelines.images.dockerfile_syntax import Instruction
from pipelines.images.platforms import normalized
from pipelines.tools.registry.reference import Reference

_MOST_DIGITS = 10
_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class ExternalImage:
    """An image from outside the Dockerfile, as one line of it names it."""

    name: str
    """Arguments expanded."""
    line: int
    instruction: str
    platform: str = ""
    """The one that its stage asks for; empty: that of the image."""

    @property
    def id(self) -> str:
        """The name, with the platform if it has one of its own: one Dockerfile may need an image for two."""
        return f"{self.name} {self.platform}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One FROM and what follows it."""

    name: str
    """In lower case, or an empty string: BuildKit compares stage names without case."""
    base: Instruction
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, kw_only=True)
class StageUse:
    """One place where a stage names an image or another stage."""

    stage: int
    """The number of the stage that names it."""
    instruction: Instruction
    written: str
    name: str
    """As written, arguments expanded."""
    label: str
    """FROM, COPY --from, ADD --from or RUN --mount."""
    to: int | None
    """The number of the stage it means; None for an image from outside."""


@dataclass(frozen=True, kw_only=True)
class Dockerfile:
    """A Dockerfile that was read; `where` names it in messages."""

    where: str
    text: str
    """Settled; see dockerfile_syntax."""
    globals: tuple[Instruction, ...]
    stages: tuple[Stage, ...]

    def select(
        self, build_args: Sequence[str] = (), *, target: str = "", platform: str = "", build_platform: str = ""
    ) -> SelectedStages:
        """Return what is built for a target (the last stage if it is empty); raises Misuse if it does not exist.

        `build_platform` is that of the builder's machine; empty: the same. Nothing is expanded yet: see SelectedStages.
        """
        index = self._stage(target.lower(), len(self.stages)) if target else len(self.stages) - 1
        if index is None:
            names = [stage.name for stage in self.stages if stage.name]
            raise Misuse(f"{self.where} has no stage {target!r}", seen=f"stages: {', '.join(names) or 'none named'}")
        machine = build_platform or platform
        return SelectedStages(
            file=self, target=index, build_args=tuple(build_args), platform=platform, build_platform=machine
        )

    @property
    def instructions(self) -> Iterator[Instruction]:
        """The instructions of all stages, without their FROM."""
        return (instruction for stage in self.stages for instruction in stage.instructions)

    @property
    def arguments(self) -> frozenset[str]:
        """The names of all arguments that it declares anywhere."""
        declared = (i for i in (*self.globals, *self.instructions) if i.name == "ARG")
        return frozenset(word.partition("=")[0] for instruction in declared for word in instruction.words)

    @cached_property
    def escape(self) -> str:
        """The character that escapes others."""
        return dockerfile_syntax.escape_of(self.text)

    def at(self, instruction: Instruction) -> str:
        """Return where an instruction starts, for messages."""
        return f"{self.where}:{instruction.line}"

    def uses(self, index: int, scope: Mapping[str, str]) -> list[StageUse]:
        """Return each place where a stage names an image or another stage.

        Raises Misuse if a variable has no value, Refused if a trigger of an earlier stage names an image.
        """
        stage = self.stages[index]
        base = self._base(stage.base, scope)
        earlier = next((i for i in range(index - 1, -1, -1) if self.stages[i].name == base.lower() != ""), None)
        uses = [
            StageUse(
                stage=index, instruction=stage.base, written=stage.base.words[0], name=base, label="FROM", to=earlier
            )
        ]
        if earlier is not None:
            self._check_own_triggers(self.stages[earlier])
        for instruction in stage.instructions:
            for name, label in instruction.sources:
                if "$" in name:
                    raise Misuse(
                        f"{self.at(instruction)}: {label} names an image by a variable",
                        seen=instruction.shown,
                        todo="name a stage there, and give that stage the variable: ARG before FROM ${…} AS stage",
                    )
                to = self._stage(name.lower(), index)
                uses.append(StageUse(stage=index, instruction=instruction, written=name, name=name, label=label, to=to))
        return [use for use in uses if use.to is not None or use.name != "scratch"]

    def _base(self, instruction: Instruction, scope: Mapping[str, str]) -> str:
        written, where = instruction.words[0], self.at(instruction)
        name, unset = variables.expand(written, scope, where, escape=self.escape)
        try:
            Reference.parse(name)
        except ShipwayError as error:
            if unset:
                raise variables.no_value(unset[0], written, where) from error
            if not name:
                raise Misuse(f"{where}: FROM names no image", seen=instruction.shown, todo="name one") from error
        return name

    def _check_own_triggers(self, base: Stage) -> None:
        for instruction in base.instructions:
            if instruction.name == "ONBUILD":
                dockerfile_syntax.check_trigger(instruction.trigger, self.at(instruction))

    def _stage(self, name: str, before: int) -> int | None:
        for index in range(before - 1, -1, -1):
            if name and self.stages[index].name == name:
                return index
        number = int(name) if name.isascii() and name.isdigit() and len(name) < _MOST_DIGITS else before
        return number if number < before else None


@dataclass(frozen=True, kw_only=True)
class SelectedStages:
    """The stages that a build of one target, with some arguments and for one platform, goes through.

    Every property raises Misuse with the line if an ARG has no value.
    """

    file: Dockerfile
    target: int
    build_args: tuple[str, ...]
    platform: str
    build_platform: str

    @cached_property
    def externals(self) -> tuple[ExternalImage, ...]:
        """The images from outside that are needed, each once for a platform, in the file's order."""
        first: dict[str, ExternalImage] = {}
        for use in self.uses:
            if use.to is None:
                external = self.external(use)
                first.setdefault(external.id, external)
        return tuple(first.values())

    def external(self, use: StageUse) -> ExternalImage:
        """Return the image from outside that a use means; what is copied from is of the image's platform."""
        asked = self.platform_of(self.file.stages[use.stage]) if use.label == "FROM" else self.platform
        own = asked if asked != self.platform else ""
        return ExternalImage(name=use.name, line=use.instruction.line, instruction=use.label, platform=own)

    def platform_of(self, stage: Stage) -> str:
        """Return the platform that a stage is for; raises Misuse if its FROM names none."""
        where, written = self.file.at(stage.base), stage.base.flag("platform")
        asked, unset = variables.expand(written, self.scope, where, escape=self.file.escape)
        if unset and not asked:
            raise variables.no_value(unset[0], written, where)
        return normalized(asked, where) if written else self.platform

    @cached_property
    def uses(self) -> tuple[StageUse, ...]:
        """Each place where one of the stages names an image or another stage, in the file's order."""
        reached, uses = {self.target}, list[StageUse]()
        for index in range(len(self.file.stages) - 1, -1, -1):
            if index in reached:
                own = self.file.uses(index, self.scope)
                reached |= {use.to for use in own if use.to is not None}
                uses = own + uses
        return tuple(uses)

    @cached_property
    def reached(self) -> tuple[int, ...]:
        """The numbers of the stages, sorted."""
        return tuple(sorted({self.target, *(use.to for use in self.uses if use.to is not None)}))

    @cached_property
    def scope(self) -> dict[str, str]:
        """The arguments that FROM lines see: those before the first FROM, and the platform's."""
        values = self.values_by_name
        known = {**_arguments("TARGET", self.platform), **_arguments("BUILD", self.build_platform)}
        scope = {name: values.get(name, text) for name, text in known.items()}
        for instruction in self.file.globals:
            for word in instruction.words:
                name, equals, default = word.partition("=")
                if name in values:
                    scope[name] = values[name]
                elif equals:
                    where = self.file.at(instruction)
                    scope[name], _ = variables.expand(default, scope, where, escape=self.file.escape)
        return scope

    @property
    def values_by_name(self) -> dict[str, str]:
        """The build arguments by name."""
        return dict(argument.partition("=")[::2] for argument in self.build_args)


def _arguments(side: str, platform: str) -> dict[str, str]:
    system, _, machine = platform.partition("/")
    machine, _, variant = machine.partition("/")
    parts = {"PLATFORM": platform, "OS": system, "OSVERSION": "", "ARCH": machine, "VARIANT": variant}
    return {f"{side}{name}": text for name, text in parts.items() if platform}


def read(text: str, where: str) -> Dockerfile:
    """Return the Dockerfile in a text.

    Raises ShipwayError with the line that cannot be read, Refused with that of a frontend other than
    docker/dockerfile:1, or of what builders would read in different ways.
    """
    settled = dockerfile_syntax.settle(text, where)
    instructions = dockerfile_syntax.read(settled, where)
    first = next((i for i, instruction in enumerate(instructions) if instruction.name == "FROM"), None)
    if first is None:
        at = f"{where}:{instructions[0].line}" if instructions else where
        raise ShipwayError(f"{at}: there is no FROM", seen=f"{len(instructions)} instructions", todo="start with FROM")
    starts = [number for number, instruction in enumerate(instructions) if instruction.name == "FROM"]
    stages = tuple(
        _stage(instructions[start], instructions[start + 1 : end], where)
        for start, end in zip(starts, [*starts[1:], len(instructions)], strict=True)
    )
    return Dockerfile(where=where, text=settled, globals=instructions[:first], stages=stages)


def read_file(path: Path, where: str) -> Dockerfile:
    """Return the Dockerfile in a file; raises what `read_bytes` raises."""
    return read_bytes(bounds.read_file(path, where), where)


def read_bytes(data: bytes, where: str) -> Dockerfile:
    """Return the Dockerfile in some bytes, of which only comments may be other than UTF-8: BuildKit skips them.

    Raises what `read` raises, Refused if it is too large, ShipwayError for an instruction that is not UTF-8.
    """
    found = read(bounds.text_of(data, where, errors="replace"), where)
    lines = data.split(b"\n")
    for instruction in (*found.globals, *(one for stage in found.stages for one in (stage.base, *stage.instructions))):
        bounds.text_of(b"\n".join(lines[instruction.line - 1 : instruction.end]), f"{where}:{instruction.line}")
    return found


def _stage(base: Instruction, instructions: tuple[Instruction, ...], where: str) -> Stage:
    words = base.words
    if len(words) == 3 and words[1].upper() == "AS" and _STAGE_NAME.fullmatch(words[2].lower()):
        return Stage(name=words[2].lower(), base=base, instructions=instructions)
    if len(words) != 1:
        raise ShipwayError(
            f"{where}:{base.line}: FROM cannot be read", seen=base.shown, todo="write FROM image [AS name]"
        )
    return Stage(name="", base=base, instructions=instructions)
