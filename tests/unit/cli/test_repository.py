"""Which repository a command means that names none, and where the examples may go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.cli import repository
from pipelines.cli.main import main
from pipelines.errors import Misuse
from tests.git_repositories import Repository, simple


@pytest.fixture
def app(tmp_path: Path) -> Repository:
    """A repository with an image."""
    return simple(tmp_path / "app")


def test_no_name_means_this_folders(app: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its top, from a folder of it, and from another working tree of it; elsewhere it is wrong usage."""
    app.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"))
    for top in (app.path, tmp_path / "tree"):
        (top / "a/b").mkdir(parents=True)
        for folder in (top, top / "a/b"):
            monkeypatch.chdir(folder)
            assert repository.named("") == str(top)
    assert repository.named("https://git.example.com/shop.git") == "https://git.example.com/shop.git"
    assert repository.named("", examples=True) == ""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Misuse, match="this folder is in none"):
        repository.named("")


@pytest.mark.parametrize("command", ["build", "plan", "impact", "release", "check", "charts", "deploy", "images"])
def test_outside_a_repository(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command says so, and leaves nothing behind."""
    monkeypatch.chdir(tmp_path)
    assert main([command]) == 2
    assert "no repository is named" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["build", "plan", "impact", "release", "check", "charts", "deploy", "images"])
def test_the_examples_go_nowhere_else(
    command: str, app: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No registry that a flag, a file or the environment sets ever gets them, nor do they stand beside a repository."""
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "settings.yaml"
    for flags, code, seen in (
        (["--registry", "registry.example.com/team"], 3, "--registry registry.example.com/team"),
        (["--settings", str(settings)], 3, f"{settings} sets chart-registry"),
        ([], 3, f"{settings} sets chart-registry"),
        ([str(app.path)], 2, f"{app.path} and --examples"),
    ):
        settings.write_text("chart-registry: registry.example.com/charts\n")
        if not flags:
            monkeypatch.setenv("SHIPWAY_SETTINGS", str(settings))
        assert main([command, "--examples", *flags]) == code
        assert f"seen: {seen}\n" in capsys.readouterr().err
    assert not (tmp_path / ".shipway").exists()


def test_the_examples_are_for_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """A cluster reads no folder of it."""
    assert main(["build", "--examples", "--engine", "argo"]) == 2
    assert "a cluster cannot read a folder of this machine\n  seen: --examples" in capsys.readouterr().err


def test_images_of_the_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are listed without a registry, from any folder."""
    monkeypatch.chdir(tmp_path)
    assert main(["images", "--examples", "--json"]) == 0
    assert [image["name"] for image in json.loads(capsys.readouterr().out)["images"]] == ["base", "tools", "web"]
