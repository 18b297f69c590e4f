"""Characters above U+FFFF are refused if Go calls them unprintable: Helm, a program in Go, is asked about each."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pipelines.step import printable

# `%q` writes each number as a character if Go prints it, and as '\U0001fae9' if not; all of them in one call.
_TEMPLATE = '# {{ printf "%q" (untilStep 0x10000 0x110000 1) }}\n'


def helm(*words: str) -> str:
    """Return what Helm prints."""
    return subprocess.run(["helm", *words], capture_output=True, text=True, check=True).stdout


@pytest.mark.helm
def test_go_calls_the_same_characters_unprintable(tmp_path: Path) -> None:
    """Each character above U+FFFF: refused if and only if Go does not print it."""
    version = re.search(r"^go1\.(\d+)", helm("version", "--template={{ .GoVersion }}"))
    if not (version and 21 <= int(version[1]) <= 26):
        pytest.skip("this Helm is not of Go 1.21 to 1.26, whose tables are those of Unicode 15.0")
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: characters\nversion: 1.0.0\n")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/all.yaml").write_text(_TEMPLATE)
    printed = helm("template", str(tmp_path))
    assert printed.count("'") == 2 * 0x100000
    unprinted = {int(number, 16) for number in re.findall(r"'\\U([0-9a-f]{8})'", printed)}
    assert len(unprinted) > 900_000
    assert {number for number in range(0x10000, 0x110000) if printable.unprintable(chr(number))} == unprinted
