"""The graph of a tree's images, and every way in which it can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pipelines.declared import shipway_yaml
from pipelines.declared.shipway_yaml import ImageEntry
from pipelines.images import context
from pipelines.images.node import MOST_WAVES
from tests.trees import TARGET, read

FILES = {"Dockerfile": "FROM scratch AS one\nCOPY . /\n", ".gitattributes": "* text\n"}


def told(files: dict[str, str]) -> list[str]:
    """Return the findings as people see them."""
    return [str(finding) for finding in read(files).findings]


def test_edges_come_from_everything_that_names_an_image() -> None:
    """FROM with arguments, COPY --from and mounts, by bare name and by the deployment's own address."""
    found = read(
        {
            "base/Dockerfile": "FROM debian:12\n",
            "tools/Dockerfile": "FROM scratch\n",
            "data/Dockerfile": "FROM scratch\n",
            "web/Dockerfile": "ARG KIND=base\nFROM registry.example/team/${KIND}:1\nCOPY --from=tools /a /a\n"
            "RUN --mount=from=data,target=/d true\nCOPY --from=busybox:1 /b /b\n",
            "Dockerfile": "FROM web\n",
        }
    )
    web = found.nodes["web"]
    assert [(edge.name, edge.line) for edge in web.parents] == [("base", 2), ("tools", 3), ("data", 4)]
    assert [external.name for external in web.externals] == ["busybox:1"]
    assert list(found.nodes) == ["base", "data", "tools", "web", "shop"]
    assert found.findings == ()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"apps/{{=1+1}}/Dockerfile": "FROM scratch\n", shipway_yaml.NAME: "images:\n  apps/*: {name: web}\n"},
            "apps/{{=1+1}}/Dockerfile:1: error: the folder apps/{{=1+1}} cannot be passed on: it holds `{{`",
        ),
        (
            {
                "web/Dockerfile": "ARG A\nFROM scratch\nARG A\n",
                shipway_yaml.NAME: "images:\n  web:\n    build-args: {A: '{{workflow.uid}}'}\n",
            },
            "shipway.yaml:3: error: the build argument A cannot be passed on: it holds `{{`",
        ),
        (
            {
                "web/Dockerfile": "FROM scratch\n",
                "{{x}}/file": "1",
                shipway_yaml.NAME: "images:\n  web:\n    shared: ['{{x}}']\n",
            },
            "shipway.yaml:3: error: the folder {{x}} cannot be passed on: it holds `{{`",
        ),
        (
            {
                "web/Dockerfile": "FROM scratch\nARG A\n",
                shipway_yaml.NAME: 'images:\n  web:\n    build-args: {A: "\\U0001FAE9"}\n',
            },
            "shipway.yaml:3: error: the build argument A cannot be passed on: it holds the character '\\U0001fae9'",
        ),
    ],
)
def test_what_argo_would_evaluate_is_a_finding_with_its_line(files: dict[str, str], said: str) -> None:
    """A text of the repository becomes an argument of its build."""
    found = read(files)
    [finding] = found.findings
    assert str(finding).startswith(said)
    assert found.nodes["web"].blocked


def test_arguments_of_shipway_yaml_and_of_the_caller_decide() -> None:
    """What FROM depends on may depend on them; the caller's win; undeclared ones have no effect."""
    files = {
        "a/Dockerfile": "FROM scratch\n",
        "b/Dockerfile": "FROM scratch\n",
        "web/Dockerfile": "ARG ON\nFROM ${ON} AS one\nFROM scratch\n",
        shipway_yaml.NAME: "images: {web: {build-args: {ON: a, OTHER: x}, target: one}}\n",
    }
    assert [edge.name for edge in read(files).nodes["web"].parents] == ["a"]
    other = read(files, target=replace(TARGET, build_args=("ON=b",)))
    assert [edge.name for edge in other.nodes["web"].parents] == ["b"]
    assert other.nodes["web"].build_args == ("ON=b",)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"a/Dockerfile": "FROM c\n", "b/Dockerfile": "\nFROM a\n", "c/Dockerfile": "FROM b\n"},
            "a/Dockerfile:1: error: images depend on each other in a circle: a → c → b → a [cycle]",
        ),
        (
            {"x/web/Dockerfile": "FROM scratch\n", "y/web/Dockerfile": "FROM scratch\n"},
            "y/web/Dockerfile:1: error: x/web/Dockerfile is an image of the name web, too [name]",
        ),
        (
            {
                "x/Dockerfile": "FROM scratch\n",
                "y/Dockerfile": "FROM scratch\n",
                "shipway.yaml": "images:\n  y: {name: x}\n",
            },
            "shipway.yaml:2: error: x/Dockerfile is an image of the name x, too [name]",
        ),
        (
            {"a/Dockerfile": "FROM scratch\n", "b/Dockerfile": "ARG R=quay.io/x\nFROM $R/a:1\n"},
            "b/Dockerfile:2: warning: quay.io/x/a:1 comes from outside, not from this repository's a [namesake]",
        ),
        ({"Web/Dockerfile": "FROM scratch\n"}, "Web/Dockerfile:1: error: the folder's name 'Web' cannot name an image"),
        (
            {"a/Dockerfile": "ARG BASE\n\nFROM ${BASE}\n"},
            "a/Dockerfile:3: error: the variable BASE has no value: '${BASE}' [arg]",
        ),
        (
            {"a/Dockerfile": "FROM scratch\n\nADD https://example.org/x.tar /x\n"},
            "a/Dockerfile:3: warning: ADD fetches https://example.org/x.tar and nothing says what it must be [add]",
        ),
        ({"a/Dockerfile": "FRM scratch\n"}, "a/Dockerfile:1: error: there is no FROM"),
        (
            {"a/Dockerfile": "FROM scratch\nRUN <<END\n"},
            "a/Dockerfile:2: error: it cannot be read: unterminated",
        ),
        ({"a/Dockerfile": "# FROM x\n"}, "a/Dockerfile: error: cannot be read: file with no instructions"),
        ({"a/Dockerfile": "FROM scratch\nENV X\nENV Y=1\n"}, "a/Dockerfile:2: error: it cannot be read: ENV must have"),
        (
            {"a/Dockerfile": "FROM scratch AS x\nFROM --platform=linux/arm64 scratch\nCOPY --from=x / /\n"},
            "a/Dockerfile:2: error: a stage of another platform: linux/arm64, where this build is for linux/amd64",
        ),
        ({"a/Dockerfile": "FROM scratch\nRUN --network=host x\n"}, "a/Dockerfile:2: error: RUN --network is not given"),
        (
            {"a/Dockerfile": "FROM scratch\n", "a/.dockerignore": "ok\n[\n"},
            "a/.dockerignore:2: error: not a pattern that builders read",
        ),
        (
            {
                "a/Dockerfile": "FROM b\n",
                "b/Dockerfile": "FROM scratch\n",
                "shipway.yaml": "images: {b: {build: false}}",
            },
            "a/Dockerfile:1: error: the image b is switched off",
        ),
        (
            {"a/Dockerfile": "FROM scratch\n", "shipway.yaml": "images:\n  a:\n    shared: [core]\n"},
            "shipway.yaml:3: error: there is no folder core to share",
        ),
        (
            {
                "a/Dockerfile": "FROM scratch\n",
                "a/core/x": "",
                "core/x": "",
                "shipway.yaml": "images: {a: {shared: [core]}}",
            },
            "shipway.yaml:1: error: a has a core of its own",
        ),
        (
            {"a/Dockerfile": "FROM scratch\n", "shipway.yaml": "images:\n  b: {}\n"},
            "shipway.yaml:2: warning: there is no image in b [unused]",
        ),
        (
            {
                "a/b/Dockerfile": "FROM scratch\n",
                "shipway.yaml": "ignore:\n- test\n- c*\ncharts: {ignore: [a]}\n",
                "c/d/x": "",
            },
            "shipway.yaml:2: warning: there is no folder test to ignore [unused]",
        ),
        (
            {"a/Dockerfile.x": "FROM scratch\n", "shipway.yaml": "dockerfiles:\n- a/*\n- ./a/Dockerfile.x\n- Dock*\n"},
            "shipway.yaml:3: warning: there is no file ./a/Dockerfile.x to be a Dockerfile [unused]",
        ),
        (
            {"debian/Dockerfile": "FROM scratch\n", "a/Dockerfile": "FROM debian\n"},
            "a/Dockerfile:1: warning: debian is this repository's image in debian, not the public image [shadow]",
        ),
    ],
)
def test_each_fault_is_a_finding_with_its_place(files: dict[str, str], said: str) -> None:
    """Nothing is raised, so one plan tells all of them."""
    found = told(files)
    assert len(found) == 1
    assert found[0].startswith(said)


@pytest.mark.parametrize(
    "source",
    [
        "--checksum=sha256:0 https://example.org/x",
        "https://example.org/x.git#0123456789012345678901234567890123456789",
        "git@example.org:x.git#0123456789012345678901234567890123456789",
        "x",
        "$UNKNOWN/x",
    ],
)
def test_what_is_fetched_by_digest_is_no_finding(source: str) -> None:
    """A checksum or a commit says what it must be."""
    assert told({"a/Dockerfile": f"FROM scratch\nADD {source} /x\n"}) == []


@pytest.mark.parametrize(
    ("lines", "source"),
    [
        ("ADD git@example.org:x.git /x", "git@example.org:x.git"),
        ("ADD https://example.org/$V /x", "https://example.org/$V"),
        ("ARG V=1\nADD https://example.org/$V /x", "https://example.org/1"),
        ("ARG HOST=example.org\nENV URL=https://$HOST/x\nADD $URL /x", "https://example.org/x"),
        ("ARG ABOVE\nADD $ABOVE /x", "https://above.example/x"),
        ("ARG ABOVE=https://own.example/x\nADD $ABOVE /x", "https://own.example/x"),
        ("ARG GIVEN=https://own.example/x\nADD $GIVEN /x", "https://given.example/x"),
    ],
)
def test_an_address_is_one_whatever_it_is_written_with(lines: str, source: str) -> None:
    """Arguments and variables have the values that the build
    gives them; what only the build knows stays as it is written.
    """
    files = {
        "a/Dockerfile": f"ARG ABOVE=https://above.example/x\nFROM scratch\n{lines}\n",
        shipway_yaml.NAME: "images: {a: {build-args: {GIVEN: 'https://given.example/x'}}}\n",
    }
    line = 2 + len(lines.splitlines())
    warning = f"a/Dockerfile:{line}: warning: ADD fetches {source} and nothing says what it must be [add]; "
    assert told(files) == [
        f"{warning}add --checksum=sha256:…, or set max-age in shipway.yaml so that it is fetched anew"
    ]


def test_nobody_is_told_to_write_what_the_builder_refuses() -> None:
    """Buildah does not know --checksum."""
    files = {"a/Dockerfile": "FROM scratch\nADD https://example.org/x /x\n"}
    buildah = replace(TARGET, builder="buildah", builder_version="1.28.2")
    assert "--checksum" not in str(read(files, target=buildah).findings[0])


def test_what_stands_on_a_fault_is_blocked_and_nothing_else() -> None:
    """An image of another part of the tree is planned as if the fault were not there."""
    found = read(
        {
            "a/Dockerfile": "FROM b\n",
            "b/Dockerfile": "ARG X\nFROM $X\n",
            "c/Dockerfile": "FROM a\n",
            "d/Dockerfile": "FROM scratch\n",
        }
    )
    assert {name: node.blocked for name, node in found.nodes.items()} == {
        "b": "b/Dockerfile:2: the variable X has no value: '$X'",
        "a": "parent image b is blocked",
        "c": "parent image a is blocked",
        "d": "",
    }


def test_more_waves_than_there_are_is_refused_with_the_chain() -> None:
    """The chain is named once, at the first image that is too deep; whatever is above it is blocked."""
    names = "abcdefghij"[: MOST_WAVES + 2]
    files = {f"{name}/Dockerfile": f"FROM {under}\n" for name, under in zip(names, ["scratch", *names], strict=False)}
    found = read(files)
    assert [str(finding) for finding in found.findings] == [
        (
            f"i/Dockerfile:1: error: more than {MOST_WAVES} images depend on each other: "
            "a → b → c → d → e → f → g → h → i [depth]; let one depend on an earlier one"
        )
    ]
    assert [name for name, node in found.nodes.items() if node.blocked] == ["i", "j"]


def test_hidden_folders_have_no_images_unless_they_are_named() -> None:
    """`.devcontainer` is for editors."""
    files = {
        ".devcontainer/Dockerfile": "FROM scratch\n",
        "a/.x/b/Dockerfile": "FROM scratch\n",
        "c/Dockerfile": "FROM scratch\n",
    }
    assert [list(read(files).nodes), read(files).findings] == [["c"], ()]
    named = {**files, "shipway.yaml": "images: {'**': {max-age: 7d}, .devcontainer: {name: dev}}\n"}
    assert [list(read(named).nodes), read(named).findings] == [["c", "dev"], ()]


def test_ignored_folders_have_no_images() -> None:
    """Their Dockerfiles may say anything."""
    files = {"tests/x/Dockerfile": "nonsense", "a/Dockerfile": "FROM scratch\n", "shipway.yaml": "ignore: [tests/**]\n"}
    assert list(read(files).nodes) == ["a"]


def test_the_work_for_an_image_does_not_grow_with_the_number_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of shipway.yaml and files of Git's attributes
    that are about one folder are not compared with every other.
    """
    compared: list[str] = []

    def counted(call: Callable[..., bool]) -> Callable[..., bool]:
        def compare(*values: object) -> bool:
            compared.append(str(values))
            return call(*values)

        return compare

    monkeypatch.setattr(ImageEntry, "fits", counted(ImageEntry.fits))
    monkeypatch.setattr(context, "_is_below", counted(context._is_below))
    counts = []
    for number in (50, 500):
        names = [f"i{n}" for n in range(number)]
        files = {f"apps/{name}/{file}": text for name in names for file, text in FILES.items()}
        entries = "".join(f"  apps/{name}: {{target: one}}\n" for name in names)
        compared.clear()
        found = read({**files, shipway_yaml.NAME: f"images:\n  apps/i*: {{version: 1.0}}\n{entries}"})
        assert {(node.settings.target, node.settings.version) for node in found.nodes.values()} == {("one", "1.0")}
        assert (len(found.nodes), found.findings) == (number, ())
        counts.append(len(compared) / number)
    assert counts[0] == counts[1] > 0
