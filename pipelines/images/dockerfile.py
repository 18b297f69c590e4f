"""What a Dockerfile stands on: its stages, and the images from outside that the wanted stage needs.

Reading is left to BuildKit's own parser (package `dockerfile`); this module follows the names. The rules are those of
BuildKit's dockerfile2llb: FROM sees only the ARGs before the first FROM, a stage is named by AS or its number,
and only stages that the target reaches are built.

Variables of a Dockerfile, as BuildKit expands them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.errors import Misuse, Refused, ShipwayError

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*")
_FRONTEND = re.compile(
    r"(?:docker\.io/)?docker/dockerfile(?:-upstream)?:1(?:\.[0-9.]+)?(?:-labs)?(?:@sha256:[0-9a-f]{64})?"
)
_MOST_TRIES = 1000


@dataclass(frozen=True, kw_only=True)
class ExternalImage:
    """An image from outside the Dockerfile, as one line of it names it."""

    name: str
    """Arguments expanded."""
    line: int
    instruction: str


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction, with the line it starts on."""

    name: str
    """In capitals: FROM, RUN, COPY."""
    flags: tuple[str, ...]
    words: tuple[str, ...]
    line: int
    end: int
    """The line it ends on, heredocs included."""
    heredocs: tuple[str, ...]
    text: str

    def flag(self, name: str) -> str:
        """Return the value of `--name=value`, or an empty string."""
        return next((f.partition("=")[2] for f in self.flags if f.startswith(f"--{name}=")), "")

    @property
    def mounts(self) -> tuple[dict[str, str], ...]:
        """The options of each `--mount`, by name."""
        values = [f.removeprefix("--mount=") for f in self.flags if f.startswith("--mount=")]
        return tuple(dict(option.partition("=")[::2] for option in value.split(",")) for value in values)


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
    globals: tuple[Instruction, ...]
    stages: tuple[Stage, ...]

    def externals(
        self, build_args: Sequence[str] = (), *, target: str = "", platform: str = ""
    ) -> tuple[ExternalImage, ...]:
        """Return the images that the target (the last stage, unless given) needs, each name once, in the file's order.

        Raises Misuse where an ARG has no value or the target does not exist.
        """
        found: dict[str, ExternalImage] = {}
        for use in self.uses(build_args, target=target, platform=platform):
            if use.to is None:
                external = ExternalImage(name=use.name, line=use.instruction.line, instruction=use.label)
                found.setdefault(use.name, external)
        return tuple(found.values())

    def uses(self, build_args: Sequence[str] = (), *, target: str = "", platform: str = "") -> tuple[StageUse, ...]:
        """Return each place where a stage that the target reaches names an image or another stage, in the file's order.

        Raises Misuse as `externals` does.
        """
        scope = self.scope(build_args, platform)
        wanted, found = {self._target(target)}, list[StageUse]()
        for index in range(len(self.stages) - 1, -1, -1):
            if index in wanted:
                uses = self._uses(index, scope)
                wanted |= {use.to for use in uses if use.to is not None}
                found = uses + found
        return tuple(found)

    def reached(self, build_args: Sequence[str] = (), *, target: str = "", platform: str = "") -> frozenset[int]:
        """Return the numbers of the stages that are built for the target."""
        uses = self.uses(build_args, target=target, platform=platform)
        return frozenset({self._target(target), *(use.to for use in uses if use.to is not None)})

    def _target(self, target: str) -> int:
        if not target:
            return len(self.stages) - 1
        index = self._stage(target.lower(), len(self.stages))
        if index is None:
            names = [stage.name for stage in self.stages if stage.name]
            raise Misuse(f"{self.where} has no stage {target!r}", seen=f"stages: {', '.join(names) or 'none named'}")
        return index

    def _stage(self, name: str, before: int) -> int | None:
        for index in range(before - 1, -1, -1):
            if name and self.stages[index].name == name:
                return index
        return int(name) if name.isdigit() and int(name) < before else None

    def _uses(self, index: int, scope: Mapping[str, str]) -> list[StageUse]:
        stage = self.stages[index]
        base = expand(stage.base.words[0], scope, self._at(stage.base))
        earlier = next((i for i in range(index - 1, -1, -1) if self.stages[i].name == base.lower() != ""), None)
        found = [
            StageUse(
                stage=index, instruction=stage.base, written=stage.base.words[0], name=base, label="FROM", to=earlier
            )
        ]
        for instruction in stage.instructions:
            for name, label in _sources(instruction):
                if "$" in name:
                    raise Misuse(
                        f"{self._at(instruction)}: {label} names an image by a variable",
                        seen=instruction.text.splitlines()[0],
                        todo="name a stage there, and give that stage the variable: ARG before FROM ${…} AS stage",
                    )
                to = self._stage(name.lower(), index)
                found.append(
                    StageUse(stage=index, instruction=instruction, written=name, name=name, label=label, to=to)
                )
        return [use for use in found if use.to is not None or use.name != "scratch"]

    def scope(self, build_args: Sequence[str], platform: str) -> dict[str, str]:
        """Return the arguments that FROM lines see: those before the first FROM, and the platform's."""
        given = dict(arg.partition("=")[::2] for arg in build_args)
        system, _, machine = platform.partition("/")
        scope: dict[str, str] = {}
        if platform:
            for side in ("TARGET", "BUILD"):
                scope |= {f"{side}PLATFORM": platform, f"{side}OS": system, f"{side}ARCH": machine}
        for instruction in self.globals:
            for word in instruction.words:
                name, equals, default = word.partition("=")
                if name in given:
                    scope[name] = given[name]
                elif equals:
                    scope[name] = expand(unquoted(default), scope, self._at(instruction))
        return scope

    def _at(self, instruction: Instruction) -> str:
        return f"{self.where}:{instruction.line}"


def read(text: str, where: str) -> Dockerfile:
    """Return the Dockerfile that `text` writes; raises ShipwayError with the line of what cannot be read.

    A `# syntax=` line other than docker/dockerfile:1 is Refused: it names a program that would run in place of the
    builder's own frontend.
    """
    _check_frontend(text, where)
    try:
        commands = _commands(text)
    except ValueError as error:
        line = _first_unread(text)
        what = f"{where}:{line}: it cannot be read" if line else f"{where} cannot be read"
        raise ShipwayError(what, seen=str(error), todo="correct the Dockerfile") from error
    instructions = [
        Instruction(
            name=command.cmd.upper(),
            flags=command.flags,
            words=command.value,
            line=command.start_line,
            end=command.end_line,
            heredocs=tuple(h.name for h in command.heredocs),
            text=command.original,
        )
        for command in commands
    ]
    first = next((i for i, instruction in enumerate(instructions) if instruction.name == "FROM"), None)
    if first is None:
        place = f"{where}:{instructions[0].line}" if instructions else where
        raise ShipwayError(
            f"{place}: there is no FROM", seen=f"{len(instructions)} instructions", todo="start with FROM"
        )
    stages: list[Stage] = []
    for instruction in instructions[first:]:
        if instruction.name == "FROM":
            stages.append(_stage(instruction, where))
        else:
            last = stages[-1]
            stages[-1] = Stage(name=last.name, base=last.base, instructions=(*last.instructions, instruction))
    return Dockerfile(where=where, globals=tuple(instructions[:first]), stages=tuple(stages))


def _commands(text: str) -> tuple[Any, ...]:
    """Return what the parser reads; raises ValueError if it cannot."""
    # The Go runtime it brings starts threads. A process forked from one with them would hang at its first collection.
    from dockerfile import parse_string  # noqa: PLC0415

    return tuple(parse_string(text))


def _first_unread(text: str) -> int:
    """Return the line from which on a text cannot be read, which the parser does not say; 0 where no line helps."""
    lines = text.splitlines()
    # Each try reads a whole text again, so a long one is not searched.
    for count in range(len(lines) - 1, 0, -1) if len(lines) <= _MOST_TRIES else ():
        with contextlib.suppress(ValueError):
            _commands("\n".join(lines[:count]))
            return count + 1
    return 0


def _stage(instruction: Instruction, where: str) -> Stage:
    words = instruction.words
    if len(words) == 3 and words[1].upper() == "AS":
        return Stage(name=words[2].lower(), base=instruction, instructions=())
    if len(words) != 1:
        raise ShipwayError(
            f"{where}:{instruction.line}: FROM cannot be read", seen=instruction.text, todo="write FROM image [AS name]"
        )
    return Stage(name="", base=instruction, instructions=())


def _sources(instruction: Instruction) -> list[tuple[str, str]]:
    found = []
    if instruction.name in {"COPY", "ADD"} and (name := instruction.flag("from")):
        found.append((name, f"{instruction.name} --from"))
    if instruction.name == "RUN":
        found += [(mount["from"], "RUN --mount") for mount in instruction.mounts if mount.get("from")]
    return found


def _check_frontend(text: str, where: str) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        match = _DIRECTIVE.fullmatch(line.strip().lstrip("\ufeff"))
        if not match:
            return
        if match[1].lower() == "syntax" and not _FRONTEND.fullmatch(match[2]):
            raise Refused(
                f"{where}:{number}: the syntax line names a frontend of its own",
                seen=line.strip()[:200],
                todo="leave it out or write docker/dockerfile:1; builds run with the builder's own frontend only",
            )


_VARIABLE = re.compile(
    r"\\(?P<escaped>.)|\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<operator>:?[-+])(?P<word>[^}]*))?\}|(?P<bad>.?))"
)


def expand(text: str, scope: Mapping[str, str], where: str) -> str:
    """Return `text` with $NAME, ${NAME}, ${NAME:-word} and ${NAME:+word} replaced; raises Misuse naming what has no value."""

    def value(match: re.Match[str]) -> str:
        if match["escaped"] is not None:
            return match["escaped"]
        name = match["plain"] or match["name"]
        if not name:
            raise Misuse(f"{where}: a variable is written in a way that is not read", seen=repr(text))
        operator, word = match["operator"] or "", match["word"] or ""
        has = name in scope and (scope[name] != "" or not operator.startswith(":"))
        if operator.endswith("+"):
            return expand(word, scope, where) if has else ""
        if has:
            return scope[name]
        if operator.endswith("-"):
            return expand(word, scope, where)
        raise Misuse(
            f"{where}: the variable {name} has no value",
            seen=repr(text),
            todo=f"give it a default (ARG {name}=… before the first FROM) or a build argument",
        )

    return unquoted(_VARIABLE.sub(value, text))


def unquoted(text: str) -> str:
    """Return a text without the quotes around it."""
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" else text
