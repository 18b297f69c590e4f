"""Names of images: what is read, completed and refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import Misuse
from pipelines.tools.registry.reference import Digest, Reference

ZERO = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("debian", "docker.io/library/debian"),
        ("debian:bookworm-slim", "docker.io/library/debian:bookworm-slim"),
        ("team/app", "docker.io/team/app"),
        ("index.docker.io/debian", "docker.io/library/debian"),
        ("localhost/app", "localhost/app"),
        ("reg:5000/team/app:1", "reg:5000/team/app:1"),
        ("[::1]:5000/app", "[::1]:5000/app"),
        (f"ghcr.io/a/b:1@{ZERO}", f"ghcr.io/a/b:1@{ZERO}"),
    ],
)
def test_short_names_are_completed(text: str, whole: str) -> None:
    """A reference is written out as Docker would complete it, and reads back as itself."""
    assert str(Reference.parse(text)) == whole
    assert Reference.parse(whole) == Reference.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-x",
        "App",
        "a//b",
        "a/../b",
        "reg:5000/",
        "a:",
        "a:-x",
        "a:" + "x" * 129,
        "a@sha256:1",
        "a b",
        "a\n",
        "a/-b",
        "é",
        "a@md5:00",
        "x/" * 130 + "x",
    ],
)
def test_what_no_registry_takes_is_refused(text: str) -> None:
    """A reference that breaks the grammar never reaches a registry."""
    with pytest.raises(Misuse):
        Reference.parse(text)


@given(st.binary(max_size=200))
def test_digest_of_bytes_is_legal(data: bytes) -> None:
    """Every digest that is computed passes its own check."""
    assert Digest(str(Digest.of(data))) == Digest.of(data)
