"""The text of a Dockerfile: its directives and its instructions, each read as every builder reads it.

BuildKit, its older releases and buildah differ in what they take for a directive, a flag or an option of a mount.
Whatever one of them could read as the name of an image or of a frontend, and another would not, is refused with its
line, so that no builder finds a name that the step `clone` did not find.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.errors import Refused, ShipwayError

_DIRECTIVE = re.compile(r"(?P<mark>#|//)\s*(?P<name>[A-Za-z][A-Za-z0-9]*)\s*=\s*(?P<value>\S.*)", re.DOTALL)
"""Of a line without the space around it."""
_DIRECTIVES = {"syntax", "escape", "check"}
_FRONTEND = re.compile(
    r"(?:(?:index\.)?docker\.io/)?docker/dockerfile(?:-upstream)?"
    r"(?::(?:latest|labs|experimental|(?:1(?:\.[0-9.]+)?|master)(?:-labs|-experimental)?))?(?:@sha256:[0-9a-f]{64})?"
)
"""docker/dockerfile's own channels: what they add to the builder's frontend later, it says that it does not know."""
_INSTRUCTIONS = frozenset(
    "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME"
    " WORKDIR".split()
)
_TAKES_FILES = {"FROM", "RUN", "COPY", "ADD"}
"""Instructions whose flags may name an image or its platform."""
_NO_TRIGGER = {"FROM", "ONBUILD", "MAINTAINER"}
_FLAG = re.compile(r"--[a-z-]+(?:=.*)?", re.DOTALL)
_OPTION = re.compile(r"[A-Za-z]+(?:=.*)?", re.DOTALL)
_QUOTES = re.compile(r"[\"'\\`]")
_MOST_TRIES = 1000
MOST_LINES = 20_000
"""Of a Dockerfile: BuildKit's parser takes time that grows with the square of the lines of a heredoc."""
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What Go takes for space; Python knows more of it."""


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
        """The options of each `--mount`, by name in small letters."""
        options = (_options(flag) for flag in self.flags if flag.startswith("--mount="))
        return tuple({name: value.lower() if name == "type" else value for name, value in each} for each in options)

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """The images or stages that it copies or mounts from, each with what names it: COPY --from, RUN --mount."""
        if self.name in {"COPY", "ADD"}:
            name = self.flag("from")
            return ((name, f"{self.name} --from"),) if name else ()
        mounts = self.mounts if self.name == "RUN" else ()
        return tuple((mount["from"], "RUN --mount") for mount in mounts if mount.get("from"))

    @property
    def shown(self) -> str:
        """The first line, for messages."""
        return self.text.strip().partition("\n")[0][:200]

    @property
    def trigger(self) -> str:
        """The instruction that an ONBUILD holds, as text."""
        return self.text.split(maxsplit=1)[1] if len(self.text.split(maxsplit=1)) > 1 else ""


def settle(text: str, where: str) -> str:
    """Return a text in which no builder sees another directive than its `escape`, every line where it was.

    That line comes first, and the other directives become empty comments. Raises Refused with the line if one names a
    frontend other than docker/dockerfile: a program that would run in place of the builder's own.
    """
    lines = [line.rstrip("\r") for line in text.removeprefix("\ufeff").split("\n")]
    if len(lines) > MOST_LINES:
        raise Refused(f"{where} is too long", seen=f"{len(lines)} lines", todo=f"keep it below {MOST_LINES} lines")
    start = count = 1 if lines[0].startswith("#!") else 0
    mark, kept = "", list[str]()
    are_known = not start  # after `#!` no directive but `syntax` counts, and that one for BuildKit alone
    while count < len(lines) and (match := _DIRECTIVE.fullmatch(lines[count].strip())) and mark in {"", match["mark"]}:
        mark, name = match["mark"], match["name"].lower()
        if name == "syntax" and (mark != "#" or not _FRONTEND.fullmatch(match["value"])):
            raise _foreign(where, count + 1, lines[count].strip())
        # Older builders read on after a name that they do not know; a comment like `# a=b` ends what counts.
        are_known = are_known and name in _DIRECTIVES
        if name == "escape" and are_known:
            kept.append(f"# escape={match['value']}")  # in the one form that every builder takes for it
        count += 1
    if _json_frontend("\n".join(lines[start:])):
        raise _foreign(where, start + 1, lines[start])
    if mark != "//":
        lines[:count] = kept + ["#"] * (count - len(kept))
    return "\n".join(lines)


def read(text: str, where: str) -> tuple[Instruction, ...]:
    """Return the instructions of a settled text.

    Raises ShipwayError with the line that cannot be read, Refused if builders would read it in different ways.
    """
    try:
        instructions = _instructions(text)
    except ValueError as error:
        line = _first_unread(text)
        what = f"{where}:{line}: it cannot be read" if line else f"{where} cannot be read"
        raise ShipwayError(what, seen=str(error), todo="correct the Dockerfile") from error
    lines = text.split("\n")
    has_from = any(instruction.name == "FROM" for instruction in instructions)
    for instruction in instructions:
        at = f"{where}:{instruction.line}"
        if has_from and instruction.name not in _INSTRUCTIONS:
            raise ShipwayError(
                f"{at}: this is no instruction", seen=instruction.shown, todo="write one that Dockerfiles have"
            )
        _check_spelling(instruction, at)
        _check_visible(instruction, lines[instruction.line - 1 : instruction.end], at)
    return instructions


def check_trigger(text: str, at: str) -> Instruction:
    """Return the instruction that a trigger (ONBUILD) runs in a stage based on its image.

    Raises Refused if it is not one instruction, or if it names an image or a stage: only the base's own Dockerfile
    shows that name, and what it stands for would not count in the key.
    """
    try:
        instructions = _instructions(text)
    except ValueError:
        instructions = ()
    seen, todo = text.strip()[:200], "use a base without this ONBUILD, or write the instruction here"
    if len(instructions) != 1 or instructions[0].name not in _INSTRUCTIONS - _NO_TRIGGER:
        raise Refused(f"{at}: a trigger of the image is not one instruction", seen=repr(seen), todo=todo)
    _check_spelling(instructions[0], at)
    if instructions[0].sources:
        raise Refused(f"{at}: a trigger of the image names an image or a stage", seen=f"ONBUILD {seen}", todo=todo)
    return instructions[0]


def escape_of(text: str) -> str:
    """Return the character that escapes others in a settled text."""
    first = text.partition("\n")[0]
    return first[-1] if first.startswith("# escape=") else "\\"


def starts_for_buildah(text: str) -> set[int]:
    """Return the numbers of the lines on which instructions of a settled text start for buildah.

    Its parser (openshift/imagebuilder 1.2) knows no heredocs, and for it a line goes on after any number of escapes.
    """
    lines = text.split("\n")
    escape = escape_of(text)
    goes_on = re.compile(rf"{re.escape(escape)}[ \t]*$")
    starts, is_inside = set[int](), False
    for number, line in enumerate(lines, 1):
        stripped = line.lstrip(SPACE)
        if not stripped or stripped.startswith("#"):
            continue
        if not is_inside:
            starts.add(number)
        is_inside = goes_on.search(line) is not None
    return starts


def naming(name: str) -> re.Pattern[str]:
    """Return the pattern of a source as the lines of an instruction show it: `from=name`."""
    return re.compile(rf"\b(?i:from)=(?P<quote>[\"']?){re.escape(name)}(?=[\"',\s]|[\\`]\s*$|$)", re.MULTILINE)


def _instructions(text: str) -> tuple[Instruction, ...]:
    return tuple(
        Instruction(
            name=(command.cmd or "").upper(),
            flags=command.flags,
            words=command.value,
            line=command.start_line,
            end=command.end_line,
            heredocs=tuple(h.name for h in command.heredocs),
            text=command.original or "",
        )
        for command in _commands(text)
    )


def _commands(text: str) -> tuple[Any, ...]:
    """Return what the parser reads; raises ValueError if it cannot, or if it would read another text."""
    if "\0" in text:
        raise ValueError("it holds a zero byte, at which the parser stops and builders read on")
    text.encode()  # half a character ends the process
    # The Go runtime it brings starts threads. A process forked from one with them would hang at its first collection.
    from dockerfile import parse_string  # noqa: PLC0415

    return tuple(parse_string(text))


def _first_unread(text: str) -> int:
    """Return the first line that cannot be read, which the parser does not report; 0 if that cannot be found out."""
    lines = text.split("\n")
    # Each try parses the text again, so a long text is not searched.
    for count in range(len(lines) - 1, 0, -1) if len(lines) <= _MOST_TRIES else ():
        with contextlib.suppress(ValueError):
            _commands("\n".join(lines[:count]))
            return count + 1
    return 0


def _check_spelling(instruction: Instruction, at: str) -> None:
    """Raise Refused if a flag is spelled so that builders differ in what it is."""
    flags = instruction.flags if instruction.name in _TAKES_FILES else ()
    mounts = [_options(flag) for flag in flags if flag.startswith("--mount=")]
    names = [name for name, _ in instruction.sources]
    wrong = (
        [flag for flag in flags if not _FLAG.fullmatch(flag)]
        + [flag for flag in flags if flag.startswith("--mount") and _QUOTES.search(flag)]
        + [flag for flag in flags if flag.startswith("--mount=") and not all(map(_OPTION.fullmatch, _parts(flag)))]
        + [f"type={value}" for options in mounts for name, value in options if name == "type" and "$" in value]
        + [f"from={name}" for name in names if _QUOTES.search(name)]
        + [flag for flag in flags if sum(each.startswith("--from=") for each in flags) > 1]
        + ["from= twice" for options in mounts if sum(name == "from" for name, _ in options) > 1]
    )
    if wrong:
        raise Refused(
            f"{at}: builders differ in how they read {wrong[0][:100]}",
            seen=instruction.shown,
            todo="write the flag in small letters, once, without quotes, and no variable for a name or a type",
        )


def _check_visible(instruction: Instruction, lines: Sequence[str], at: str) -> None:
    """Raise Refused if a name is put together of several lines or of escaped letters: it cannot be replaced there."""
    shown = "\n".join(lines)
    names = [name for name, _ in instruction.sources]
    for name in dict.fromkeys(names):
        if len(naming(name).findall(shown)) < names.count(name):
            raise Refused(
                f"{at}: the name {name} is not written in one piece",
                seen=instruction.shown,
                todo=f"write from={name} on one line",
            )


def _parts(flag: str) -> list[str]:
    return flag.removeprefix("--mount=").split(",")


def _options(flag: str) -> list[tuple[str, str]]:
    """Return the options of a mount; BuildKit takes their names in any case."""
    pairs = (part.partition("=") for part in _parts(flag))
    return [(name.lower(), value) for name, _, value in pairs]


def _json_frontend(text: str) -> bool:
    """Whether a text is JSON, which has no instruction and can only name a frontend to BuildKit."""
    if not text.lstrip().startswith("{"):
        return False
    with contextlib.suppress(ValueError, RecursionError):
        return isinstance(json.loads(text), dict)
    return False


def _foreign(where: str, number: int, line: str) -> Refused:
    return Refused(
        f"{where}:{number}: the syntax line names a frontend of its own",
        seen=line[:200],
        todo="leave it out or write docker/dockerfile:1; builds run with the builder's own frontend only",
    )
