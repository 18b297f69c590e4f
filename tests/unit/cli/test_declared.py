"""What a repository declares: its images, which of them are meant, and Dockerfiles that are links."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.cli import declared
from pipelines.cli.declared import DeclaredImages
from pipelines.errors import Misuse, ShipwayError
from tests import trees
from tests.git_repositories import Repository

FILES = {
    "base/Dockerfile": "FROM scratch\n",
    "apps/web/Dockerfile": "FROM base\n",
    "apps/api/Dockerfile": "FROM scratch\n",
    "bad/Dockerfile": "FROM ${NEVER}\n",
    "on-bad/Dockerfile": "FROM bad\n",
    "x/twin/Dockerfile": "FROM scratch\n",
    "y/twin/Dockerfile": "FROM scratch\n",
}
FOUND = DeclaredImages(repo="r", commit="c" * 40, ref="", graph=trees.read(FILES))


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ([], ["api", "bad", "base", "twin", "on-bad", "web"]),
        (["web"], ["web"]),
        (["apps/web"], ["web"]),
        (["./apps/web/"], ["web"]),
        (["apps/web/Dockerfile"], ["web"]),
        (["web", "base", "apps/web"], ["base", "web"]),
        (["bad", "web"], ["bad", "web"]),
        (["y/twin"], ["twin"]),
    ],
)
def test_images_are_chosen_by_name_or_folder(wanted: list[str], chosen: list[str]) -> None:
    """Each is there once, parents first however they were named; nothing named means all."""
    assert [node.name for node in FOUND.choose(wanted)] == chosen


def test_faults_block_what_they_concern_alone() -> None:
    """An unreadable Dockerfile blocks its image and what depends on it, a name that is taken twice both of its name."""
    assert [image.name for image in FOUND.images] == ["api", "base", "web"]
    assert {node.name: node.blocked for node in FOUND.blocked} == {
        "bad": "bad/Dockerfile:1: the variable NEVER has no value: '${NEVER}'",
        "on-bad": "parent image bad is blocked",
        "twin": "another image has the same name",
    }
    assert not FOUND.is_sound


def test_an_unknown_image_is_told_with_those_there_are() -> None:
    """Both ways to name the others are shown, and nothing is chosen."""
    with pytest.raises(Misuse, match="no image apps, wbe at cccccccccccc") as caught:
        FOUND.choose(["web", "wbe", "apps"])
    assert caught.value.seen == "images: api (apps/api), base (base), web (apps/web)"


def read(repository: Repository) -> DeclaredImages:
    """Return what a repository declares at its head."""
    settings = {"secrets": "none", "registry": "registry.example", "project": "team"}
    return declared.read(settings, str(repository.path), "main", declared.any_builder(("linux/amd64",), ()))


def test_parents_come_first(tmp_path: Path) -> None:
    """Whatever their names, images stand behind those that their Dockerfiles name."""
    repository = Repository(tmp_path / "Shop.git")
    repository.write("a/Dockerfile", "FROM registry.example/team/b:1\nCOPY --from=c / /\n")
    repository.write("b/Dockerfile", "FROM c\n").write("c/Dockerfile", "FROM scratch\n").write("Dockerfile", "FROM a")
    repository.commit()
    found = read(repository)
    assert [image.name for image in found.images] == ["c", "b", "a", "shop"]
    assert found.parents == {"a": ("b", "c"), "b": ("c",), "c": (), "shop": ("a",)}


@pytest.mark.parametrize("link", ["/etc/passwd", "../../etc/passwd", "../..", "..", "Dockerfile", "nothing"])
def test_a_dockerfile_that_is_a_link(link: str, tmp_path: Path) -> None:
    """A link within the commit is followed; one that leads
    elsewhere is no Dockerfile with a strange text, but blocked.
    """
    repository = Repository(tmp_path / "repository").link("app/Dockerfile", "../shared/Base.Dockerfile")
    repository.write("shared/Base.Dockerfile", "FROM scratch\n").write("shipway.yaml", "dockerfiles: []\n").commit()
    assert [image.name for image in read(repository).images] == ["app"]
    (tmp_path / "repository/app/Dockerfile").unlink()
    repository.link("app/Dockerfile", link).commit()
    found = read(repository)
    assert found.images == ()
    [finding] = found.graph.findings
    assert finding.path == "app/Dockerfile"
    assert finding.text == f"is a link that leaves the repository, or leads to no file there: {link}"


def test_the_image_at_the_root_is_named_as_plans_name_it(tmp_path: Path) -> None:
    """Whatever a folder is called."""
    repository = Repository(tmp_path / "My Repo")
    repository.write("Dockerfile", "FROM scratch\n").commit()
    assert [image.name for image in read(repository).images] == ["my-repo"]


def test_shipway_yaml_is_heeded(tmp_path: Path) -> None:
    """What is ignored or off is no image, names are its own, and the rest become inputs of each build."""
    repository = Repository(tmp_path / "shop")
    repository.write("tests/x/Dockerfile", "nonsense\n").write("off/Dockerfile", "FROM scratch\n")
    repository.write("bases/one/Dockerfile", "FROM scratch\n").write("web/Dockerfile", "ARG ON\nFROM ${ON}\n")
    text = "ignore: [tests]\nimages:\n  off: {build: false}\n  bases/one: {name: base}\n"
    text += "  web: {build-args: {ON: base}, secrets: [token], shared: [tests], version: 1.0}\n"
    repository.write("shipway.yaml", text).commit()
    found = read(repository)
    assert [(image.name, image.path) for image in found.images] == [("base", "bases/one"), ("web", "web")]
    assert found.parents["web"] == ("base",)
    assert found.inputs(()) == {
        "base": {},
        "web": {
            "build-args": '["ON=base"]', "secret-ids": '["token"]', "shared": '["tests"]',
            "version": "1.0", "version-tag": "1.0",
        },
    }  # fmt: skip
    repository.write("shipway.yaml", "images:\n  web: {nme: x}\n").commit()
    with pytest.raises(ShipwayError, match=r"^shipway\.yaml:2: images\.web has no 'nme'") as told:
        read(repository)
    assert told.value.seen == "web: {nme: x}"
    assert told.value.todo
