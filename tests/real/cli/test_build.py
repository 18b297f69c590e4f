"""`shipway images` and `build` of a repository in which something is wrong: the rest is listed and built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.git_repositories import Repository
from tests.shipway_process import Shipway

NEVER = "bad/Dockerfile:1: the variable NEVER has no value: '${NEVER}'"
BLOCKED = {
    "bad": NEVER,
    "on-bad": "parent image bad is blocked",
    "bookworm": "another image has the same name",
}
FILES = {
    "good/Dockerfile": "FROM scratch\nCOPY Dockerfile /\n",
    "on-good/Dockerfile": "FROM good\nCOPY Dockerfile /on-good\n",
    "on-good/Dockerfile.prod": "FROM on-good\nCOPY Dockerfile /prod\n",
    "bad/Dockerfile": "FROM ${NEVER}\n",
    "on-bad/Dockerfile": "FROM bad\n",
    "22/bookworm/Dockerfile": "FROM scratch\nCOPY Dockerfile /22\n",
    "24/bookworm/Dockerfile": "FROM scratch\nCOPY Dockerfile /24\n",
}
MENDED = """\
ignore: [bad, on-bad]
dockerfiles: [Dockerfile.*]
images:
  "*/bookworm": {name: "{path}"}
"""


@pytest.fixture
def shipway(embedded: tuple[Shipway, dict[str, Any]]) -> Shipway:
    """The command, with a registry of its own."""
    return embedded[0]


@pytest.fixture
def registry_name(embedded: tuple[Shipway, dict[str, Any]]) -> str:
    """The registry and its project."""
    reference: str = embedded[1]["images"]["base"]["reference"]
    return reference.partition("/base@")[0]


@pytest.fixture
def shop(tmp_path: Path) -> Repository:
    """The repository."""
    repository = Repository(tmp_path / "shop")
    for name, text in FILES.items():
        repository.write(name, text)
    repository.commit()
    return repository


def test_what_is_good_is_listed_and_built(shipway: Shipway, shop: Repository) -> None:
    """What is bad is told with file and line, and the exit code says so, as that of a plan does."""
    repo = str(shop.path)
    listed = shipway.run("images", repo, "--json")
    found = json.loads(listed.stdout)
    assert listed.returncode == 3
    assert [image["name"] for image in found["images"]] == ["good", "on-good"]
    assert {image["name"]: image["why"] for image in found["blocked"]} == BLOCKED
    built = shipway.run("build", repo, "--json", "--quiet")
    assert built.returncode == 3, built.stderr
    images = json.loads(built.stdout)["images"]
    assert {name: image["phase"] for name, image in images.items()} == {
        "good": "Succeeded",
        "on-good": "Succeeded",
        **dict.fromkeys(BLOCKED, "Blocked"),
    }
    assert {name: images[name]["message"] for name in BLOCKED} == BLOCKED
    for done in (listed, built, shipway.run("plan", repo)):
        assert done.returncode == 3
        told = done.stdout + done.stderr
        assert "bad/Dockerfile:1: error: the variable NEVER has no value" in told
        assert told.count('images: {"*/bookworm": {name: "{path}"}}') == 1
        assert told.count("dockerfiles: [Dockerfile.prod]") == 1


def test_an_image_that_is_asked_for_matters_alone(shipway: Shipway, shop: Repository) -> None:
    """A fault elsewhere is told, and changes neither the build nor its exit code."""
    repo = str(shop.path)
    good = shipway.run("build", repo, "--image", "good", "--json", "--quiet")
    assert good.returncode == 0, good.stderr
    assert list(json.loads(good.stdout)["images"]) == ["good"]
    assert "bad/Dockerfile:1: error:" in good.stderr
    for name in ("bad", "22/bookworm", "24/bookworm/Dockerfile"):
        bad = shipway.run("build", repo, "--image", name, "--json", "--quiet")
        assert (bad.returncode, json.loads(bad.stdout)["error"]["exit_code"]) == (3, 3)
    both = shipway.run("build", repo, "--image", "good", "--image", "bad", "--json", "--quiet")
    assert both.returncode == 3
    assert {name: image["phase"] for name, image in json.loads(both.stdout)["images"].items()} == {
        "good": "Succeeded",
        "bad": "Blocked",
    }


def test_submit_of_one_image(shipway: Shipway, shop: Repository) -> None:
    """A folder is built beside bad ones; one that shares its name is refused unless it is given another."""
    words = ["submit", "clone-build-push", "--quiet", "-p", f"repo={shop.path}", "-p"]
    assert shipway.run(*words, "path=good").returncode == 0
    twin = shipway.run(*words, "path=22/bookworm")
    assert twin.returncode == 3
    assert "22/bookworm/Dockerfile: another image has the same name, bookworm" in twin.stderr
    assert shipway.run(*words, "path=22/bookworm", "-p", "name=other").returncode == 0


def test_names_and_dockerfiles_that_shipway_yaml_declares(shipway: Shipway, shop: Repository) -> None:
    """What the findings propose makes images of names of their own, in every command."""
    shop.write("shipway.yaml", MENDED).commit()
    repo = str(shop.path)
    built = shipway.run("build", repo, "--json", "--quiet")
    assert built.returncode == 0, built.stderr
    assert {name: image["phase"] for name, image in json.loads(built.stdout)["images"].items()} == dict.fromkeys(
        ("22-bookworm", "24-bookworm", "good", "on-good", "on-good-prod"), "Succeeded"
    )
    assert "ockerfile.prod" not in built.stderr
    planned = json.loads(shipway.run("plan", repo, "--json").stdout)
    assert {image["name"]: image["state"] for image in planned["images"]} == dict.fromkeys(
        ("22-bookworm", "24-bookworm", "good", "on-good", "on-good-prod"), "published"
    )
    released = json.loads(shipway.run("release", repo, "--json", "--quiet").stdout)
    assert {part["name"]: part["result"] for part in released["parts"] if part["kind"] == "image"} == dict.fromkeys(
        ("22-bookworm", "24-bookworm", "good", "on-good", "on-good-prod"), "published"
    )
    words = ["submit", "clone-build-push", "--json", "--quiet", "-p", f"repo={repo}", "-p", "path=22/bookworm"]
    assert "/22-bookworm@" in shipway.run(*words).stdout


KEYS = {
    "chart/Chart.yaml": "apiVersion: v2\nname: chart\nversion: 0.1.0\n",
    "web/Dockerfile": "ARG WHO=me\nFROM tools\nARG WHO\nCOPY . /\nRUN echo $WHO > /who\n",
    "web/values.yaml": "image: {image}:main\n",
    "tools/Dockerfile": "FROM shipway.local/busybox:static\nRUN --mount=type=secret,id=none true\n",
    "shipway.yaml": "values: [{file: web/values.yaml, image: web, at: image}]\nimages:\n  tools: {max-age: 7d}\n",
}


def test_what_was_built_is_published_to_a_plan(shipway: Shipway, tmp_path: Path, registry_name: str) -> None:
    """The keys are a plan's own: nothing is left to build, for images with parents, ages and files of deployments."""
    repository = Repository(tmp_path / "keys")
    for name, text in KEYS.items():
        repository.write(name, text.replace("{image}", f"{registry_name}/web"))
    repository.commit()
    repo = str(repository.path)
    one = shipway.run("build", repo, "--image", "web", "--json", "--quiet")
    assert one.returncode == 1, "its parent is not published"
    built = shipway.run("build", repo, "--json", "--quiet")
    assert built.returncode == 0, built.stderr
    images = json.loads(built.stdout)["images"]
    assert {image["action"]: image["state"] for image in planned(shipway, repo)} == {"nothing": "published"}
    assert shipway.run("build", repo, "--image", "web", "--quiet").returncode == 0, "its parent is, under its key"
    assert shipway.run("build", repo, "--quiet", "--build-arg", "WHO=you").returncode == 0
    released = json.loads(shipway.run("release", repo, "--json", "--quiet").stdout)
    assert {part["result"] for part in released["parts"] if part["kind"] == "image"} == {"published"}
    assert {image["digest"] for image in planned(shipway, repo)} == {image["digest"] for image in images.values()}
    repository.write("tools/more", "").commit()
    words = ["submit", "clone-build-push", "--quiet", "-p", f"repo={repo}", "-p", "ref=refs/heads/main", "-p"]
    assert shipway.run(*words, "path=web", "-p", "revision=main").returncode == 1, "no parent of this commit"
    assert shipway.run(*words, "path=tools", "-p", "revision=main").returncode == 0
    [reasons] = [image["reasons"] for image in planned(shipway, repo) if image["name"] == "tools"]
    assert reasons == ["main is of this commit, but of other images, arguments or builder, or without a key"]


def planned(shipway: Shipway, repo: str) -> list[dict[str, Any]]:
    """Return the images of a plan."""
    images: list[dict[str, Any]] = json.loads(shipway.run("plan", repo, "--json").stdout)["images"]
    return images


def test_a_host_that_does_not_exist_is_told_once(shipway: Shipway, tmp_path: Path) -> None:
    """With its lines, before anything is built; nobody asks it again, and the rest is built."""
    repository = Repository(tmp_path / "hosts").write("good/Dockerfile", "FROM scratch\nCOPY Dockerfile /x\n")
    for name in ("one", "two"):
        repository.write(f"{name}/Dockerfile", f"FROM nowhere.invalid/{name}:1\n")
    repository.commit()
    repo = str(repository.path)
    for words in (["build", repo], ["plan", repo], ["release", repo, "--quiet"], ["check", repo, "--quiet"]):
        done = shipway.run(*words)
        assert done.returncode == 3, done.stderr
        assert "trying again" not in done.stderr
        assert "again in" not in done.stderr
        if words[0] in {"build", "plan"}:
            told = done.stdout + done.stderr
            assert told.count("one/Dockerfile:1: error: nowhere.invalid did not answer: its name is not known") == 1
    for command in ("build", "plan", "release"):
        nowhere = shipway.run(command, repo, "--registry", "nowhere.invalid/x")
        assert nowhere.returncode == 78
        assert "again in" not in nowhere.stderr
        assert "its name is not known" in nowhere.stdout + nowhere.stderr
    submitted = shipway.run("submit", "clone-build-push", "-p", f"repo={repo}", "-p", "path=one")
    assert submitted.returncode == 78
    assert "again in" not in submitted.stderr
    assert "one/Dockerfile:1: nowhere.invalid did not answer" in submitted.stderr
