"""The steps `chart-clone` and `chart-publish`: charts of real repositories, in a real registry, read by the real Helm."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import Refused
from pipelines.model.chart import ABSENT, DIFFERENT, IDENTICAL
from pipelines.model.reference import Reference
from pipelines.steps.chart_publish import chart_publish
from pipelines.tools.credentials import Credentials
from pipelines.tools.registry import Registry
from tests.chart_trees import add, by_name, clone, family, report, states
from tests.git_repositories import Repository
from tests.registry_process import registry


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real registry; each test uses a project of its own in it."""
    with registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def address(running: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The registry, with a path in it that no other test uses; the process stands in an empty workspace."""
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")
    monkeypatch.setenv("SHIPWAY_PROJECT", tmp_path.name.replace("_", "-"))
    return running


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Three charts that stand on each other."""
    return family(tmp_path / "repository")


def helm(*arguments: str, home: Path) -> str:
    """Run Helm with no configuration but an empty folder, and return what it printed."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    done = subprocess.run(["helm", *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def manifest(address: str, name: str, tag: str = "1.0.0") -> dict[str, object]:
    """Return what the registry has under a tag."""
    client = Registry(Credentials(), plain_http=frozenset({address}))
    found = client.resolve(Reference(registry=address, repository=f"charts/{name}", tag=tag))
    assert found is not None
    return found.json


def project(tmp_path: Path) -> str:
    """Return this test's path in the registry."""
    return tmp_path.name.replace("_", "-")


def test_a_release_is_found_pushed_and_then_identical(repository: Repository, address: str, tmp_path: Path) -> None:
    """Absent charts are pushed, parents first; after a commit that touches no chart, none is pushed and no digest moves."""
    place = {"chart_registry": f"{address}/{project(tmp_path)}"}
    first = clone(repository, address, **place)
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
    done = chart_publish(checkout=first, report=report(first), plain_http=address, **place)
    assert [(c.name, c.state) for c in done.charts] == [("base", "pushed"), ("api", "pushed"), ("web", "pushed")]
    assert [c.digest for c in done.charts] == [c.digest for c in first.charts]
    assert done.bytes > 0
    repository.write("README.md", "New.").commit()
    second = clone(repository, address, **place)
    assert set(states(second).values()) == {IDENTICAL}
    again = chart_publish(checkout=second, report=report(second), plain_http=address, **place)
    assert (again.pushed, again.bytes) == (0, 0)
    assert [c.digest for c in again.charts] == [c.digest for c in done.charts]
    assert not any(chart.folder for chart in second.charts)


def test_helm_pulls_and_renders_what_was_published(repository: Repository, address: str, tmp_path: Path) -> None:
    """The official Helm 4 takes a chart by its version, with every dependency inside it."""
    place = {"chart_registry": f"{address}/{project(tmp_path)}"}
    checkout = clone(repository, address, **place)
    chart_publish(checkout=checkout, report=report(checkout), plain_http=address, **place)
    oci = f"oci://{address}/{project(tmp_path)}/web"
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
    repository: Repository, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the commit, the folder, the umask and the file times: commit facts stand in annotations alone."""
    first = by_name(clone(repository, address))
    repository.write("apps/web/values.yaml", "text: hello\n", mode=0o755).commit()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    second = by_name(clone(repository, address))
    assert {c.archive for c in first.values()} == {c.archive for c in second.values()}
    assert first["web"].digest != second["web"].digest


def test_another_content_under_a_published_version_is_refused(
    repository: Repository, address: str, tmp_path: Path
) -> None:
    """The files that differ and the first free version are named, for dependants too; nothing at all is sent."""
    place = {"chart_registry": f"{address}/{project(tmp_path)}"}
    checkout = clone(repository, address, **place)
    chart_publish(checkout=checkout, report=report(checkout), plain_http=address, **place)
    add(repository, "libs/base", version="1.0.1")
    repository.commit()
    between = clone(repository, address, **place)
    assert states(between) == {"base": ABSENT, "api": DIFFERENT, "web": DIFFERENT}
    repository.write("libs/base/values.yaml", "text: other\n").write("libs/base/new.txt", "x").commit()
    add(repository, "libs/base", version="1.0.0")
    repository.write("libs/base/values.yaml", "text: other\n").write(
        "apps/new/Chart.yaml", "apiVersion: v2\nname: new\nversion: 1.0.0\n"
    ).commit()
    third = clone(repository, address, **place)
    found = by_name(third)
    assert states(third) == {"base": DIFFERENT, "api": DIFFERENT, "web": DIFFERENT, "new": ABSENT}
    assert found["base"].differs == ("new.txt", "values.yaml")
    assert found["web"].differs == ("charts/api-1.0.0.tgz",)
    assert {c.next_version for c in third.charts if c.state == DIFFERENT} == {"1.0.1"}
    with pytest.raises(Refused, match="never overwritten") as caught:
        chart_publish(checkout=third, report=report(third), plain_http=address, **place)
    assert "base 1.0.0 (libs/base): new.txt, values.yaml differ; the next version is 1.0.1" in caught.value.seen
    client = Registry(Credentials(), plain_http=frozenset({address}))
    assert client.tags(Reference(registry=address, repository=f"{project(tmp_path)}/new")) == ()
