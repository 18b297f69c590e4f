"""shipway.yaml: what it says, what is wrong with it and where, and that schema and reader say the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipelines.declared import shipway_yaml
from pipelines.declared.shipway_yaml import Configuration, Deploy, ImageSettings, ValuesFile

ROOT = Path(__file__).parents[3]


def read(text: str) -> Configuration:
    """Return what a sound file says."""
    found, findings = shipway_yaml.read(text.encode())
    assert findings == ()
    return found


def test_everything_has_the_conventions_value() -> None:
    """A file that says nothing, in any of the ways to do so, changes nothing."""
    assert read("") == read("# nothing\n") == read("{}\n") == Configuration()
    assert Configuration().image("apps/web/Dockerfile") == ImageSettings()


def test_scalars_are_taken_as_they_are_written() -> None:
    """1.10 is not 1.1, a date is a text, and a truth value is what the Dockerfile shall see."""
    text = "images:\n  web:\n    version: 1.10\n    rebuild: 2026-01-01\n    build-args: {A: 1.0, B: true, C: x}\n"
    found = read(text).image("web/Dockerfile")
    assert (found.version, found.rebuild) == ("1.10", "2026-01-01")
    assert found.build_args == {"A": "1.0", "B": "true", "C": "x"}


def test_later_entries_win_and_build_arguments_add_up() -> None:
    """A pattern says what the images of a folder share, a folder says what differs."""
    found = read(
        "images:\n"
        "  apps/*: {shared: [core], max-age: 7d, build-args: {A: 1, B: 1}}\n"
        "  apps/web: {name: www, max-age: 4w, build-args: {B: 2}}\n"
        "  apps/old: {build: false}\n"
    )
    web = found.image("apps/web/Dockerfile")
    assert web == ImageSettings(name="www", shared=("core",), max_age="4w", build_args={"A": "1", "B": "2"})
    assert not found.image("apps/old/Dockerfile").build
    assert found.image("base/Dockerfile") == ImageSettings()
    said = (("apps/web", "name"), ("apps/web", "shared"), ("base", "name"))
    assert [found.line(f"{folder}/Dockerfile", what) for folder, what in said] == [3, 2, 0]
    assert shipway_yaml.seconds("4w") == 4 * 7 * 86400


@pytest.mark.parametrize("pattern", ["tests", "tests/**", "tests/*", "te*s"])
def test_an_ignored_folder_is_ignored_with_all_below(pattern: str) -> None:
    """All the ways in which people write it mean the same."""
    found = read(f"ignore: ['{pattern}']\n")
    folders = [f for f in ("tests", "tests/real/x", "tests2", "a/tests") if found.is_ignored(f"{f}/Dockerfile")]
    assert folders[:2] == ["tests", "tests/real/x"]
    assert not found.is_ignored("a/tests/Dockerfile")
    assert not found.is_ignored("latests/Dockerfile")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("imges: {}\n", ["1: error: the file has no 'imges'"]),
        ("\nimages:\n  web:\n    nme: x\n", ["4: error: images.web has no 'nme'"]),
        (
            "images:\n  web:\n    name: Web\n    target: 3\n",
            [
                "3: error: images.web.name: 'Web' is not what is wanted here [shipway.yaml]; The image's name: lower",
                "4: error: images.web.target: 3 is not of type",
            ],
        ),
        ("images:\n  ../web: {}\n", ["2: error: images: '../web' cannot be a key here [shipway.yaml]; A path"]),
        (
            "ignore:\n- tests\n- /etc\n",
            ["3: error: ignore.1: '/etc' is not what is wanted here [shipway.yaml]; A path from the repo"],
        ),
        ("images:\n  a: {}\n  b: {}\n  a: {}\n", ["4: error: 'a' stands here and in line 2"]),
        ("values:\n- file: x.yaml\n", ["2: error: values.0: 'image' is a required property"]),
        ("formerly: [/srv/shop.git]\n", ["1: error: formerly.0: '/srv/shop.git' is not what"]),
        ("images:\n  web:\n    max-age: week\n", ["3: error: images.web.max-age: 'week' is not what"]),
        ("images:\n  web:\n    build-args:\n      1A: x\n", ["4: error: images.web.build-args: '1A' cannot be a key"]),
        ("images:\n  web: [\n", ["3: error: not YAML: "]),
        (
            "deploy:\n  environments:\n    release: commit\n",
            ["3: error: deploy.environments: 'release' cannot be a key"],
        ),
        ("- a\n", ["1: error: shipway.yaml is not a mapping"]),
        ("images:\n  web: {version: latest}\n", ["2: error: images.web.version: 'latest' is not what"]),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, told: list[str]) -> None:
    """Every fault of a file is found at once, each where a person has to look; none is believed in part."""
    found, findings = shipway_yaml.read(text.encode())
    assert found == Configuration()
    assert len(findings) == len(told)
    for finding, beginning in zip(findings, told, strict=True):
        assert str(finding).startswith(f"shipway.yaml:{beginning}")


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"k{number}: x\n" for number in range(50_000)),
        f"ignore: {{{'a' * 900_000}: 1}}\n",
        f"{'a' * 900_000}: 1\n",
    ],
    ids=["many", "long", "long key"],
)
def test_a_file_of_nothing_but_faults_is_told_in_few_words(text: str) -> None:
    """And in little time: a file of 50,000 unknown keys took a minute."""
    _, findings = shipway_yaml.read(text.encode())
    assert 1 <= len(findings) <= 100
    assert max(len(finding.text) for finding in findings) <= 500


def test_schema_and_reader_know_the_same_things() -> None:
    """A property that only one of them knows would be refused or silently lost."""
    schema = shipway_yaml.schema()
    fields = {field.name.replace("_", "-") for field in dataclasses.fields(ImageSettings)}
    assert set(schema["$defs"]["image"]["properties"]) == fields
    values = {field.name for field in dataclasses.fields(ValuesFile)} - {"line"}
    assert set(schema["properties"]["values"]["items"]["properties"]) == values
    everything = read(
        "ignore: [a/**]\nplatforms: [linux/arm64]\nimages:\n  b:\n    name: c\n    platforms: [linux/amd64]\n"
        "    build: false\n    version: '1'\n    target: t\n"
        "    build-args: {A: b}\n    secrets: [s]\n    shared: [d]\n    rebuild: r\n    max-age: 1h\n"
        "charts: {ignore: [e], libraries: ['*']}\nvalues: [{file: f.yaml, image: c, at: g.h}]\n"
        "deploy: {branch: b, charts: commit, environments: {dev: commit, prod: pull-request}}\n"
        "formerly: [https://old.example/team/shop.git, git@old.example:team/shop.git]\n"
    )
    assert everything.image("b/Dockerfile") == ImageSettings(
        name="c", build=False, version="1", target="t", build_args={"A": "b"}, secrets=("s",), shared=("d",),
        rebuild="r", max_age="1h", platforms=("linux/amd64",),
    )  # fmt: skip
    assert everything.ignore == ("a",)
    assert everything.chart_ignore == ("e",)
    assert everything.libraries == ("*",)
    assert everything.values == (ValuesFile(file="f.yaml", image="c", at="g.h", line=16),)
    assert everything.deploy == Deploy(
        branch="b", charts="commit", environments={"dev": "commit", "prod": "pull-request"}
    )
    assert everything.formerly == ("https://old.example/team/shop.git", "git@old.example:team/shop.git")
    assert set(schema["properties"]["deploy"]["properties"]) == set(vars(everything.deploy))
    top = {"ignore", "platforms", "dockerfiles", "images", "charts", "values", "deploy", "formerly"}
    assert set(schema["properties"]) == top
    assert set(schema["properties"]["charts"]["properties"]) == {
        "ignore",
        "libraries",
    }


def test_the_files_of_this_repository_are_sound() -> None:
    """Its own, and the one that the documentation shows."""
    for path in (ROOT / "shipway.yaml", ROOT / "docs" / "images-repository.shipway.yaml"):
        assert shipway_yaml.read(path.read_bytes())[1] == ()
