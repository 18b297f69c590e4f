"""Which version comes next, and what follows it."""

from __future__ import annotations

import pytest

from pipelines.charts import chart_lock, chart_yaml, version_moves
from pipelines.declared import yaml_text


@pytest.mark.parametrize(
    ("version", "taken", "bump", "following"),
    [
        ("1.2.3", (), "patch", "1.2.4"),
        ("1.2.3", ("1.2.4", "1.2.5"), "patch", "1.2.6"),
        ("1.2.3", ("1.3.0",), "minor", "1.3.1"),
        ("1.2.3", (), "major", "2.0.0"),
        ("1.2.3+b1", (), "patch", "1.2.4"),
        ("1.2.3-rc.1", ("1.2.3-rc.2",), "patch", "1.2.3-rc.3"),
        ("1.2.3-beta", (), "patch", "1.2.3-beta.1"),
        ("1.2.3-rc.1", (), "minor", "1.3.0"),
        ("1.2.3-rc1", ("1.2.3-rc2",), "patch", "1.2.3-rc3"),
        ("1.2.3-rc9", ("1.2.3-rc9.1",), "patch", "1.2.3-rc9.2"),  # 1.2.3-rc10 is lower
        ("1.2.3-beta.9-x", (), "patch", "1.2.3-beta.9-x.1"),
        ("1.2.3-0", (), "patch", "1.2.3-1"),
    ],
)
def test_the_next_version_is_free(version: str, taken: tuple[str, ...], bump: str, following: str) -> None:
    """Versions that somebody published from another branch are never given twice."""
    assert version_moves.next_version(version, taken, bump) == following


@pytest.mark.parametrize(
    ("allowed", "following"),
    [
        ("~1.0.0", "~2.0.0"),
        ("^1.0.0", "^2.0.0"),
        ("1.0.0", "2.0.0"),
        ("1.x", "^2.0.0"),
        (">=1.0.0 <2.0.0", "^2.0.0"),
        (">=1.0.0", ">=1.0.0"),
    ],
)
def test_a_range_follows_in_its_own_manner(allowed: str, following: str) -> None:
    """A range that allows the new version stays as it is."""
    assert _moved(allowed) == following


def test_a_lock_that_is_out_of_step_elsewhere_stays_so() -> None:
    """A new digest would say that Helm had resolved what it has not."""
    base = chart_yaml.read("base", _text("name: base\nversion: 1.0.0\n"), None)
    text = _text(
        "name: web\nversion: 1.0.0\ndependencies:\n- {name: base, version: 1.x, repository: file://../base}\n"
        "- {name: redis, version: ^3, repository: https://example.org}\n"
    )
    lock = _text(
        "dependencies:\n- {name: base, version: 1.0.0, repository: file://../base}\n"
        "- {name: redis, version: 2.0.0, repository: https://example.org}\ndigest: sha256:0\n"
    )
    web = chart_yaml.read("web", text, chart_lock.read(lock))
    assert set(version_moves.moved({"base": base, "web": web}, {"base": "1.1.0"}, own="")) == {"base/Chart.yaml"}


def _moved(allowed: str) -> str:
    base = chart_yaml.read("base", _text("name: base\nversion: 1.0.0\n"), None)
    dependency = f"- name: base\n  version: '{allowed}'\n  repository: file://../base\n"
    text = f"name: web\nversion: 1.0.0\ndependencies:\n{dependency}"
    web = chart_yaml.read("web", _text(text), None)
    found = version_moves.moved({"base": base, "web": web}, {"base": "2.0.0"}, own="")
    return _text(found.get("web/Chart.yaml", text.encode()).decode()).scalar("dependencies", 0, "version")


def _text(text: str) -> yaml_text.YamlText:
    return yaml_text.read(text.encode(), "Chart.yaml")
