"""The command line itself: its version, and what it says of words that it does not know."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pipelines.cli.main import main
from pipelines.errors import meant


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """It is that of the package."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert not ended.value.code
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert capsys.readouterr().out == f"shipway {project['version']}\n"


@pytest.mark.parametrize(
    ("words", "like"),
    [
        ("buidl", "build"),
        ("build --revison main", "--revision"),
        ("build --revison=main", "--revision"),
        ("build --engine agro", "argo"),
        ("step clon", "clone"),
        ("step clone --repos=.", "--repo"),
        ("submit clone-bild-push", "clone-build-push"),
        ("submit clone-build-push -p repo=. -p revison=main -p path=.", "revision"),
        ("plan . --settings settings.yaml", "registry"),
    ],
)
def test_what_is_like_it(
    words: str, like: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt word is answered with the known one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.yaml").write_text("registri: registry.example.com\n")
    (tmp_path / "empty.yaml").write_text("builder: buildah\n")
    flags = ["--settings", "empty.yaml"] if words.startswith("submit") else []
    assert main([*words.split(), *flags]) in {2, 78}
    assert re.search(rf"do: +did you mean {re.escape(like)}\? If not, ", capsys.readouterr().err)


def test_what_is_like_nothing() -> None:
    """Then there is no question; each of several words is asked for."""
    assert meant(["xyz"], ["registry", "project"], "use one") == "use one"
    assert meant(["regstry", "projct"], ["registry", "project"], "go") == "did you mean registry, project? If not, go"
