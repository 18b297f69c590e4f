"""A command: a function whose docstring is its help, and a frozen dataclass whose fields are its flags."""

from __future__ import annotations

import argparse
import inspect
import itertools
import re
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, NoReturn, TypeVar, dataclass_transform, get_type_hints

from pipelines.errors import Misuse, meant

T = TypeVar("T")
_UNKNOWN = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)|unrecognized arguments: (.*)")


class CommandParser(argparse.ArgumentParser):
    """Raises Misuse when argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        """Raise Misuse, whose exit code is argparse's own."""
        dash = "write --flag=VALUE where a value begins with a dash; " if "expected one argument" in message else ""
        words, known = [], list(self._option_string_actions)
        if match := _UNKNOWN.search(message):
            words = [match[1] or "", *(word.partition("=")[0] for word in (match[3] or "").split())]
            known = re.findall(r"[\w-]+", match[2] or "") or known
        todo = meant(filter(None, words), known, f"{dash}see {self.prog} --help")
        raise Misuse("the command line cannot be understood", seen=message, todo=todo)

    @property
    def commands(self) -> dict[str, CommandParser]:
        """The parsers of its commands, by name."""
        return next((dict(a.choices) for a in self._actions if isinstance(a, argparse._SubParsersAction)), {})


def declare(parser: argparse.ArgumentParser, run: Callable[[Any], int]) -> None:
    """Give a parser the help and the flags of a command, a function whose one parameter is a class of flags.

    Its docstring is the help: prose, then examples from the first paragraph without a full stop, whose lines are kept.
    """
    paragraphs = inspect.cleandoc(run.__doc__ or "").split("\n\n")
    prose = list(itertools.takewhile(lambda paragraph: paragraph.endswith("."), paragraphs))
    parser.description = " ".join(" ".join(prose).split())
    parser.epilog = "\n\n".join(paragraphs[len(prose) :])
    kind = get_type_hints(run)["options"]
    _declare(parser, kind)
    parser.set_defaults(execute=lambda namespace: run(_read(kind, namespace)))


def flag(text: str, *names: str, default: Any = "", exclusive: bool = False, **settings: Any) -> Any:
    """Return a field for the flag of its name, or of `names`, with argparse's `settings`.

    It is required if its default is MISSING. A class's `exclusive` flags exclude each other.
    """

    def declare(parser: argparse._ActionsContainer, item: Field[Any]) -> None:
        # argparse appends to a list that it makes itself if the default is None.
        start = None if default in {MISSING, ()} else default
        flags = names or (f"--{item.name.replace('_', '-')}",)
        parser.add_argument(*flags, dest=item.name, help=text, required=default is MISSING, default=start, **settings)

    return field(default=default, metadata={"declare": declare, "exclusive": exclusive})


def switch(text: str, *, exclusive: bool = False) -> Any:
    """Return a field for a flag without a value, which is True if the flag is given."""
    return flag(text, default=False, exclusive=exclusive, action="store_true")


def repeated(text: str, *names: str, metavar: str) -> Any:
    """Return a field for a flag that may be given several times, a tuple of its values."""
    return flag(text, *names, default=(), action="append", metavar=metavar)


def positional(text: str, *, default: Any = MISSING, **settings: Any) -> Any:
    """Return a field for a word without a flag; it is required if it has no default."""
    optional = {} if default is MISSING else {"nargs": "?", "default": default}

    def declare(parser: argparse._ActionsContainer, item: Field[Any]) -> None:
        parser.add_argument(item.name, help=text, **optional, **settings)

    return field(default=default, metadata={"declare": declare})


def group(kind: type[Any], title: str = "", description: str = "") -> Any:
    """Return a field for the flags of another class, which have a heading of their own if there is a title."""

    def declare(parser: argparse._ActionsContainer, _item: Field[Any]) -> None:
        _declare(parser.add_argument_group(title, description) if title else parser, kind)

    return field(metadata={"declare": declare, "group": kind})


@dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(flag, switch, repeated, positional, group)
)
def flags(kind: type[T]) -> type[T]:
    """Make a class a frozen dataclass whose fields are flags."""
    return dataclass(frozen=True, kw_only=True, repr=False, eq=False)(kind)


def _declare(parser: argparse._ActionsContainer, kind: Any) -> None:
    exclusive: argparse._ActionsContainer | None = None
    for item in fields(kind):
        if item.metadata.get("exclusive"):
            exclusive = exclusive or parser.add_mutually_exclusive_group()
        item.metadata["declare"](exclusive if item.metadata.get("exclusive") else parser, item)


def _read(kind: Any, namespace: argparse.Namespace) -> Any:
    values: dict[str, Any] = {}
    for item in fields(kind):
        if "group" in item.metadata:
            values[item.name] = _read(item.metadata["group"], namespace)
        elif (value := getattr(namespace, item.name)) is None:
            values[item.name] = item.default
        else:
            values[item.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
