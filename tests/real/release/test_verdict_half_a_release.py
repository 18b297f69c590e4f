"""A release of which a part failed: what else is done, what is not, and how it ends each time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import Refused, ShipwayError, Transient
from pipelines.images.model import Checkout
from pipelines.images.plan_model import ImageJob
from tests import chart_trees
from tests.git_history import History
from tests.lying_registry import LyingRegistry, errors, lying_registry
from tests.release_runs import Releases, small_image

MAIN = "refs/heads/main"


@pytest.fixture
def registry() -> Iterator[LyingRegistry]:
    """A registry that can refuse."""
    with lying_registry() as found:
        yield found


@pytest.fixture
def history(tmp_path: Path) -> History:
    """An empty repository."""
    return History(tmp_path / "shop")


@pytest.fixture
def releases(tmp_path: Path, registry: LyingRegistry, history: History) -> Releases:
    """Its releases, in which the image `broken` cannot be built as long as a file says so."""

    def build(checkout: Checkout, work: Path, item: ImageJob) -> None:
        if (work / "source" / "broken" / "fails").exists() and item.name == "broken":
            raise ShipwayError("the build failed")
        small_image(checkout, work, item)

    return Releases(repo=history.path, address=registry.address, project="team", folder=tmp_path / "runs", build=build)


def pushed(history: History, files: dict[str, str], *parents: str) -> str:
    """Push a commit."""
    commit = history.commit(files, *parents)
    history.push(MAIN, commit)
    return commit


def test_a_tag_that_does_not_move_fails_every_run(
    history: History, registry: LyingRegistry, releases: Releases
) -> None:
    """Whether it built the image or found it; that the branch has moved on since is no failure."""
    first = pushed(history, {"web/Dockerfile": "FROM scratch\nCOPY page /\n", "web/page": "1\n"})
    releases.finish(first, MAIN)
    second = pushed(history, {"web/Dockerfile": "FROM scratch\nCOPY page /\n", "web/page": "2\n"}, first)
    registry.lie("PUT", "/manifests/main$", errors(412, "PRECONDITION", "the tag is configured as immutable"))
    for _ in range(2):
        with pytest.raises(ShipwayError) as caught:
            releases.finish(second, MAIN)
        assert caught.value.seen == "web: it is published and lacks the tags main"
    plan = releases.plan(first, MAIN)
    assert (plan.to_do, plan.untagged) == (0, 0)
    releases.finish(first, MAIN)
    registry.honest()
    releases.finish(second, MAIN)
    tags = releases.images.tags("web")
    assert tags["main"] == tags[f"git-{second}"]


def test_a_chart_is_held_back_with_its_image(history: History, registry: LyingRegistry, releases: Releases) -> None:
    """And what depends on the chart; the others are released. Once the image is there, so are they."""
    image = f"{registry.address}/team"
    files = {
        "broken/Dockerfile": "FROM scratch\nCOPY fails /\n",
        "broken/fails": "yes",
        "good/Dockerfile": "FROM scratch\nCOPY page /\n",
        "good/page": "1",
        "charts/site/Chart.yaml": "apiVersion: v2\nname: site\nversion: 1.0.0\n",
        "charts/site/values.yaml": f"image: {{repository: {image}/broken, tag: main}}\n",
        "charts/above/Chart.yaml": "apiVersion: v2\nname: above\nversion: 1.0.0\ndependencies:\n"
        "- {name: site, version: 1.0.0, repository: file://../site}\n",
        "charts/above/Chart.lock": chart_trees.lock([("site", "1.0.0", "file://../site", "1.0.0")]),
        "charts/other/Chart.yaml": "apiVersion: v2\nname: other\nversion: 1.0.0\n",
        "charts/other/values.yaml": f"image: {{repository: {image}/good, tag: main}}\n",
    }
    first = pushed(history, files)
    with pytest.raises(ShipwayError) as caught:
        releases.finish(first, MAIN)
    assert caught.value.seen.splitlines() == [
        "broken: it failed, as the log of its pod says",
        "site: held back because its values name broken, which is not published",
        "above: held back because it depends on charts/site, which is held back",
    ]
    assert [name for name, _ in registry.manifests if name.startswith("team/charts/")] == ["team/charts/other"] * 2
    del files["broken/fails"]
    files["broken/Dockerfile"] = "FROM scratch\n"
    releases.finish(pushed(history, files, first), MAIN)
    assert {name for name, _ in registry.manifests if name.startswith("team/charts/")} == {
        "team/charts/other",
        "team/charts/site",
        "team/charts/above",
    }


@pytest.mark.parametrize(
    ("dockerfile", "state", "ends"),
    [("FROM {}/gone\n", "blocked", Refused), ("FROM {}/silent\n", "unknown", Transient)],
)
def test_a_chart_is_held_back_with_an_image_that_is_not_built(
    history: History,
    registry: LyingRegistry,
    releases: Releases,
    dockerfile: str,
    state: str,
    ends: type[ShipwayError],
) -> None:
    """Its plan says so, and what does not name that image is released."""
    image = f"{registry.address}/team"
    registry.lie("GET", "/silent/manifests/", errors(500, "UNKNOWN", "out of order"))
    registry.lie("HEAD", "/silent/manifests/", errors(500, "UNKNOWN", "out of order"))
    files = {
        "lost/Dockerfile": dockerfile.format(registry.address),
        "good/Dockerfile": "FROM scratch\nCOPY page /\n",
        "good/page": "1",
        "charts/site/Chart.yaml": "apiVersion: v2\nname: site\nversion: 1.0.0\n",
        "charts/site/values.yaml": f"image: {{repository: {image}/lost, tag: main}}\n",
        "charts/other/Chart.yaml": "apiVersion: v2\nname: other\nversion: 1.0.0\n",
        "charts/other/values.yaml": f"image: {{repository: {image}/good, tag: main}}\n",
    }
    commit = pushed(history, files)
    plan = releases.plan(commit, MAIN)
    assert (plan.charts, plan.releases) == (1, ("other",))
    assert "lost=charts/site" in plan.needs
    with pytest.raises(ShipwayError) as caught:
        releases.finish(commit, MAIN)
    assert type(caught.value) is ends
    assert f"site: held back because its values name lost, which is {state}" in caught.value.seen.splitlines()
    assert {name for name, _ in registry.manifests if name.startswith("team/charts/")} == {"team/charts/other"}
