"""Which files a .dockerignore leaves, by the rules of BuildKit's github.com/moby/patternmatcher."""

from __future__ import annotations

import pytest

from pipelines.errors import ShipwayError
from pipelines.images.dockerignore import DockerIgnore

TREE = ["a.md", "b/a.md", "b/c/a.md", "b/c/d.txt", "dir/f", "dir/sub/f", "directory", "Dockerfile", "x.go", "é/f"]


def kept(text: str, tree: list[str] = TREE) -> list[str]:
    """Return the files that are left."""
    return list(DockerIgnore.parse(text, ".dockerignore").kept(tree))


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("", []),
        ("# a.md\n\n   \n", []),
        ("*.md", ["a.md"]),
        ("*/*.md", ["b/a.md"]),
        ("**/*.md", ["a.md", "b/a.md", "b/c/a.md"]),
        ("**", TREE),
        ("dir", ["dir/f", "dir/sub/f"]),
        ("/dir/", ["dir/f", "dir/sub/f"]),
        ("./dir/../dir", ["dir/f", "dir/sub/f"]),
        ("dir/*", ["dir/f", "dir/sub/f"]),
        ("dir/**", ["dir/f", "dir/sub/f"]),
        ("**/f", ["dir/f", "dir/sub/f", "é/f"]),
        ("**/sub", ["dir/sub/f"]),
        ("b/**/a.md", ["b/a.md", "b/c/a.md"]),
        ("?.md", ["a.md"]),
        ("**.md", ["a.md", "b/a.md", "b/c/a.md"]),
        ("dir**", ["dir/f", "dir/sub/f", "directory"]),
        ("[a-c].md", ["a.md"]),
        ("[&&|a].md", ["a.md"]),
        ("[^b].md", ["a.md"]),
        ("x.g[a-z]", ["x.go"]),
        ("a\\.md", ["a.md"]),
        ("/ x.go", ["x.go"]),
        ("/x.go\t/", ["x.go"]),
        ("\x1cx.go", []),
        ("x.g", []),
        ("xago", []),
        ("sub", []),
        (".", []),
        ("/", []),
        (" x.go \r", ["x.go"]),
        (" # no comment", []),
        ("\ufeffx.go", ["x.go"]),
    ],
)
def test_what_a_pattern_takes_out(text: str, gone: list[str]) -> None:
    """Patterns are anchored at the context; a folder goes with all it holds."""
    assert kept(text) == [path for path in TREE if path not in gone]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("*\n!dir", ["dir/f", "dir/sub/f"]),
        ("*\n!dir/sub", ["dir/sub/f"]),
        ("dir\n!dir/f\n", [path for path in TREE if path != "dir/sub/f"]),
        ("!dir/f\ndir\n", [path for path in TREE if not path.startswith("dir/")]),
        # A pattern that could not change a folder's verdict is not remembered for what is in it.
        ("**\n!**/*.md\nb/c", ["a.md", "b/a.md", "b/c/a.md"]),
        ("*\n! x.go", ["x.go"]),
        ("*\n/!x.go", ["x.go"]),
        ("*.md\n!a.md\n*.md\n", [path for path in TREE if path != "a.md"]),
        # The folder's own verdict, not only the file's, decides what its parents' patterns still mean.
        ("b\n!b/c\nb/c/d.txt", [path for path in TREE if path not in {"b/a.md", "b/c/d.txt"}]),
    ],
)
def test_what_comes_back(text: str, left: list[str]) -> None:
    """The last pattern that fits decides, also below a folder that is ignored."""
    assert kept(text) == left


@pytest.mark.parametrize("line", ["[a", "a\\", "!", "!/", "[]a]", "[z-a]", "[a-]"])
def test_a_malformed_pattern_is_told_with_its_line(line: str) -> None:
    """BuildKit fails on it, too, without saying where."""
    with pytest.raises(ShipwayError, match=r"^x/\.dockerignore:2: not a pattern"):
        DockerIgnore.parse(f"ok\n{line}\n", "x/.dockerignore")


@pytest.mark.parametrize("line", ["\\a.md", "\\d", "a|b", "^a", "[[:alpha:]]", "[*]", "[a\\]b]", "[a/b]"])
def test_a_pattern_that_is_an_expression_to_builders_is_refused(line: str) -> None:
    """They make a regular expression of it, in which these signs mean more than the pattern says."""
    with pytest.raises(ShipwayError, match=r"^x/\.dockerignore:2: not a pattern"):
        DockerIgnore.parse(f"ok\n{line}\n", "x/.dockerignore")


@pytest.mark.parametrize("line", ["*a" * 20 + "*b", "**/*a*/" * 20 + "b", "a/**/*a*a/" * 20 + "**/b"])
def test_a_pattern_of_many_stars_takes_no_longer_than_others(line: str) -> None:
    """One line of a stranger's must not hold a plan for days."""
    tree = ["a" * 250, "/".join(["a" * 50] * 40)]
    assert kept(f"{line}\n", tree) == tree


def test_a_pattern_that_could_take_long_is_refused() -> None:
    """Where what fits first is not sure to be right, every place is tried, for a few stars."""
    assert kept("a**a**d", ["aad", "ab/axd", "ab/ad"]) == ["ab/axd"]
    with pytest.raises(ShipwayError, match=r"^x/\.dockerignore:1: not a pattern"):
        DockerIgnore.parse("a**a**a**a**b\n", "x/.dockerignore")
