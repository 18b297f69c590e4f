"""`shipway build` --examples: the examples, in the embedded registry, as their Dockerfiles say."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.engines.embedded.registry import EmbeddedRegistry
from pipelines.tools.registry.layout import Layout
from tests.image_files import config, files, manifest, text
from tests.shipway_process import Images, Shipway, until

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = ("base", "tools", "web")
PAGE = "<!doctype html>\n<title>From a commit to a digest</title>\n<pre>\n{}</pre>\n"
Embedded = tuple[Shipway, dict[str, Any]]


@pytest.fixture(scope="module")
def pulled(embedded: Embedded, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Layout]:
    """Each image, fetched back from the registry by the digest that was printed."""
    _, result = embedded
    folder = tmp_path_factory.mktemp("pulled")
    found = {}
    for name, image in result["images"].items():
        address, project, rest = image["reference"].split("/")
        assert rest == f"{name}@{image['digest']}"
        found[name] = Images(address, project).pull(name, image["digest"], folder / name)
    return found


def test_one_object_tells_all(embedded: Embedded) -> None:
    """Three images, parents first, each with its reference by digest, its tags, its size and the time of each step."""
    _, result = embedded
    assert (result["phase"], result["ref"], tuple(result["images"])) == ("Succeeded", "refs/heads/main", NAMES)
    for image in result["images"].values():
        assert image["phase"] == "Succeeded"
        key, *tags = image["tags"]
        assert re.fullmatch(r"key-[0-9a-f]{64}", key)
        assert tags == [f"git-{result['commit']}", "main"]
        assert list(image["steps"]) == ["clone", "build", "push"]
        assert image["size"] > 0
        assert image["commit"] == result["commit"]


def test_images_stand_on_each_other(pulled: dict[str, Layout]) -> None:
    """A child's layers begin with its parent's own blobs, and its labels name the parent's digest."""
    layers = {name: manifest(layout)["layers"] for name, layout in pulled.items()}
    for name in ("tools", "web"):
        assert layers[name][: len(layers["base"])] == layers["base"]
        labels = config(pulled[name])["config"]["Labels"]
        assert labels["org.opencontainers.image.base.digest"] == str(pulled["base"].named().digest)


def test_images_hold_what_the_dockerfiles_say(pulled: dict[str, Layout]) -> None:
    """Copied files, what RUN steps made of them, owners, modes and the configuration; and no file of a cache mount."""
    base, tools, web = (files(pulled[name]) for name in NAMES)
    assert base["/etc/motd"].content == text((EXAMPLES / "base/motd").read_text())
    assert (base["/bin/busybox"].mode, base["/bin/sh"].content) == ("0755", "busybox")
    assert tools["/usr/bin/render"].mode == "0755"
    assert tools["/etc/groups.sorted"].content == text("app:x:10001:\nnobody:x:65534:\nroot:x:0:\n")
    assert not [path for path in tools if path.startswith("/var/cache/render/")]
    assert web["/srv/index.html"].content == text(
        PAGE.format(html.escape((EXAMPLES / "web/content.txt").read_text(), quote=False))
    )
    assert "/usr/bin/render" not in web
    assert "/home/content.txt" not in web
    settings = {name: config(pulled[name])["config"] for name in NAMES}
    assert (settings["base"]["User"], settings["base"]["WorkingDir"]) == ("10001:10001", "/home")
    assert settings["tools"]["Entrypoint"] == ["/usr/bin/render"]
    assert settings["web"]["Cmd"] == ["httpd", "-f", "-v", "-p", "8080", "-h", "/srv"]
    assert settings["web"]["ExposedPorts"] == {"8080/tcp": {}}


def test_another_machine_gives_the_same_digests(embedded: Embedded, tmp_path: Path) -> None:
    """From an empty cache into another registry as from a warm
    one into the same: digests depend on the commit alone.
    """
    shipway, result = embedded
    digests = {name: image["digest"] for name, image in result["images"].items()}
    other = Shipway(tmp_path)
    try:
        for one in (shipway, other):
            done = one.run("build", "--examples", "--json", "--quiet")
            assert done.returncode == 0, done.stderr
            again = json.loads(done.stdout)
            assert {name: image["digest"] for name, image in again["images"].items()} == digests
            assert again["commit"] == result["commit"]
    finally:
        other.run("embedded", "clean")
    until(lambda: not other.processes())
    assert not other.state.exists()


def test_a_folder_may_be_named_from_here(embedded: Embedded) -> None:
    """One workflow, of a repository by a relative path, as its help shows it."""
    shipway, result = embedded
    words = ("-p", "repo=state/examples.git", "-p", "revision=main", "-p", "path=base")
    done = shipway.run("submit", "clone-build-push", *words, "--quiet")
    assert done.returncode == 0, done.stderr
    assert result["images"]["base"]["digest"] in done.stdout


def test_images_survive_the_registry(embedded: Embedded, tmp_path: Path) -> None:
    """`embedded down` ends its process and keeps its images, `clean` forgets them; both may be said twice."""
    shipway, result = embedded
    other = Shipway(tmp_path)
    shutil.copytree(shipway.state / "registry/data", other.state / "registry/data")
    registry = EmbeddedRegistry(other.state / "registry")
    digest = result["images"]["web"]["digest"]
    addresses = set()
    for _ in range(2):
        assert other.run("embedded", "up").returncode == 0
        tags = Images(registry.address, "shipway").tags("web")
        assert tags.items() >= {"main": digest, f"git-{result['commit']}": digest}.items()
        addresses.add(registry.address)
        for _ in range(2):
            assert "does not run" in other.run("embedded", "down").stdout
            assert not other.processes()
    assert len(addresses) == 1, "references that people copied stay good"
    for made in ("cache", "runs"):
        (other.state / made / "old").mkdir(parents=True)
    own = [other.state / "secrets" / "shipway-git" / "password", other.state / "notes.txt"]
    assert (shipway.state / ".gitignore").read_text() == "*\n"
    for file in own:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    assert other.run("embedded", "clean").returncode == 0
    assert {file for file in other.state.rglob("*") if file.is_file()} == {*own}, "what people put there stays"
    shutil.rmtree(other.state)
    other.state.mkdir()
    for _ in range(2):
        assert other.run("embedded", "clean").returncode == 0
        assert not other.state.exists()
