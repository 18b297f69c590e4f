"""Settings as commands read them: a file, flags, and what stands in for neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import settings
from pipelines.cli import options
from pipelines.cli.options import SettingsOptions

FILE = """
registry: registry.example.com
project: team
chart-registry: charts.example.com/team
ca-file: authorities.pem
secrets: logins
kubernetes-schemas: ""
"""


def read(folder: Path, *, registry: str = "") -> dict[str, str]:
    """Return the settings of FILE and of the flag --registry, read in a folder."""
    (folder / "settings.yaml").write_text(FILE)
    flags = SettingsOptions(settings=Path("settings.yaml"), registry=registry, state=options.STATE)
    return options.read_settings(flags, embedded=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_registry_that_is_given_is_that_of_charts_as_well(folder: Path) -> None:
    """A trial in another registry leaves the deployment's charts alone."""
    assert read(folder)["chart-registry"] == "charts.example.com/team"
    found = read(folder, registry="scratch.example.com/trial")
    assert (found["registry"], found["project"], found.get("chart-registry")) == ("scratch.example.com", "trial", None)


def test_paths_mean_the_same_in_every_folder(folder: Path) -> None:
    """Steps of a run work in folders of their own."""
    found = read(folder)
    assert found["ca-file"] == str(folder / "authorities.pem")
    assert found["secrets"] == str(folder / "logins")
    assert found["cache"] == str(folder / ".shipway" / "cache")
    assert found["kubernetes-schemas"] == "", "nothing is no path"


def test_values_are_the_text_that_is_written(folder: Path) -> None:
    """A date, a version, a number or a word that YAML takes for another thing."""
    (folder / "odd.yaml").write_text(
        "project: 2026-13-45\nmax-age: 7d\nreconcile-days: 07\nregistry: 1.10\nimpact: no\n"
    )
    assert settings.read(folder / "odd.yaml") == {
        "project": "2026-13-45",
        "max-age": "7d",
        "reconcile-days": "07",
        "registry": "1.10",
        "impact": "no",
    }
