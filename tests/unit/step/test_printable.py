"""Characters above U+FFFF that Go calls unprintable are refused; tests/real asks a program in Go about each of them."""

from __future__ import annotations

import pytest

from pipelines.step import printable, texts


@pytest.mark.parametrize("text", ["", "main", "\u00ad\u200d\ue000\uffff", "\U0001f600", "\U00020000", "\U00010400"])
def test_what_is_written_as_json_is_carried(text: str) -> None:
    """Below U+10000 Go escapes as JSON does, and prints most of what people write above."""
    assert printable.unprintable(text) == ""


@pytest.mark.parametrize("character", ["\U0001fae9", "\U000e0067", "\U000f0000", "\U0010ffff", "\U0001d173"])
def test_an_unprintable_character_is_named(character: str) -> None:
    """The first of a text; and no value with one is carried."""
    assert printable.unprintable(f"a\U0001f600{character}b\U0010fffe") == character
    assert ascii(character) in texts.uncarried(f"a{character}")
