"""Results of steps as files: one folder for each result, one file for each field, named after it in kebab case.

Strings and numbers stand as they are, booleans as true/false, everything else as JSON; a `FreeText` is encoded. The
folder lies where other containers can write, so nothing of a file is believed that its field's type does not say, and
no error quotes a word of one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import types
import typing
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from pipelines.bounds import read_json
from pipelines.errors import Misuse, Refused, ShipwayError, reason
from pipelines.step import foreign_files, texts

MOST_BYTES = 64 * 1024 * 1024
"""Of one field: a plan of some thousand images has a few megabytes."""
_MOST_NUMBER = 64
_INTEGER = re.compile(r"-?[0-9]{1,18}")
"""Python itself reads digits of other scripts, too, and more than a Workflow's number has."""


def kebab(name: str) -> str:
    """Return a field's name as it is written in flags, files and templates."""
    return name.replace("_", "-")


def text_of(value: Any) -> str:
    """Return a value as people read it: JSON, but for strings and numbers."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | Path):
        return str(value)
    return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False)


def store(result: Any, folder: Path) -> None:
    """Write each field of a step's result into its file, whole or not at all.

    Raises Refused if a field has another form than its type says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hints = get_type_hints(type(result), include_extras=True)
    for field in dataclasses.fields(result):
        name, value = kebab(field.name), getattr(result, field.name)
        try:
            typed(hints[field.name], _plain(value))
        except (ValueError, KeyError, TypeError, ShipwayError) as error:
            raise Refused(
                f"the result {name} cannot be passed on", seen=_said(error), todo="give what it names another name"
            ) from None
        text = texts.encode(text_of(value)) if _is_encoded(hints[field.name]) else text_of(value)
        partial = folder / f".{name}.{os.getpid()}"
        # Argo passes on UTF-8 alone; a name that is not UTF-8 is escaped.
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
        partial.replace(folder / name)


def load(result: type[Any], folder: Path) -> Any:
    """Return the dataclass that `store` wrote into a folder.

    Raises Misuse if a file is missing or unfit, and Refused if it is not a regular file or too large.
    """
    hints = get_type_hints(result, include_extras=True)
    values = {}
    name = ""
    try:
        with foreign_files.opened(folder) as at:
            for field in dataclasses.fields(result):
                name, hint = kebab(field.name), hints[field.name]
                data = foreign_files.read_at(at, name, most=_most(hint), path=folder / name)
                values[field.name] = parse(hint, data.decode())
    except Refused:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ShipwayError) as error:
        raise Misuse(
            f"{folder} does not hold the outputs of the step before",
            seen=f"{name}: {_said(error)}" if name else _said(error),
            todo="run that step first, with --outputs naming this folder",
        ) from None
    return result(**values)


def parse(hint: Any, text: str) -> Any:
    """Return what a field's file says. Raises ValueError, KeyError, TypeError or ShipwayError if it is unfit."""
    if _is_encoded(hint):
        return parse(_bare(hint), texts.decode(text))
    kind = _bare(hint)
    if kind is bool:
        return {"true": True, "false": False}[text]
    if kind is int:
        if not _INTEGER.fullmatch(text):
            raise texts.Unfit("not a whole number")
        return typed(hint, int(text))
    if isinstance(kind, type) and issubclass(kind, str | Path):
        return typed(hint, text)
    return typed(hint, read_json(text, "it"))


def typed(hint: Any, value: Any) -> Any:
    """Return what JSON says as a value of a type.

    Raises ValueError, KeyError, TypeError or ShipwayError if it is unfit.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        found = typed(args[0], value)
        for note in args[1:]:
            if isinstance(note, texts.Narrow | texts.Within):
                note.check(found)
        return found
    if origin is tuple:
        return tuple(typed(args[0], item) for item in _of(list, value))
    if origin in {dict, typing.get_origin(typing.Mapping[str, str])}:
        return {key: typed(args[1], item) for key, item in _of(dict, value).items()}
    if origin in {typing.Union, types.UnionType}:
        return None if value is None else typed(next(a for a in args if a is not type(None)), value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint, include_extras=True)
        return hint(**{name: typed(hints[name], item) for name, item in _of(dict, value).items()})
    return hint(_of(hint if hint in {bool, int} else str, value))


def _of(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind and not (kind is str and isinstance(value, str)):
        raise TypeError(f"{type(value).__name__}, not {kind.__name__}")
    return value


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = [(field, getattr(value, field.name)) for field in dataclasses.fields(value)]
        return {field.name: _plain(part) for field, part in parts if not field.metadata or field.default != part}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is typing.Annotated else hint


def _is_encoded(hint: Any) -> bool:
    return get_origin(hint) is typing.Annotated and any(isinstance(one, texts.Encoded) for one in get_args(hint)[1:])


def _most(hint: Any) -> int:
    """Return how many bytes a field's file may have."""
    if _bare(hint) in {bool, int}:
        return _MOST_NUMBER
    narrow = [note for note in get_args(hint)[1:] if isinstance(note, texts.Narrow)]
    return 4 * narrow[0].most if narrow else MOST_BYTES


def _said(error: Exception) -> str:
    """Return what is wrong with a field without a word of it; the system's errors name no content."""
    if isinstance(error, OSError):
        return reason(error)
    if isinstance(error, ShipwayError):
        return error.what
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return str(error) if isinstance(error, texts.Unfit) else "not of the form that this step reads"
