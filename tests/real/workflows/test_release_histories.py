"""State decides: after any history, one run gives what a run from scratch gives, and a second does nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import histories
from tests.histories import MOVES, Move
from tests.registry_process import registry

_NUMBER = itertools.count()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry for all histories, each of which has projects of its own."""
    with registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


# Each takes seconds: a few run here and many in `make soak`. A failing one is not shrunk, which would take minutes.
@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    moves=st.lists(
        st.tuples(st.sampled_from(sorted(MOVES)), st.integers(0, 11), st.integers(0, 11)), min_size=8, max_size=14
    )
)
def test_one_more_run_gives_what_a_run_from_scratch_gives(tmp_path: Path, address: str, moves: list[Move]) -> None:
    """Pushes of every kind; events that are late, doubled, out of order or lost; runs that are killed."""
    histories.check(tmp_path / str(next(_NUMBER)), address, moves)
