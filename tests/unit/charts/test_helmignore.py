"""Texts of charts read as Helm reads them: ranges of versions, .helmignore, and YAML with its places."""

from __future__ import annotations

import pytest

from pipelines.charts.chart_lock import fits
from pipelines.charts.helmignore import HelmIgnore
from pipelines.declared import yaml_text
from pipelines.errors import Refused, ShipwayError


# What github.com/Masterminds/semver says of each, by its README and its tests.
@pytest.mark.parametrize(
    ("allowed", "inside", "outside"),
    [
        ("", "0.0.1 9.9.9", "1.0.0-rc1"),
        ("*", "0.0.1 9.9.9", "1.0.0-rc1"),
        ("1.2.3", "1.2.3 v1.2.3 1.2.3+b", "1.2.4 1.2.3-rc1"),
        ("1.2", "1.2.0 1.2.9", "1.3.0 1.1.9"),
        ("1", "1.0.0 1.9.0", "2.0.0"),
        ("1.x", "1.0.0 1.9.9", "2.0.0 0.9.0"),
        ("^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0 1.3.0-rc1"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3.0 1.0.0"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0.0", "0.0.9", "0.1.0"),
        ("^0", "0.9.0", "1.0.0"),
        ("~1.2.3", "1.2.3 1.2.9", "1.3.0"),
        ("~1.2", "1.2.0 1.2.9", "1.3.0"),
        ("~1", "1.0.0 1.9.0", "2.0.0"),
        (">1.2", "1.3.0", "1.2.9 1.2.0"),
        (">1.2.3", "1.2.4", "1.2.3"),
        ("<=1.2", "1.2.9", "1.3.0"),
        ("<=1.2.3", "1.2.3", "1.2.4"),
        ("<1.2", "1.1.9", "1.2.0"),
        ("!=1.2.3", "1.2.4", "1.2.3"),
        (">=1.0.0 <2.0.0", "1.5.0", "2.0.0"),
        (">= 1.0.0, < 2.0.0", "1.5.0", "2.0.0"),
        ("1.2 - 1.4.5", "1.2.0 1.4.5", "1.4.6 1.1.0"),
        ("^1.0.0 || ^3.0.0", "1.1.0 3.1.0", "2.0.0"),
        ("^1.2.3-0", "1.3.0-rc1 1.2.3", "2.0.0"),
        (">=1.0.0-rc1", "1.0.0-rc1 1.0.0", "1.0.0-alpha"),
        ("latest", "", "1.0.0"),
        ("1.0.0; rm", "", "1.0.0"),
    ],
)
def test_ranges_mean_what_helm_takes_them_for(allowed: str, inside: str, outside: str) -> None:
    """A range that is read otherwise than by Helm would let a lock pass that Helm refuses, or refuse a good one."""
    assert {version: fits(version, allowed) for version in f"{inside} {outside}".split()} == {
        **dict.fromkeys(inside.split(), True),
        **dict.fromkeys(outside.split(), False),
    }


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
    found = HelmIgnore.parse(rules, ".helmignore")
    for path in f"{left_out} {kept}".split() if "# no" not in kept else left_out.split():
        assert found.ignores(path.rstrip("/"), folder=path.endswith("/")) == (path in left_out.split()), path


@pytest.mark.parametrize("rule", ["a/**/b", "[a", "a\\"])
def test_a_rule_that_helm_does_not_read_is_told_with_its_line(rule: str) -> None:
    """Helm fails on it, late and without a place."""
    with pytest.raises(ShipwayError, match=r"x/\.helmignore:2"):
        HelmIgnore.parse(f"*.md\n{rule}", "x/.helmignore")


def test_a_pattern_of_stars_takes_no_time() -> None:
    """A chart is a stranger's: no pattern of its may take long."""
    assert not HelmIgnore.parse("*a" * 60 + "b", "x").ignores("a" * 5000, folder=False)


TEXT = """\
# the front
apiVersion: v2
name:   web        # its name
version: "1.0.0"   # quoted
appVersion: 1.10
dependencies:
  - name: base
    version: ~1.0.0 # a range
    repository: 'file://../base'
"""


def test_a_change_keeps_every_other_character() -> None:
    """Comments, quotes and blanks belong to people."""
    read = yaml_text.read(TEXT.encode(), "Chart.yaml")
    changed = read.replaced({("version",): "1.0.1", ("appVersion",): "1.20", ("dependencies", 0, "version"): "~1.1.0"})
    assert changed == TEXT.replace('"1.0.0"', '"1.0.1"').replace("1.10", '"1.20"').replace("~1.0.0", "~1.1.0")
    assert yaml_text.read(changed.encode(), "").scalar("appVersion") == "1.20"
    assert (read.line("dependencies", 0, "version"), read.line("dependencies", 7), read.line("none")) == (8, 7, 1)
    assert yaml_text.read(("\ufeff" + TEXT).encode(), "").replaced({("name",): "api"}).startswith("\ufeff# the")


@pytest.mark.parametrize("text", ["a: &x 1\nversion: *x\n", "version: |\n  1.0.0\n", "name: web\n"])
def test_what_cannot_be_changed_in_place_is_not_changed(text: str) -> None:
    """A change of an alias would change something else, too."""
    with pytest.raises(ShipwayError, match="cannot be changed in place"):
        yaml_text.read(text.encode(), "Chart.yaml").replaced({("version",): "2.0.0"})


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"a: [\n", "Chart.yaml:2: not YAML"),
        (b"- a\n", "no mapping"),
        (b"", "no mapping"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a: !!python/object/apply:os.system [id]\n", "not YAML"),
        (b"a: 2020-99-99\n", "not YAML"),
    ],
)
def test_what_is_no_chart_yaml_is_told(data: bytes, error: str) -> None:
    """The line where there is one; nothing in a document is ever run."""
    with pytest.raises(ShipwayError, match=error):
        yaml_text.read(data, "Chart.yaml")


def test_aliases_of_aliases_are_refused() -> None:
    """A document of 1 KB that would have a billion values is given up before anything walks through it."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"] + [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(Refused, match="too many values"):
        yaml_text.read("\n".join(lines).encode(), "Chart.yaml")
    with pytest.raises(Refused, match="too large"):
        yaml_text.read(bytes(2 << 20), "Chart.yaml")
