"""The order of what depends on each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.declared import order
from pipelines.errors import Refused


def waves(parents: dict[str, set[str]]) -> tuple[tuple[str, ...], ...]:
    """Return names in waves."""
    return order.waves(parents, what="a circle", todo="break it")


def test_circle_is_named() -> None:
    """A circle is refused with its chain."""
    with pytest.raises(Refused) as caught:
        waves({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()})
    assert caught.value.seen == "b → c → b"


@given(st.dictionaries(st.integers(0, 30), st.sets(st.integers(0, 30), max_size=4), max_size=31))
def test_waves_respect_every_edge(edges: dict[int, set[int]]) -> None:
    """Every image comes once, after all it depends on, and as early as it can."""
    parents = {f"i{n:02}": {f"i{p:02}" for p in on if p < n and p in edges} for n, on in edges.items()}
    wave = {name: index for index, names in enumerate(waves(parents)) for name in names}
    assert wave.keys() == parents.keys()
    for name, on in parents.items():
        assert wave[name] == max((wave[p] + 1 for p in on), default=0)
