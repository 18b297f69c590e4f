"""Which images a tree declares, which names they share, and which files are mentioned."""

from __future__ import annotations

import pytest

from pipelines.declared import shipway_yaml
from pipelines.images.discover import TreeImages, discover
from tests.trees import read

TREE = ["Dockerfile", "apps/web/Dockerfile", "apps/web/notes", "base/Dockerfile", "docs/Dockerfile.md"]
CLASHES = ["22/alpine/Dockerfile", "22/bookworm/Dockerfile", "24/alpine/Dockerfile", "24/bookworm/Dockerfile"]


def found(paths: list[str], text: str = "") -> TreeImages:
    """Return the images of some files and a shipway.yaml."""
    configuration, findings = shipway_yaml.read(text.encode())
    assert findings == ()
    return discover(sorted(paths), configuration, "shop")


def told(images: TreeImages) -> list[str]:
    """Return the findings as people see them."""
    return [str(finding) for finding in images.findings]


def test_each_dockerfile_is_an_image_named_after_its_folder() -> None:
    """Only files named Dockerfile count; the root takes the repository's name."""
    images = found(TREE)
    assert [(i.name, i.path, i.dockerfile) for i in images.images] == [
        ("shop", ".", "Dockerfile"),
        ("web", "apps/web", "apps/web/Dockerfile"),
        ("base", "base", "base/Dockerfile"),
    ]
    assert (images.findings, images.off, images.clashing) == ((), (), {})


@pytest.mark.parametrize("folder", ["Web", "a b", "-x", "x_", "ü"])
def test_folder_that_cannot_name_an_image(folder: str) -> None:
    """A folder whose name no registry takes is a finding, and no image."""
    images = found([f"{folder}/Dockerfile"])
    assert images.images == ()
    assert [(finding.path, finding.rule) for finding in images.findings] == [(f"{folder}/Dockerfile", "name")]


def test_all_clashes_are_one_finding_with_the_rule_that_ends_them() -> None:
    """What it proposes is taken as it is written, and leaves nothing to tell."""
    images = found([*CLASHES, "web/Dockerfile"])
    assert [image.name for image in images.images] == ["web"]
    [finding] = told(images)
    assert finding == (
        "24/alpine/Dockerfile:1: error: images have the same names: alpine (22/alpine/Dockerfile, "
        "24/alpine/Dockerfile), bookworm (22/bookworm/Dockerfile, 24/bookworm/Dockerfile) [name]; "
        'name them by their paths in shipway.yaml, images: {"*": {name: "{path}"}}, or one by one'
    )
    mended = found([*CLASHES, "web/Dockerfile"], 'images: {"*": {name: "{path}"}}')
    assert [image.name for image in mended.images] == ["22-alpine", "22-bookworm", "24-alpine", "24-bookworm", "web"]
    assert mended.findings == ()


@pytest.mark.parametrize(
    ("paths", "text", "rule"),
    [
        (["x/web/Dockerfile", "y/web/Dockerfile"], "", 'images: {"*/web": {name: "{path}"}}'),
        (["web/Dockerfile", "y/web/Dockerfile"], "", 'images: {"*/web": {name: "{path}"}}'),
        (
            ["x/web/a.dockerfile", "y/web/a.dockerfile"],
            "dockerfiles: ['*.dockerfile']\n",
            '{"*/web": {name: "{path}-{file}"}}',
        ),
        (["a/Containerfile", "a/Dockerfile"], "dockerfiles: [Containerfile]\n", 'images: {"a/Dockerfile": {name: …}}'),
        (["Dockerfile", "shop/Dockerfile"], "", 'images: {"shop/Dockerfile": {name: …}}'),
    ],
)
def test_the_remedy_is_one(paths: list[str], text: str, rule: str) -> None:
    """Where paths make names that differ, the rule for just these folders; where they do not, one name."""
    [finding] = found(paths, text).findings
    assert rule in finding.todo
    written = f"{text}{finding.todo.partition('shipway.yaml, ')[2].partition(', or')[0]}".replace("…", "other")
    mended = found(paths, written)
    assert (len(mended.images), mended.findings) == (len(paths), ())


def test_an_image_whose_name_is_taken_blocks_what_depends_on_it_alone() -> None:
    """Both of a name are blocked; which of them a child means, nobody knows."""
    files = dict.fromkeys([*CLASHES, "web/Dockerfile"], "FROM scratch\n")
    graph = read({**files, "child/Dockerfile": "FROM alpine\n"})
    assert {name: node.blocked for name, node in graph.nodes.items()} == {
        "web": "",
        "alpine": "another image has the same name",
        "bookworm": "another image has the same name",
        "child": "parent image alpine is blocked",
    }


def test_other_dockerfiles_are_mentioned_once() -> None:
    """One warning names them all, until shipway.yaml says which of them are images; notes and templates are none."""
    others = ["a/Containerfile", "a/Dockerfile.prod", "b/lint.dockerfile", "b/Dockerfile-dev"]
    about = ["a/Dockerfile.dockerignore", "a/Dockerfile.md", "a/Dockerfile.j2", "a/Dockerfile-linux.template"]
    about += ["a/test_dockerfile.py", ".hidden/Containerfile", "tests/Containerfile"]
    ignore = "ignore: [tests]\n"
    [warning] = told(found(["tests/x", "web/Dockerfile", *others, *about], ignore))
    assert warning == (
        "a/Containerfile: warning: named like Dockerfiles, and no images: a/Containerfile, a/Dockerfile.prod, "
        "b/Dockerfile-dev, and 1 more [undeclared]; list their names in shipway.yaml, dockerfiles: "
        "[Containerfile, Dockerfile-dev, Dockerfile.prod, and 1 more], or none: []"
    )
    assert told(found(["web/Dockerfile", *others], "dockerfiles: []\n")) == []
    assert told(found(["web/Dockerfile", *others], "dockerfiles: [Containerfile]\n")) == []


def test_other_dockerfiles_are_images_once_they_are_declared() -> None:
    """Several in one folder, too; by name or by path, and with settings of their own."""
    paths = ["Dockerfile", "a/Containerfile", "b/Dockerfile", "b/Dockerfile.dev", "b/Dockerfile.dev.dockerignore"]
    paths += ["b/Dockerfile.prod", "docker/lint.dockerfile", "docker/Image"]
    text = "dockerfiles: [Containerfile, Dockerfile.*, '*.dockerfile', docker/Image]\n"
    text += "images:\n  b: {target: common}\n  b/Dockerfile.prod: {name: shop-prod, target: prod}\n"
    text += "  '*.dockerfile': {name: '{file}'}\n  b/Dockerfile.dev: {build: false}\n"
    configuration, _ = shipway_yaml.read(text.encode())
    images = found(paths, text)
    assert [(i.name, i.path, i.dockerfile) for i in images.images] == [
        ("shop", ".", "Dockerfile"),
        ("a", "a", "a/Containerfile"),
        ("b", "b", "b/Dockerfile"),
        ("shop-prod", "b", "b/Dockerfile.prod"),
        ("docker-image", "docker", "docker/Image"),
        ("lint", "docker", "docker/lint.dockerfile"),
    ]
    assert [image.dockerfile for image in images.off] == ["b/Dockerfile.dev"]
    assert images.findings == ()
    targets = {path: configuration.image(path).target for path in ("b/Dockerfile", "b/Dockerfile.prod", "Dockerfile")}
    assert targets == {"b/Dockerfile": "common", "b/Dockerfile.prod": "prod", "Dockerfile": ""}


def test_a_pattern_of_folders_stands_for_no_file() -> None:
    """`apps/*` is about what is in folders of apps, not about a Dockerfile of apps itself."""
    configuration, _ = shipway_yaml.read(b"dockerfiles: ['*.dockerfile']\nimages: {apps/*: {target: x}}\n")
    assert configuration.image("apps/web.dockerfile").target == ""
    assert configuration.image("apps/web/x.dockerfile").target == "x"
