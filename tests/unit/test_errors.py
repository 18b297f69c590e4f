"""What people read: errors, logs and reports show control characters of anybody's as escapes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cli.main import main
from pipelines.errors import ShipwayError, error_parts, visible
from pipelines.report import text as report_text
from tests import json_output

CONTROLS = {
    *map(chr, (*range(0x20), 0x7F, *range(0x80, 0xA0), 0x200E, 0x200F, 0x2028, 0x2029)),
    *map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))),
} - {"\n", "\t"}


@given(st.text() | st.text(st.sampled_from(sorted(CONTROLS | {"\n", "\t", "a", "\\"}))))
def test_no_control_character_passes_the_door(text: str) -> None:
    """Those of ASCII and Latin-1, those that turn the direction of writing, and other line separators."""
    for shown in (visible(text), report_text.plain(text), report_text.line(text), report_text.code(text)):
        assert not set(shown) & CONTROLS
        kinds = {unicodedata.category(character) for character in set(shown) - {"\n", "\t"}}
        assert not kinds & {"Cc", "Zl", "Zp"}
    visible(text).encode()


@given(st.text(min_size=1), st.text(), st.text())
def test_an_error_in_a_log_has_its_parts_again(what: str, seen: str, todo: str) -> None:
    """A command says them of a step, whose log has them as text; nothing is left out of any other text."""
    what, seen, todo = (" ".join(text.split("  ")) for text in (what, seen.strip(), todo.strip()))
    text = str(ShipwayError(what, seen=seen, todo=todo))
    assert error_parts(text, 3) == {"failed": what, "seen": seen.strip(), "do": todo.strip(), "exit_code": 3}


@pytest.mark.parametrize("text", ["", "exit status 1", "a:\n  b", "  seen: x", "make: *** [all]\n\n  Error 2"])
def test_what_another_program_said_is_passed_whole(text: str) -> None:
    """Only an error of ours has parts."""
    assert error_parts(text, 1) == {"failed": text, "seen": "", "do": "", "exit_code": 1}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\rb\r\nc\td\n", "a\\rb\nc\td\n"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("a\u202eb\u2066c\u200f", "a\\u202eb\\u2066c\\u200f"),
        ("Größe 👩\u200d💻 {{x}}", "Größe 👩\u200d💻 {{x}}"),
    ],
)
def test_a_control_character_is_shown_as_an_escape(text: str, shown: str) -> None:
    """Everything else is as it was written."""
    assert visible(text) == shown


@pytest.mark.parametrize(
    "words", [["step", "clone", "--repo=-a\x1b[2J\u202e"], ["plan", "-a\x1b[2J\u202e"], ["\x1b[2J\u202e"]]
)
def test_no_command_writes_one(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A name from outside stands in an error, and cannot clear the terminal."""
    assert main(words) == 2
    written = capsys.readouterr()
    assert "2J" in written.err
    assert not set(written.err + written.out) & CONTROLS


def test_json_is_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """It escapes control characters itself, so the value comes back."""
    assert main(["images", "-p\x1b[2J", "--json"]) == 2
    assert "\x1b[2J" in json_output.read("images", capsys.readouterr().out)["error"]["seen"]
