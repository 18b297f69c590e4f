"""Steps called with loose arguments, as the command line gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pipelines.step import signature

Result = TypeVar("Result")


def step(name: str, result: type[Result]) -> Callable[..., Result]:
    """Return a step as a function of its arguments, those of its groups among them."""

    def call(**values: object) -> Result:
        found = signature.describe(name).call(values)
        assert isinstance(found, result)
        return found

    return call
