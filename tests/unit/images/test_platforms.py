"""Platforms as people write them."""

from __future__ import annotations

import platform

import pytest

from pipelines.errors import Misuse
from pipelines.images import platforms


@pytest.mark.parametrize(
    ("machine", "meant"), [("x86_64", "linux/amd64"), ("aarch64", "linux/arm64"), ("armv7l", "linux/arm/v7")]
)
def test_the_platform_of_a_machine(machine: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's name of it becomes the one of registries."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert platforms.read_platform("") == platforms.read_platform("linux") == meant


@pytest.mark.parametrize("text", ["arm64", "linux/arm64", "linux/arm64/v8", "aarch64", "Linux/AArch64"])
def test_one_platform_has_one_name(text: str) -> None:
    """However it is written, keys and registries see the same."""
    assert platforms.read_platform(text) == "linux/arm64"


@pytest.mark.parametrize("text", ["linux/", "/amd64", "plan9x", "linux/amd64/v1/x", "linux/a b", "*"])
def test_what_is_not_a_platform(text: str) -> None:
    """It is refused before anything is asked for it."""
    with pytest.raises(Misuse, match=r"^not a platform"):
        platforms.read_platform(text)
