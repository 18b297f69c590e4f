"""Characters above U+FFFF are refused if Go calls them unprintable; a real Go is asked where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.step import printable, texts

_PROGRAM = """package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for r := rune(0x10000); r <= 0x10FFFF; r++ {
		if !strconv.IsPrint(r) {
			fmt.Fprintln(out, r)
		}
	}
}
"""


def go() -> str:
    """Return the program `go`, or an empty text if there is none whose tables are those of Unicode 15.0."""
    found = shutil.which("go") or ("/usr/local/go/bin/go" if Path("/usr/local/go/bin/go").exists() else "")
    version = subprocess.run([found, "version"], capture_output=True, text=True, check=True).stdout if found else ""
    number = re.search(r"go1\.(\d+)", version)
    return found if number and 21 <= int(number[1]) <= 26 else ""


@pytest.mark.skipif(not go(), reason="no Go 1.21 to 1.26 on this machine to ask what it prints")
def test_go_calls_the_same_characters_unprintable(tmp_path: Path) -> None:
    """Each character above U+FFFF: refused if and only if Go does not print it."""
    (tmp_path / "main.go").write_text(_PROGRAM)
    environment = {
        "HOME": str(tmp_path),
        "GOCACHE": str(tmp_path / "cache"),
        "GOTOOLCHAIN": "local",
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [go(), "run", "main.go"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    unprinted = {int(line) for line in done.stdout.split()}
    assert len(unprinted) > 900_000
    assert {number for number in range(0x10000, 0x110000) if printable.unprintable(chr(number))} == unprinted


@pytest.mark.parametrize("text", ["", "main", "\u00ad\u200d\ue000\uffff", "\U0001f600", "\U00020000", "\U00010400"])
def test_what_is_written_as_json_is_carried(text: str) -> None:
    """Below U+10000 Go escapes as JSON does, and prints most of what people write above."""
    assert printable.unprintable(text) == ""


@pytest.mark.parametrize("character", ["\U0001fae9", "\U000e0067", "\U000f0000", "\U0010ffff", "\U0001d173"])
def test_an_unprintable_character_is_named(character: str) -> None:
    """The first of a text; and no value with one is carried."""
    assert printable.unprintable(f"a\U0001f600{character}b\U0010fffe") == character
    assert ascii(character) in texts.uncarried(f"a{character}")
