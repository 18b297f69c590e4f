"""What a plan counts as an image's context is what builders are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.plan.dockerignore import Rules
from tests.build_workspace import Workspace, each_builder
from tests.image_files import files

TREE = ("a.md", "b/a.md", "b/c/a.md", "b/c/d.txt", "dir/f", "dir/sub/f", "directory", "x.go", "deep/er/still/x.go")


@each_builder
@pytest.mark.parametrize(
    "text",
    [
        "# some\n*.md\n/dir/\nb/**/d.txt\n",
        "**\n!dir/sub\n!**/x.go\ndeep/er/[st]*\n",
        "*\n!b\nb/c\n!b/c/d.???\n",
        "**.go\n!x.go\nb/*\n",
    ],
)
def test_a_builder_is_given_what_the_rules_leave(builder: str, text: str, tmp_path: Path) -> None:
    """File by file; a plan for buildah may count a few more than it is given, and never one less."""
    made = Workspace(tmp_path / "workspace").write({path: path for path in TREE})
    made.write({"Dockerfile": "FROM scratch\nCOPY . /\n", "Dockerfile.dockerignore": text})
    made.build(builder, tmp_path / "cache")
    found = {path.removeprefix("/") for path, entry in files(made.image).items() if entry.kind == "file"}
    rules, tree = Rules.parse(text, ""), (*TREE, "Dockerfile", "Dockerfile.dockerignore")
    if builder == "buildkit":
        assert found == set(rules.kept(tree))
    else:
        assert found <= set(rules.kept_by_buildah(tree))
        assert found | {"deep/er/still/x.go"} >= set(rules.kept_by_buildah(tree))
