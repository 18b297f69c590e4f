"""The steps `chart-clone` and `chart-publish`: real repositories, a real registry, and Helm to read the charts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.charts.model import ChartCheckout, ChartRelease
from pipelines.declared.state import ABSENT, DIFFERENT, IDENTICAL, UNPUBLISHED
from pipelines.errors import Misuse, Refused, ShipwayError
from pipelines.step import results
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.reference import Reference
from tests.chart_trees import add, archive, by_name, clone, family, publish, report, states
from tests.git_repositories import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Three charts that depend on each other."""
    return family(tmp_path / "repository")


def helm(*arguments: str, home: Path) -> str:
    """Run Helm with no configuration but an empty folder, and return what it printed."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    done = subprocess.run(["helm", *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def registry_of(place: str, name: str) -> tuple[Registry, Reference]:
    """Return a client, and where a chart is."""
    host, _, path = place.partition("/")
    return Registry(Credentials(), plain_http=frozenset({host})), Reference(registry=host, repository=f"{path}/{name}")


def test_a_release_is_found_pushed_and_then_identical(repository: Repository, place: str) -> None:
    """Absent charts are pushed, parents first; after a commit that touches no chart, nothing is pushed or moves."""
    first = clone(repository, place)
    assert [(c.name, c.state, c.wave) for c in first.charts] == [
        ("base", ABSENT, 0),
        ("api", ABSENT, 1),
        ("web", ABSENT, 2),
    ]
    assert first.findings == ()
    [part] = by_name(first)["web"].embedded
    assert (part.file, part.digest, part.source) == (
        "charts/api-1.0.0.tgz",
        by_name(first)["api"].archive,
        "apps/api",
    )
    done = publish(first, place)
    assert [(c.name, c.state) for c in done.charts] == [("base", "pushed"), ("api", "pushed"), ("web", "pushed")]
    assert [c.digest for c in done.charts] == [c.digest for c in first.charts]
    assert done.bytes > 0
    repository.write("README.md", "New.").commit()
    second = clone(repository, place)
    assert set(states(second).values()) == {IDENTICAL}
    again = publish(second, place)
    assert (again.pushed, again.bytes) == (0, 0)
    assert [c.digest for c in again.charts] == [c.digest for c in done.charts]
    assert not any(chart.folder for chart in second.charts)


def test_helm_pulls_and_renders_what_was_published(repository: Repository, place: str, tmp_path: Path) -> None:
    """The official Helm 4 takes a chart by its version, with every dependency inside it."""
    checkout = clone(repository, place)
    publish(checkout, place)
    oci = f"oci://{place}/web"
    helm("pull", oci, "--version=1.0.0", "--plain-http", f"--destination={tmp_path}", home=tmp_path)
    assert (tmp_path / "web-1.0.0.tgz").stat().st_size > 0
    rendered = helm("template", "x", oci, "--version=1.0.0", "--plain-http", "--set=text=bye", home=tmp_path)
    assert [line.split()[-1] for line in rendered.splitlines() if line.startswith("  name:")] == [
        "x-base",
        "x-api",
        "x-web",
    ]
    assert 'text: "bye"' in rendered
    assert "appVersion: v2.0.0" in helm("show", "chart", oci, "--version=1.0.0", "--plain-http", home=tmp_path)
    linted = helm("lint", "--strict", "unpacked/web", home=tmp_path)
    assert "0 chart(s) failed" in linted


def test_the_same_content_gives_the_same_archive_everywhere(
    repository: Repository, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the commit, the folder, the umask and the file times: commit facts stand in annotations alone."""
    first = by_name(clone(repository, place))
    repository.write("apps/web/values.yaml", "text: hello\n", mode=0o755).commit()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    second = by_name(clone(repository, place))
    assert {c.archive for c in first.values()} == {c.archive for c in second.values()}
    assert first["web"].digest != second["web"].digest


def test_another_content_under_a_published_version_is_refused(repository: Repository, place: str) -> None:
    """The files that differ and the first free version are named, for dependants too; nothing at all is sent."""
    checkout = clone(repository, place)
    publish(checkout, place)
    add(repository, "libs/base", version="1.0.1")
    repository.commit()
    between = clone(repository, place)
    assert states(between) == {"base": ABSENT, "api": DIFFERENT, "web": DIFFERENT}
    repository.write("libs/base/values.yaml", "text: other\n").write("libs/base/new.txt", "x").commit()
    add(repository, "libs/base", version="1.0.0")
    repository.write("libs/base/values.yaml", "text: other\n").write(
        "apps/new/Chart.yaml", "apiVersion: v2\nname: new\nversion: 1.0.0\n"
    ).commit()
    third = clone(repository, place)
    found = by_name(third)
    assert states(third) == {"base": DIFFERENT, "api": DIFFERENT, "web": DIFFERENT, "new": ABSENT}
    assert found["base"].differs == ("new.txt", "values.yaml")
    assert found["web"].differs == ("charts/api-1.0.0.tgz",)
    assert {c.next_version for c in third.charts if c.state == DIFFERENT} == {"1.0.1"}
    with pytest.raises(Refused, match="never overwritten") as caught:
        publish(third, place)
    assert "base 1.0.0 (libs/base): new.txt, values.yaml differ; the next version is 1.0.1" in caught.value.seen
    client, reference = registry_of(place, "new")
    assert client.tags(reference) == ()


def test_a_rerun_of_half_a_release_pushes_what_is_missing(repository: Repository, place: str) -> None:
    """Whatever of a release is published, by tag or by digest alone, the rest follows with the same digests."""
    checkout = clone(repository, place)
    wanted = {chart.name: chart.digest for chart in checkout.charts}
    half = replace(checkout, charts=tuple(chart for chart in checkout.charts if chart.name == "base"))
    publish(half, place)
    client, reference = registry_of(place, "api")
    client.push(
        Layout(Path("archives")), Layout(Path("archives")).named("api:1.0.0"), reference
    )  # killed before its tag
    assert client.tags(reference) == ()
    again = publish(checkout, place)
    assert ({chart.name: chart.digest for chart in again.charts}, again.pushed) == (wanted, 2)
    assert publish(clone(repository, place), place).pushed == 0


def test_two_runs_may_meet(repository: Repository, place: str) -> None:
    """The same content from another commit is identical, by its digest; another content is not overwritten."""
    first = clone(repository, place)
    repository.write("README.md", "x").commit()
    second = clone(repository, place, archives=Path("second"))
    repository.write("apps/web/values.yaml", "text: other\n").commit()
    third = clone(repository, place, archives=Path("third"))
    published = publish(first, place)
    met = publish(second, place, "second")
    assert [chart.state for chart in met.charts] == [IDENTICAL] * 3
    assert [chart.digest for chart in met.charts] == [chart.digest for chart in published.charts]
    with pytest.raises(Refused, match="never overwritten") as caught:
        publish(third, place, "third")
    assert "web:1.0.0 is" in caught.value.seen


def test_the_settings_and_the_tags_of_a_run(repository: Repository, place: str) -> None:
    """A Git tag gives every chart its version and appVersion; ranges and locks in the archives follow, lines stay."""
    repository.git("tag", "v2.0.0-rc.1+b7")
    checkout = clone(repository, place, revision="v2.0.0-rc.1+b7", version="v2.0.0-rc.1+b7", app_version="2.0.0")
    assert checkout.findings == ()
    assert {chart.version for chart in checkout.charts} == {"2.0.0-rc.1+b7"}
    text = Path("unpacked/web/Chart.yaml").read_text()
    assert text == (repository.path / "apps/web/Chart.yaml").read_text().replace(
        "version: 1.0.0", "version: 2.0.0-rc.1+b7"
    ).replace("v2.0.0\n", "2.0.0\n")
    assert [chart.reference.rpartition("@")[0].rpartition("/")[2] for chart in publish(checkout, place).charts] == [
        "base",
        "api",
        "web",
    ]
    client, reference = registry_of(place, "web")
    assert client.tags(reference) == ("2.0.0-rc.1_b7",)
    published = client.resolve(reference.with_tag("2.0.0-rc.1_b7"))
    assert published is not None
    assert published.json["annotations"]["org.opencontainers.image.revision"] == checkout.commit
    assert json.loads(published.json["annotations"]["io.shipway.chart.dependencies"]) == {
        "charts/api-2.0.0-rc.1+b7.tgz": by_name(checkout)["api"].archive
    }


def test_library_charts_are_published_where_asked(repository: Repository, place: str) -> None:
    """They are checked and packed into others in any case; `ignore` leaves charts out altogether."""
    add(repository, "libs/base", more="type: library\n")
    add(repository, "test/broken", version="x")
    repository.commit()
    checkout = clone(repository, place, ignore=("test",))
    assert states(checkout) == {"base": UNPUBLISHED, "api": ABSENT, "web": ABSENT}
    assert by_name(checkout)["base"].folder == "unpacked/base"
    assert [chart.name for chart in publish(checkout, place).charts] == ["api", "web"]
    assert states(clone(repository, place, ignore=("te*",), libraries=("base",)))["base"] == ABSENT


def test_shipway_yaml_says_which_charts_count(repository: Repository, place: str) -> None:
    """What it ignores is neither checked nor published, in a release or by hand; a library chart that it names is."""
    add(repository, "libs/base", more="type: library\n")
    add(repository, "drafts/new")
    repository.write("shipway.yaml", "ignore: [apps/web]\ncharts: {ignore: [drafts], libraries: [base]}\n")
    repository.commit()
    assert states(clone(repository, place)) == {"base": ABSENT, "api": ABSENT}
    assert states(clone(repository, place, ignore=("apps",))) == {"base": ABSENT}
    repository.write("shipway.yaml", "charts:\n  ignored: [drafts]\n")
    repository.commit()
    with pytest.raises(ShipwayError, match=r"^shipway.yaml:2: charts has no 'ignored'"):
        clone(repository, place)


def test_what_helm_pushed_is_known_by_its_content(repository: Repository, place: str, tmp_path: Path) -> None:
    """A chart that Helm published is identical, though Helm packs otherwise; a change of it is reported by its file."""
    helm("dependency", "build", str(repository.path / "apps/api"), home=tmp_path)
    helm("package", str(repository.path / "apps/api"), f"--destination={tmp_path}", home=tmp_path)
    helm("push", str(tmp_path / "api-1.0.0.tgz"), f"oci://{place}", "--plain-http", home=tmp_path)
    assert states(clone(repository, place)) == {"base": ABSENT, "api": IDENTICAL, "web": ABSENT}
    repository.write("libs/base/values.yaml", "text: other\n").commit()
    assert by_name(clone(repository, place))["api"].differs == ("charts/base/values.yaml",)


@pytest.mark.parametrize("way", [{"keep_going": True}, {"chart_collections": "any"}])
def test_a_release_that_keeps_going_publishes_what_is_good(tmp_path: Path, place: str, way: dict[str, Any]) -> None:
    """Without the broken chart, those that depend on it or have its name, and those published with other content."""
    found = family(tmp_path / "repository")
    add(found, "same/one", name="twice")
    add(found, "same/two", name="twice")
    add(found, "moved")
    found.commit()
    publish(by_path(clone(found, place), "moved"), place)
    found.write("moved/values.yaml", "text: new\n").write("apps/api/Chart.yaml", "version: none\n")
    found.write("unread/Chart.yaml", "name: [\n").commit()
    checkout = clone(found, place)
    with pytest.raises(Refused, match="errors"):
        publish(checkout, place)
    with pytest.raises(Refused, match="6 of 7 charts are not released") as caught:
        publish(checkout, place, **way)
    assert isinstance(caught.value.result, ChartRelease)
    assert [chart.name for chart in caught.value.result.charts if chart.state == "pushed"] == ["base"]
    for words in ("apps/api/Chart.yaml", "also in same/one", "next version is 1.0.1"):
        assert words in caught.value.seen
    registry, twice = registry_of(place, "twice")
    assert registry.tags(twice) == ()


def by_path(checkout: ChartCheckout, *paths: str) -> ChartCheckout:
    """Return a checkout of some charts alone."""
    charts = tuple(chart for chart in checkout.charts if chart.path in paths)
    return replace(checkout, charts=charts, findings=())


def test_archives_in_git_are_taken_as_they_are(tmp_path: Path, place: str) -> None:
    """Nothing is fetched where charts/ holds the locked archive, or without a lock one in the range."""
    found = Repository(tmp_path / "repository")
    item = ("redis", "^2", "https://charts.example.org/x", "2.1.0")
    for name, packed in (("locked", "2.1.0"), ("free", "2.0.0"), ("old", "2.0.0"), ("wrong", "2.1.0")):
        add(found, name, item)
        data = archive("redis", "2.0.9" if name == "wrong" else packed)
        found.write(f"{name}/charts/redis-{packed}.tgz", data)
    found.git("rm", "-qf", "free/Chart.lock")
    found.commit()
    checkout = clone(found, place)
    charts = by_name(checkout)
    assert [part.source for part in charts["locked"].embedded] == ["locked/charts/redis-2.1.0.tgz"]
    assert [part.file for part in charts["free"].embedded] == ["charts/redis-2.0.0.tgz"]
    assert {f.chart: "not allowed" in f.text for f in checkout.findings} == {"old": True, "wrong": False}
    good = replace(checkout, findings=(), charts=(charts["locked"], charts["free"]))
    assert publish(good, place).pushed == 2
    found.write("locked/charts/redis-2.1.0.tgz", archive("redis", "2.1.0", {"values.yaml": "new: x\n"})).commit()
    assert by_name(clone(found, place))["locked"].state == DIFFERENT


def test_a_step_leaves_files_for_the_next(repository: Repository, place: str) -> None:
    """The command lines of a pod's containers, one after the other, over one folder."""

    def step(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipelines", "step", name, *arguments]
        variables = {"SHIPWAY_CHART_REGISTRY": place, "SHIPWAY_PLAIN_HTTP": place.partition("/")[0]}
        return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)

    cloned = step("chart-clone", f"--repo={repository.path}", "--outputs=out/clone")
    assert cloned.returncode == 0, cloned.stderr
    checkout: ChartCheckout = results.load(ChartCheckout, Path("out/clone"))
    results.store(replace(report(checkout), checked=("libs/base",)), Path("out/check"))
    arguments = ("--checkout=out/clone", "--report=out/check", "--outputs=out/publish")
    unchecked = step("chart-publish", *arguments)
    assert (unchecked.returncode, "apps/api, apps/web" in unchecked.stderr) == (3, True)
    results.store(report(checkout), Path("out/check"))
    published = step("chart-publish", *arguments)
    assert published.returncode == 0, published.stderr
    assert Path("out/publish/pushed").read_text() == "3"
    other = step("chart-publish", *arguments, "--repo=https://example.org/other.git")
    assert (other.returncode, "another repository" in other.stderr) == (3, True)
    Path("mine").mkdir()
    Path("mine/thesis").write_text("x")
    assert step("chart-clone", f"--repo={repository.path}", "--unpacked=mine").returncode == Misuse.exit_code
    assert Path("mine/thesis").exists()
