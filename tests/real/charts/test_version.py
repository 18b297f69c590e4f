"""The step `chart-version`: charts that changed under a published version get the next one, in their files' style."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.charts.model import VersionChanges
from pipelines.errors import Misuse, Refused, ShipwayError
from tests.chart_trees import add, clone, family, publish, states
from tests.git_repositories import Repository
from tests.steps import step

chart_version = step("chart-version", VersionChanges)


@pytest.fixture
def repository(tmp_path: Path, place: str) -> Repository:
    """Three charts that depend on each other, and one that depends on none, published."""
    found = family(tmp_path / "repository")
    add(found, "apps/alone")
    found.commit()
    publish(clone(found, place), place)
    return found


def run(repository: Repository, place: str, **more: object) -> VersionChanges:
    """Run the step on a working tree."""
    arguments: dict[str, object] = {"source": repository.path, "chart_registry": place, **more}
    return chart_version(plain_http=place.partition("/")[0], **arguments)


def test_what_did_not_change_needs_nothing(repository: Repository, place: str) -> None:
    """Neither the commit nor files outside the charts count."""
    repository.write("README.md", "x").commit()
    assert run(repository, place, fail=True) == VersionChanges(changes=(), written=())


def test_a_change_names_the_chart_and_those_that_hold_it(repository: Repository, place: str) -> None:
    """A chart's archive holds its parents' archives, so their change is its change; `fail` makes it a refusal."""
    repository.write("libs/base/values.yaml", "text: new\n")
    found = run(repository, place)
    assert [(c.name, c.version, c.next_version, c.differs) for c in found.changes] == [
        ("base", "1.0.0", "1.0.1", ("values.yaml",)),
        ("api", "1.0.0", "1.0.1", ("charts/base-1.0.0.tgz",)),
        ("web", "1.0.0", "1.0.1", ("charts/api-1.0.0.tgz",)),
    ]
    assert found.written == ()
    with pytest.raises(Refused, match="need a new version") as caught:
        run(repository, place, fail=True)
    assert "base 1.0.0, next 1.0.1" in caught.value.seen
    with pytest.raises(Misuse):
        run(repository, place, bump="huge")


@pytest.mark.parametrize(("bump", "version"), [("patch", "1.0.1"), ("minor", "1.1.0"), ("major", "2.0.0")])
def test_what_is_written_is_in_step_and_can_be_released(
    repository: Repository, place: str, bump: str, version: str
) -> None:
    """Versions, ranges that would shut them out, and locks; all else stays, and a second run finds nothing."""
    before = {path: path.read_text() for path in repository.path.rglob("Chart.*")}
    repository.write("libs/base/values.yaml", "text: new\n")
    found = run(repository, place, write=True, bump=bump)
    assert found.written == (
        "apps/api/Chart.lock",
        "apps/api/Chart.yaml",
        "apps/web/Chart.lock",
        "apps/web/Chart.yaml",
        "libs/base/Chart.yaml",
    )
    web = repository.path / "apps/web/Chart.yaml"
    assert web.read_text() == before[web].replace("1.0.0", version)
    api = repository.path / "apps/api/Chart.yaml"
    allowed = "^2.0.0" if bump == "major" else "^1.0.0"
    assert api.read_text() == before[api].replace("version: 1.0.0 #", f"version: {version} #").replace(
        "^1.0.0", allowed
    )
    repository.git("add", ".")
    repository.commit()
    assert run(repository, place, fail=True).changes == ()
    checkout = clone(repository, place)
    assert checkout.findings == ()
    assert states(checkout) == {"alone": "identical", "base": "absent", "api": "absent", "web": "absent"}
    assert publish(checkout, place).pushed == 3


def test_dependants_follow_a_version_that_was_moved_by_hand(repository: Repository, place: str) -> None:
    """A chart got a new major version by hand, and nothing else: ranges, locks and the dependants' versions follow."""
    add(repository, "libs/base", version="2.0.0")
    found = run(repository, place, write=True)
    assert [(c.name, c.next_version) for c in found.changes] == [("api", "1.0.1"), ("web", "1.0.1")]
    assert "version: ^2.0.0" in (repository.path / "apps/api/Chart.yaml").read_text()
    repository.git("add", ".")
    repository.commit()
    assert clone(repository, place).findings == ()


def test_versions_that_are_taken_are_left_out(repository: Repository, place: str) -> None:
    """The next version is the first that was never published, from whatever branch."""
    add(repository, "apps/alone", version="1.0.1")
    repository.commit()
    publish(clone(repository, place), place)
    add(repository, "apps/alone", version="1.0.0")
    repository.write("apps/alone/values.yaml", "text: late fix\n")
    assert [c.next_version for c in run(repository, place).changes] == ["1.0.2"]


def test_broken_charts_stop_it(repository: Repository, place: str) -> None:
    """Nothing is written while a chart cannot be packed; its faults are told with their places."""
    repository.write("libs/base/values.yaml", "text: new\n")
    add(repository, "apps/odd", version="x")
    before = (repository.path / "libs/base/Chart.yaml").read_text()
    with pytest.raises(ShipwayError, match="cannot be packed") as caught:
        run(repository, place, write=True)
    assert "apps/odd/Chart.yaml:4: error: version 'x'" in caught.value.seen
    assert (repository.path / "libs/base/Chart.yaml").read_text() == before
