"""What a plan counts as an image's context is what builders are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.images import context as image_context
from pipelines.images.dockerignore import DockerIgnore
from pipelines.release import snapshot as release_snapshot
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.git.checkout import check_out
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from tests.build_workspace import Workspace, each_builder
from tests.git_repositories import Repository
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
    rules, tree = DockerIgnore.parse(text, ""), (*TREE, "Dockerfile", "Dockerfile.dockerignore")
    if builder == "buildkit":
        assert found == set(rules.kept(tree))
    else:
        assert found <= set(rules.kept_by_buildah(tree))
        assert found | {"deep/er/still/x.go"} >= set(rules.kept_by_buildah(tree))


def read(repository: Repository, work: Path) -> tuple[str, bytes]:
    """Return the digest of the context of the image web at the head, and the bytes that its builder gets of a file."""
    url = RepositoryUrl(str(repository.path))
    with Git(GitCredentials.read(work / "none")) as git:
        resolved = git.resolve(url, Revision("main"))
        (work / "declared").mkdir(parents=True)
        tree = release_snapshot.read(git, url, resolved, work / "declared").tree
        check_out(git, url, resolved, work / "source", submodules=False, lfs=False)
    found = image_context.of(tree, folder="apps/web", dockerfile="apps/web/Dockerfile")
    return found.digest, (work / "source/apps/web/page.txt").read_bytes()


CONVERTING = ("* eol=crlf", "*.txt text eol=crlf", "*.txt ident", "*.txt working-tree-encoding=UTF-16LE")
OTHERS = (
    *("*.txt text", "* text=auto", "*.txt -text", "*.txt text eol=lf", "*.txt crlf", "*.txt binary"),
    *("*.txt filter=lfs", "*.txt linguist-documentation", "*.txt export-subst"),
)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        *((".gitattributes", line) for line in (*CONVERTING, *OTHERS)),
        ("apps/.gitattributes", CONVERTING[0]),
        ("apps/web/.gitattributes", CONVERTING[0]),
        ("apps/api/.gitattributes", "*.txt ident"),
    ],
)
def test_attributes_that_change_what_is_checked_out_change_the_key(place: str, line: str, tmp_path: Path) -> None:
    """They may stand above the image's folder, or be kept from its builder; all others change nothing."""
    repository = Repository(tmp_path / "repository")
    repository.write("apps/web/Dockerfile", "FROM scratch\nCOPY . /\n").write("apps/web/.dockerignore", ".git*\n")
    repository.write("apps/web/page.txt", "one\n$Id$\n").write("apps/api/.gitattributes", "* eol=crlf\n").commit()
    digest, data = read(repository, tmp_path / "before")
    assert data == b"one\n$Id$\n"
    repository.write(place, f"{line}\n").commit()
    other, changed = read(repository, tmp_path / "after")
    assert (other != digest) == (changed != data)


def test_a_submodule_counts_as_the_empty_folder_that_it_is(tmp_path: Path) -> None:
    """Which commit it names changes nothing for the builder."""
    repository = Repository(tmp_path / "repository")
    repository.write("apps/web/Dockerfile", "FROM scratch\nCOPY . /\n").write("apps/web/page.txt", "1").commit()
    found = [read(repository, tmp_path / "without")[0]]
    for number in "12":
        repository.git("update-index", "--add", "--cacheinfo", f"160000,{number * 40},apps/web/vendor")
        repository.git("commit", "-q", "-m", "Submodule")
        found.append(read(repository, tmp_path / number)[0])
    assert found[0] != found[1] == found[2]
