""".helmignore read as Helm reads it."""

from __future__ import annotations

import pytest

from pipelines.charts.helmignore import HelmIgnore
from pipelines.errors import ShipwayError


@pytest.mark.parametrize(
    ("rules", "left_out", "kept"),
    [
        ("", "templates/.hidden", "templates/a.yaml .hidden"),
        ("*.md", "README.md docs/a.md", "README.txt"),
        ("/README.md", "README.md", "docs/README.md"),
        ("docs/*.md", "docs/a.md", "a.md docs/x/a.md"),
        ("ci/", "ci/", "ci"),
        ("# no\n\n  *.tmp  ", "a.tmp", "# no"),
        ("!keep.txt", "other.txt Chart.yaml", "keep.txt"),
        ("[a-c]?.txt", "bx.txt", "dx.txt a.txt"),
        ("[^a]x", "bx", "ax"),
        (r"\*.md", "*.md", "a.md"),
        ("a*b*c", "axxbxxc abc", "acb a/b/c"),
    ],
)
def test_helmignore_has_helms_meaning(rules: str, left_out: str, kept: str) -> None:
    """It looks like .gitignore and is not; a path with a slash at its end stands for a folder."""
    found = HelmIgnore.parse(rules.encode(), ".helmignore")
    for path in f"{left_out} {kept}".split() if "# no" not in kept else left_out.split():
        assert found.ignores(path.rstrip("/"), folder=path.endswith("/")) == (path in left_out.split()), path


@pytest.mark.parametrize("rule", ["a/**/b", "[a", "a\\", "a" * 65_536, "# " + "é" * 32_767, "a" * 65_535 + "\r"])
def test_a_rule_that_helm_does_not_read_is_told_with_its_line(rule: str) -> None:
    """Helm fails on it, late and without a place."""
    with pytest.raises(ShipwayError, match=r"x/\.helmignore:2"):
        HelmIgnore.parse(f"*.md\n{rule}".encode(), "x/.helmignore")


def test_a_pattern_of_stars_takes_no_time() -> None:
    """A chart is a stranger's: no pattern of its may take long."""
    assert not HelmIgnore.parse(b"*a" * 60 + b"b", "x").ignores("a" * 5000, folder=False)


def test_a_line_is_as_long_as_helm_reads() -> None:
    """The end of a line does not count, and the sign of a file's encoding does."""
    data = b"a" * 65_535 + b"\n#" + b"b" * 65_534
    assert HelmIgnore.parse(data, "x").ignores("a" * 65_535, folder=False)
    with pytest.raises(ShipwayError, match="x:1"):
        HelmIgnore.parse(b"\xef\xbb\xbf" + data, "x")
