"""One run finishes what a push began: the chart is published from the commit that the run made, which Git proves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.deploy.model import Fault
from pipelines.deploy.release_charts import DeployedCharts
from pipelines.errors import Refused, ShipwayError
from pipelines.release import own_commit
from pipelines.release.own_commit import OwnCommit
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.git.write_back import Proposal
from pipelines.tools.registry.reference import Reference
from tests import chart_trees
from tests.deployments import NONE, World, world
from tests.registry_process import registry

ANNOTATION = "org.opencontainers.image.revision"


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A registry of its own."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with registry(tmp_path) as found:
        yield found


def own(shop: World, commit: str) -> OwnCommit | None:
    """Return what a commit of the application's repository was made of."""
    with Git(GitCredentials.read(shop.folder / "none")) as git:
        return own_commit.read(git, RepositoryUrl(str(shop.shop.bare)), commit)


def revision(shop: World, version: str) -> str:
    """Return the commit that a version of the chart was published from."""
    reference = Reference.under(shop.registry, "team", "charts/web").with_tag(version)
    manifest = shop.client.resolve(reference)
    assert manifest
    return str(manifest.json["annotations"][ANNOTATION])


def test_one_run_publishes_the_chart_that_it_moves(tmp_path: Path, address: str) -> None:
    """The environment gets digest and version at once; a second attempt, and the commit's own webhook, find nothing."""
    shop = world(tmp_path, address, deploy={"charts": "commit", "environments": {"dev": "commit"}})
    shop.build()
    assert shop.release() == ["web@0.1.0"]
    source = shop.shop.head()
    charts, published, deployed = shop.circle()
    made = shop.shop.head()
    assert (charts.commit, published) == (made, ["0.1.1"])
    assert revision(shop, "0.1.1") == made
    [dev] = deployed.targets
    assert dev.changes[-1] == "chart web: 0.1.0 → 0.1.1 (dev/web)"
    assert shop.environments.count() == 2
    assert own(shop, made) == OwnCommit(
        run="push-1", source=source, paths=frozenset({"charts/web/values.yaml", "charts/web/Chart.yaml"})
    )
    again, more, later = shop.circle()
    assert (again.commit, [chart.state for chart in again.charts], more) == (made, ["identical"], [])
    assert ([target.commit for target in later.targets], shop.shop.count(), shop.environments.count()) == ([""], 2, 2)


def test_an_attempt_that_was_killed_after_its_push_is_finished_by_the_next(tmp_path: Path, address: str) -> None:
    """What the first pushed is found by its message, and published as it is."""
    shop = world(tmp_path, address)
    shop.build()
    shop.release()
    shop.deploy(run="push-1", environment="charts")
    made = shop.shop.head()
    assert "0.1.1" not in shop.charts()
    charts, published, _ = shop.circle()
    assert (charts.commit, published, shop.shop.head()) == (made, ["0.1.1"], made)


def test_nothing_is_packed_of_what_no_run_made(tmp_path: Path, address: str) -> None:
    """A head that a person committed is released by its own run; so is what `shipway deploy` wrote by itself."""
    shop = world(tmp_path, address)
    shop.build()
    shop.release()
    shop.deploy()
    assert own(shop, shop.shop.head()) is None
    charts, published, _ = shop.circle()
    assert (charts.commit, charts.charts, published) == ("", (), [])
    shop.shop.commit({"charts/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n"})
    charts, published, _ = shop.circle()
    assert (charts.commit, published) == ("", [])


def test_a_message_alone_proves_nothing(tmp_path: Path, address: str) -> None:
    """Another file, another value, another parent, another repository: each counts as somebody's commit."""
    shop = world(tmp_path, address)
    shop.build()
    shop.release()
    shop.circle()
    made = shop.shop.head()
    message = shop.shop.git("log", "-1", "--format=%B", made)
    values = shop.shop.git("show", f"{made}:charts/web/values.yaml")
    source = shop.shop.git("rev-parse", f"{made}~1")
    replaced = message.replace(source, made)
    assert own(shop, made)
    for files in ({"page": "x"}, {"charts/web/values.yaml": f"{values}\nmore: 1\n"}, {"Dockerfile": "FROM scratch\n"}):
        assert own(shop, shop.shop.commit(files, replaced.replace(made, shop.shop.head()))) is None
    picked = shop.shop.commit({"charts/web/values.yaml": values}, message)
    assert own(shop, picked) is None
    for text in ("Fix\n", "Fix\n\nShipway-Source: x\nShipway-Run: push-1\n"):
        assert own(shop, shop.shop.commit({"page": text}, text)) is None


def test_even_a_whole_message_may_change_scalars_alone(tmp_path: Path, address: str) -> None:
    """A hash can be written by anybody: a new key, and a file that is no values file, are somebody's, too."""
    shop = world(tmp_path, address)
    url = RepositoryUrl(str(shop.shop.bare))
    chart = "apiVersion: v2\nname: web # ours\nversion: {}\n{}"
    for path, text, is_ours in (
        ("charts/web/Chart.yaml", chart.format("0.1.1", ""), True),
        ("charts/web/Chart.yaml", chart.format("0.1.2", "description: x\n"), False),
        ("Dockerfile", "FROM other\nCOPY . /\n", False),
        ("shipway.yaml", "{images: {}}\n", False),
    ):
        head = shop.shop.head()
        mark = Proposal(files={path: text.encode()}).mark
        message = "\n\n".join(("Deploy web", "\n".join((*own_commit.trailers(url, head, "push-1"), mark))))
        assert (own(shop, shop.shop.commit({path: text}, message)) is not None) is is_ours, path


def test_a_fault_of_charts_keeps_no_environment_from_its_digest(tmp_path: Path, address: str) -> None:
    """It is in the result, for the last step of the pod to fail with it."""
    shop = world(tmp_path, address, deploy={"charts": "commit", "environments": {"dev": "commit"}})
    shop.build()
    shop.shop.commit({"Dockerfile": "FROM scratch\nCOPY charts /\n"})
    shop.build()
    charts, _, deployed = shop.circle()
    assert isinstance(charts, DeployedCharts)
    assert "a deployment would be a reason for the next one" in charts.fault
    assert [bool(target.commit) for target in deployed.targets] == [True]
    with pytest.raises(Refused, match="a reason for the next one"):
        charts.require_none("charts")
    with pytest.raises(ShipwayError):
        dataclasses.replace(Fault(), fault="x", fault_code=1).require_none("publish")


def test_a_chart_is_held_back_while_an_image_of_its_values_failed(tmp_path: Path, address: str) -> None:
    """As it is where a push moves it: no version is used up for half of what its values name; others move.

    So it is with an image that nothing could build.
    """
    shop = world(tmp_path, address)
    image = f"image:\n  repository: {address}/team/{{}}\n  digest: '{NONE}'\n"
    both = shop.shop.file("charts/web/values.yaml") + f"beside: '{address}/team/api@{NONE}'\n"
    files = {"api/Dockerfile": "FROM scratch\nCOPY . /\n", "charts/web/values.yaml": both, "page": "2"}
    files["charts/site/Chart.yaml"] = "apiVersion: v2\nname: site\nversion: 1.0.0\n"
    files["charts/site/values.yaml"] = image.format("web")
    commit = shop.shop.commit(files)
    plan = shop.plan()
    waves = tuple(tuple(job for job in wave if job.name != "api") for wave in plan.waves)
    shop.build(dataclasses.replace(plan, waves=waves))
    charts, published, _ = shop.circle()
    [target] = charts.targets
    assert target.kept[0] == "charts/web: held back because its values name api, which is not published"
    assert [one.name for one in charts.charts] == ["site"]
    assert (published, shop.shop.file("charts/web/values.yaml")) == ([], both)
    assert own(shop, shop.shop.head()).source == commit  # type: ignore[union-attr]
    shop.build()
    charts, published, _ = shop.circle("push-2")
    assert (published, charts.targets[0].kept) == (["0.1.0"], ())
    # Moved by a chart that it depends on, it is written and waits.
    site = ("site", ">=1.0.0", "file://../site", "1.0.0")
    one = "".join(f"{key}: '{value}', " for key, value in zip(("name", "version", "repository"), site, strict=False))
    above = {"charts/all/Chart.yaml": f"apiVersion: v2\nname: all\nversion: 1.0.0\ndependencies: [{{{one}}}]\n"}
    above |= {"charts/all/values.yaml": image.format("api"), "charts/all/Chart.lock": chart_trees.lock([site])}
    shop.shop.commit({**above, "page": "2b"})
    shop.build()
    shop.circle("push-2b")
    shop.shop.commit({"api/x": "x", "page": "2c"})
    plan = shop.plan()
    shop.build(dataclasses.replace(plan, waves=tuple(tuple(j for j in w if j.name != "api") for w in plan.waves)))
    for attempt in range(2):
        charts, _, _ = shop.circle("push-2c")
        assert [one.name for one in charts.charts] == ["site"], attempt
    assert {chart.name: chart.state for chart in shop.plan().charts}["all"] == "absent"
    shop.shop.commit({"api/Dockerfile": f"FROM {address}/gone\n", "page": "3"})
    shop.build()
    charts, published, _ = shop.circle("push-3")
    assert charts.targets[0].kept[0] == "charts/web: held back because its values name api, which is blocked"
    assert published == []
