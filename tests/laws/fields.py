"""No unknown field: Hera and the Argo SDK both let one pass without a word, and the cluster ignores it."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel, RootModel

from tests.laws.documents import Document


def unknown_fields(document: Document, model: type[BaseModel]) -> list[str]:
    """Return the path of every field that the model, and the models below it, do not have."""
    return list(_unknown(document, model, ""))


def _unknown(value: Any, hint: Any, path: str) -> typing.Iterator[str]:
    model, inner = _unwrap(hint)
    if isinstance(value, dict) and model is not None:
        names = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
        for key, child in value.items():
            place = f"{path}.{key}".lstrip(".")
            if key in names:
                yield from _unknown(child, names[key], place)
            else:
                yield place
    elif isinstance(value, dict) and inner is not None:
        for key, child in value.items():
            yield from _unknown(child, inner, f"{path}.{key}")
    elif isinstance(value, list) and inner is not None:
        for index, child in enumerate(value):
            yield from _unknown(child, inner, f"{path}[{index}]")


def _unwrap(hint: Any) -> tuple[type[BaseModel] | None, Any]:
    """Return the model that a hint allows, or the hint of a list's items or a map's values."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _unwrap(args[0])
    if origin in {typing.Union, types.UnionType}:
        options = [_unwrap(arg) for arg in args if arg is not type(None)]
        return next((option for option in options if option != (None, None)), (None, None))
    if origin is list:
        return None, args[0]
    if origin is dict:
        return None, args[1]
    if isinstance(hint, type) and issubclass(hint, RootModel):
        return _unwrap(hint.model_fields["root"].annotation)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint, None
    return None, None
