"""Builds in a few batches that need nothing of each other."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from pipelines.images.plan_model import ImageJob
from pipelines.release.batches import MOST_BATCHES, split, with_parents


def job(name: str, parents: tuple[str, ...]) -> ImageJob:
    """Return a build that depends on others."""
    return ImageJob(
        title="x",
        name=name, path=name, dockerfile="", target="", build_args=(), secret_ids=(), shared=(), exclude=(), version="",
        platform="", key="", renews="", moment=0, pins=(), parents=parents, requires="",
    )  # fmt: skip


@st.composite
def jobs(draw: st.DrawFn) -> list[ImageJob]:
    """Give builds, parents before children."""
    names = [f"i{number}" for number in range(draw(st.integers(0, 25)))]
    return [job(name, tuple(names[one] for one in draw(numbers_below(number)))) for number, name in enumerate(names)]


@cache
def numbers_below(end: int) -> st.SearchStrategy[list[int]]:
    """Give up to two numbers; a strategy that is made once costs a fraction of one that is made for each draw."""
    return st.lists(st.integers(0, end - 1), max_size=2, unique=True) if end else st.just([])


@given(jobs())
def test_a_batch_needs_no_other_batch(found: list[ImageJob]) -> None:
    """Every image is in one batch, after its parents; there are no more batches than pods, and none is empty."""
    made = split([found])
    assert sorted(name for batch in made for name in batch) == sorted(one.name for one in found)
    assert len(made) <= MOST_BATCHES
    assert all(made)
    place = {name: (number, index) for number, batch in enumerate(made) for index, name in enumerate(batch)}
    for batch in made:
        assert {one.name for one in with_parents(found, batch)} == set(batch)
    for one in found:
        for parent in one.parents:
            assert place[parent] < place[one.name]
            assert place[parent][0] == place[one.name][0]


def test_independent_images_are_spread() -> None:
    """Whatever stands alone goes where the least is."""
    chain = [job("a", ()), job("b", ("a",)), job("c", ("b",))]
    alone = [job(f"x{number}", ()) for number in range(9)]
    assert sorted(map(len, split([chain, alone]))) == [3, 3, 3, 3]


def test_what_an_image_stands_on_comes_along() -> None:
    """Also what the batch was not said to hold, because it came up since."""
    found = [job("a", ()), job("b", ("a",)), job("c", ("b",)), job("d", ("a",))]
    assert [one.name for one in with_parents(found, ["c"])] == ["a", "b", "c"]
