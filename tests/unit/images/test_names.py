"""Which images a tree declares, and their order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import Misuse, Refused
from pipelines.images import names as image_names
from pipelines.images.dockerfile import ExternalImage

TREE = ["base/Dockerfile", "apps/web/Dockerfile", "apps/web/Dockerfile.dev", "Dockerfile", "docs/Dockerfile.md"]


def test_each_dockerfile_is_an_image_named_after_its_folder() -> None:
    """Only files named Dockerfile count; the root takes the repository's name."""
    found = image_names.discover(TREE, root_name="shop")
    assert [(i.name, i.path, i.dockerfile) for i in found] == [
        ("base", "base", "base/Dockerfile"),
        ("shop", ".", "Dockerfile"),
        ("web", "apps/web", "apps/web/Dockerfile"),
    ]


def test_two_images_of_one_name_are_refused() -> None:
    """Two folders of one name would overwrite each other's tags."""
    with pytest.raises(Misuse, match="two images are named web"):
        image_names.discover(["a/web/Dockerfile", "b/web/Dockerfile"], root_name="x")


@pytest.mark.parametrize("folder", ["Web", "a b", "-x", "x_", "ü"])
def test_folder_that_cannot_name_an_image(folder: str) -> None:
    """A folder whose name no registry takes is refused by its path."""
    with pytest.raises(Misuse, match="cannot name an image"):
        image_names.discover([f"{folder}/Dockerfile"], root_name="x")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("base", "base"),
        ("base:1", None),
        ("reg:5000/team/base", "base"),
        ("reg:5000/team/base:1", "base"),
        ("reg:5000/team/base@sha256:" + "0" * 64, "base"),
        ("reg:5000/other/base", None),
        ("team/base", None),
        ("debian", None),
        ("web", None),
    ],
)
def test_forms_that_mean_a_sibling(name: str, meant: str | None) -> None:
    """The bare name and the full name mean the sibling; a tag without a registry, and an image's own name, do not."""
    found = image_names.sibling(
        name, image_names.discover(TREE, root_name="shop"), registry="reg:5000", project="team", user="web"
    )
    assert (found.name if found else None) == meant


def test_a_name_that_shadows_a_public_image_is_reported() -> None:
    """FROM python in a repository with a folder python is told, with its line."""
    found = image_names.discover(["python/Dockerfile", "web/Dockerfile"], root_name="x")
    [told] = image_names.shadowed(found[1], [ExternalImage(name="python", line=3, instruction="FROM")], found)
    assert "web/Dockerfile:3" in told
    assert "docker.io/library/python" in told


def test_circle_is_named() -> None:
    """A circle is refused with its chain."""
    with pytest.raises(Refused) as caught:
        image_names.waves({"a": ["b"], "b": ["c"], "c": ["b"], "d": []})
    assert caught.value.seen == "b → c → b"


@given(st.dictionaries(st.integers(0, 30), st.sets(st.integers(0, 30), max_size=4), max_size=31))
def test_waves_respect_every_edge(edges: dict[int, set[int]]) -> None:
    """Every image comes once, after all it depends on, and as early as it can."""
    parents = {f"i{n:02}": {f"i{p:02}" for p in on if p < n and p in edges} for n, on in edges.items()}
    wave = {name: index for index, names in enumerate(image_names.waves(parents)) for name in names}
    assert wave.keys() == parents.keys()
    for name, on in parents.items():
        assert wave[name] == max((wave[p] + 1 for p in on), default=0)
