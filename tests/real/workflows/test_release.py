"""`release`, the whole way from a repository to images and charts, on the local engine with a real registry."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.engines.embedded import deployment
from tests.git_repositories import Repository
from tests.lying_registry import errors, lying_registry
from tests.registry_process import registry
from tests.shipway_process import Images, Shipway

EXAMPLES = Path(__file__).parents[3] / "examples"


def submit(shipway: Shipway, *words: str) -> tuple[int, dict[str, Any], str]:
    """Submit a release; return its exit code, what it says as JSON, and what it wrote for people."""
    done = shipway.run("submit", "release", "--json", *words)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a node and all below it."""
    yield node
    for child in node["children"]:
        yield from nodes(child)


@pytest.mark.helm
def test_everything_is_released_once(tmp_path: Path) -> None:
    """The first run builds the examples' three images and releases their
    charts; the second finds nothing to do; another branch only gets its tag.
    """
    shipway = Shipway(tmp_path)
    shipway.state.mkdir()
    try:
        address = deployment.settings(shipway.state)["registry"]
        deployment.publish_base(address)
        repo = deployment.publish_examples(shipway.state, EXAMPLES)
        words = ("-p", f"repo={repo}", "-p", "revision=main")
        code, first, told = submit(shipway, *words)
        commit = first["outputs"]["commit"]
        assert (code, first["phase"]) == (0, "Succeeded"), told
        assert first["outputs"]["verdict"] == f"5 of 5 published at {commit}"
        images = Images(address, "shipway")
        before = {name: images.tags(name) for name in ("base", "tools", "web", "charts/web", "charts/site")}
        assert all({"main", f"git-{commit}"} <= set(before[name]) for name in ("base", "tools", "web"))
        code, second, told = submit(shipway, *words)
        assert (code, second["outputs"]) == (0, first["outputs"]), told
        assert "wave-1: Skipped" in told
        assert "rest: Skipped" in told
        assert {name: images.tags(name) for name in before} == before
        subprocess.run(["git", "-C", repo, "branch", "next", "main"], check=True)
        code, _, told = submit(shipway, "-p", f"repo={repo}", "-p", "revision=next")
        assert code == 0, told
        assert images.tags("web") == before["web"] | {"next": before["web"]["main"]}
    finally:
        shipway.run("embedded", "clean")


@pytest.mark.helm
def test_the_command_tells_of_images_and_charts(tmp_path: Path) -> None:
    """What was built and pushed stands in the result, with its
    reference; a second run has nothing to tell but the verdict.
    """
    shipway = Shipway(tmp_path)
    try:
        first = json.loads(shipway.run("release", "--examples", "--json").stdout)
        commit = first["commit"]
        assert (first["phase"], first["verdict"]) == ("Succeeded", f"5 of 5 published at {commit}")
        assert {name: f"git-{commit}" in image["tags"] for name, image in first["images"].items()} == dict.fromkeys(
            ("base", "tools", "web"), True
        )
        assert {(chart["name"], chart["state"]) for chart in first["charts"]} == {("web", "pushed"), ("site", "pushed")}
        second = shipway.run("release", "--examples")
        assert second.returncode == 0, second.stderr
        assert f"0 of 0 images built, 0 charts pushed, 5 of 5 published at {commit}" in second.stdout
        assert second.stderr == "", "nothing of the engine"
        assert len([line for line in second.stdout.splitlines() if line]) == len(first["parts"]) + 4
        alone = json.loads(shipway.run("release", "--examples", "--json", "--ignore", "charts/site").stdout)
        assert [chart["state"] for chart in alone["charts"]] == ["identical"]
        assert "images" not in alone
    finally:
        shipway.run("embedded", "clean")


def test_a_missing_helm_is_found_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is built, where a chart is to be released; images alone need none, nor does a plan."""
    repository = Repository(tmp_path / "shop")
    repository.write("web/Dockerfile", "FROM scratch\nCOPY page /\n").write("web/page", "1").commit()
    programs = [folder for folder in os.environ["PATH"].split(os.pathsep) if not Path(folder, "helm").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(programs))
    monkeypatch.setenv("SHIPWAY_TOOLS", str(tmp_path / "none"))
    shipway = Shipway(tmp_path / "shipway")
    with registry(tmp_path) as address:
        (tmp_path / "settings.yaml").write_text(f"registry: {address}\nproject: team\nplain-http: {address}\n")
        words = (str(repository.path), "--settings", str(tmp_path / "settings.yaml"))
        assert shipway.run("release", *words).returncode == 0
        repository.write("web/page", "2").write("site/values.yaml", "{}\n")
        repository.write("site/Chart.yaml", "apiVersion: v2\nname: site\nversion: 1.0.0\n").commit()
        before = Images(address, "team").tags("web")
        for command in ("release", "check"):
            done = shipway.run(command, *words)
            assert done.returncode == 78, done.stderr
            assert "there is no helm" in done.stdout
            assert "build" not in done.stderr
        assert Images(address, "team").tags("web") == before
        assert shipway.run("plan", *words).returncode == 10


def test_what_fails_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    """An image that cannot be built keeps only its children from being built; the verdict names them all."""
    repository = Repository(tmp_path / "shop")
    repository.write("broken/Dockerfile", 'FROM scratch\nCOPY motd /\nRUN ["/motd"]\n').write("broken/motd", "hello")
    repository.write("child/Dockerfile", "FROM broken\nCOPY page /\n").write("child/page", "1")
    repository.write("lone/Dockerfile", "FROM scratch\nCOPY page /\n").write("lone/page", "1")
    repository.write("late/Dockerfile", "FROM lone\nCOPY page /\n").write("late/page", "1").commit()
    shipway = Shipway(tmp_path / "shipway")
    with registry(tmp_path) as address:
        settings = tmp_path / "settings.yaml"
        settings.write_text(f"registry: {address}\nproject: team\nplain-http: {address}\n")
        code, outcome, told = submit(shipway, "--settings", str(settings), "-p", f"repo={repository.path}")
        assert (code, outcome["phase"]) == (1, "Failed"), told
        assert "broken: it failed, as the log of its pod says" in told
        assert "child: not built: its parent broken failed" in told
        waves = {one["displayName"]: one["children"] for one in nodes(outcome["nodes"]) if one["type"] == "TaskGroup"}
        assert {wave: [one["phase"] for one in items] for wave, items in waves.items()} == {
            "wave-1": ["Failed", "Succeeded"],
            "wave-2": ["Skipped", "Succeeded"],
        }
        images = Images(address, "team")
        assert "main" in images.tags("lone")
        assert "main" in images.tags("late")
        assert not images.client.tags(images.reference("child"))


@pytest.mark.helm
def test_a_refused_push_is_told_in_the_registrys_words(tmp_path: Path) -> None:
    """As a refusal of the push, beside what could not be cloned and what was not built for that."""
    repository = Repository(tmp_path / "shop")
    for name, base in {"full": "scratch", "child": "full", "lone": "scratch", "late": "lone"}.items():
        repository.write(f"{name}/Dockerfile", f"FROM {base}\nCOPY page /\n").write(f"{name}/page", name)
    repository.write("site/Chart.yaml", "apiVersion: v2\nname: site\nversion: 1.0.0\n").write(
        "site/values.yaml", "{}\n"
    )
    repository.commit()
    quota = errors(403, "DENIED", "adding 2 KiB of storage, which will exceed the configured upper limit")
    with lying_registry() as liar:
        liar.lie("POST", "/v2/team/full/blobs/uploads/", quota)
        liar.lie("POST", "/v2/team/charts/site/blobs/uploads/", errors(403, "DENIED", "the robot may not push"))
        denied = errors(403, "DENIED", "the robot may not pull")
        of_lone = "/v2/team/lone/blobs/"
        liar.lie("GET", of_lone, lambda a: denied if ("team/lone", "main") in liar.manifests else liar.truth(a))
        settings = tmp_path / "settings.yaml"
        settings.write_text(f"registry: {liar.address}\nproject: team\nplain-http: {liar.address}\n")
        done = Shipway(tmp_path / "shipway").run("release", str(repository.path), "--settings", str(settings), "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 78, done.stderr
    whys = {(part["kind"], part["name"]): (part["result"], part["why"]) for part in told["parts"]}
    asked = f"{liar.address} answered 403: DENIED"
    assert whys["image", "full"] == (
        "failed",
        f"its push was refused: {asked}: adding 2 KiB of storage, which will exceed the configured upper limit",
    )
    assert whys["image", "child"] == ("not built", "its parent full failed")
    assert whys["image", "late"][1].startswith("its clone failed: ")
    assert f"{asked}: the robot may not pull" in whys["image", "late"][1]
    assert whys["chart", "site"][1].startswith(f"its push was refused: {asked}: the robot may not push")
    assert told["images"]["child"]["message"] == "not built: its parent full failed"


@pytest.mark.helm
def test_the_command_says_why_charts_were_not_released(tmp_path: Path) -> None:
    """The verdict only knows that they are not there; what shipway.yaml ignores is no hindrance."""
    repository = Repository(tmp_path / "shop")
    repository.write("shipway.yaml", "charts: {ignore: [drafts]}\n").write("drafts/Chart.yaml", "name: nothing\n")
    repository.write("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\ndescription: A page\n")
    repository.write("web/values.yaml", "x: 1\n")
    map_of = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\n"
    repository.write("web/templates/map.yaml", map_of.format("{{ .Values.nothing.here }}")).commit()
    shipway = Shipway(tmp_path / "shipway")
    with registry(tmp_path) as address:
        settings = tmp_path / "settings.yaml"
        settings.write_text(f"registry: {address}\nproject: team\nplain-http: {address}\n")
        words = ("release", str(repository.path), "--settings", str(settings))
        done = shipway.run(*words)
        assert done.returncode == 3, done.stderr
        assert "web/templates/map.yaml:4: error: " in done.stdout
        assert "drafts" not in done.stdout
        repository.write("good/Chart.yaml", "apiVersion: v2\nname: good\nversion: 1.0.0\nicon: https://x.org/i.svg\n")
        repository.commit()
        going = shipway.run(*words, "--keep-going", "--json")
        told = json.loads(going.stdout)
        assert (going.returncode, [chart["name"] for chart in told["charts"]]) == (3, ["good"]), going.stderr
        results = {part["name"]: part["result"] for part in told["parts"]}
        assert results == {"good": "released", "web": "failed"}
        repository.write("web/templates/map.yaml", map_of.format("web")).commit()
        done = shipway.run(*words, "--json")
        assert (done.returncode, json.loads(done.stdout)["failed"]) == (0, {})
