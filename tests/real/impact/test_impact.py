"""The steps `impact-gather` and `impact` over real repositories and the real Helm."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.cli.main import main
from pipelines.impact.gather import EVERYBODY
from pipelines.impact.impact import bounded, impact, impact_of
from pipelines.impact.model import Gathered, Impact
from tests import git_server
from tests.chart_trees import lock
from tests.git_repositories import Repository
from tests.git_server import GitServer
from tests.steps import step

impact_gather = step("impact-gather", Gathered)

pytestmark = pytest.mark.helm
TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata:
  {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}, labels: {helm.sh/chart: "{{ .Chart.Version }}"}}
data: {text: {{ required "text is needed" .Values.text | quote }}}
"""


@pytest.fixture
def git(tmp_path: Path) -> Iterator[GitServer]:
    """Give a server of this test's repositories."""
    with git_server.serving(tmp_path) as server:
        yield server


@pytest.fixture
def charts(tmp_path: Path) -> Repository:
    """Return a repository with a chart, one that depends on it, and one that does not."""
    made = Repository(tmp_path / "charts")
    made.write("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n")
    made.write("web/values.yaml", "text: hello\n").write("web/templates/text.yaml", TEMPLATE)
    made.write(
        "site/Chart.yaml",
        "apiVersion: v2\nname: site\nversion: 1.0.0\n"
        "dependencies: [{name: web, version: 1.0.0, repository: 'file://../web'}]\n",
    )
    made.write("site/Chart.lock", lock([("web", "1.0.0", "file://../web", "1.0.0")]))
    made.write("site/templates/none.yaml", "").write(
        "other/Chart.yaml", "apiVersion: v2\nname: other\nversion: 1.0.0\n"
    )
    made.commit()
    return made


@pytest.fixture
def environments(tmp_path: Path, git: GitServer) -> Repository:
    """Return an environments repository with applications of these charts, by registry and by Git."""
    made = Repository(tmp_path / "environments")
    for environment in ("dev", "prod"):
        for name in ("web", "other"):
            text = f"chart: {name}\nversion: 1.0.0\nnamespace: {environment}\n"
            made.write(f"{environment}/{name}/config.yaml", text).write(f"{environment}/{name}/values.yaml", "{}\n")
    site = {"repo": f"{git.url}/charts", "path": "site", "revision": "main", "namespace": "dev"}
    made.write("dev/site/config.json", json.dumps(site)).commit()
    return made


def run(
    tmp_path: Path, git: GitServer, repository: Repository, base: str, environments: str = "environments"
) -> tuple[Gathered, Impact]:
    """Run both steps."""
    gathered = impact_gather(
        repo=f"{git.url}/{repository.path.name}",
        base=base,
        folder=tmp_path / "impact",
        shown_to=EVERYBODY,
        environments_repository=f"{git.url}/{environments}",
        registry="registry.invalid",
    )
    return gathered, impact(gathered=gathered, folder=tmp_path / "impact", rendered=tmp_path / "rendered")


@pytest.mark.usefixtures("environments")
def test_a_change_of_a_chart(tmp_path: Path, git: GitServer, charts: Repository) -> None:
    """Every application that uses it, and no other; again, and nothing is rendered again."""
    base = charts.git("rev-parse", "HEAD")
    charts.write("web/values.yaml", "text: goodbye\n").write("README.md", "no chart\n").commit()
    gathered, found = run(tmp_path, git, charts, base)
    touched = {f"{item.environment}/{item.application}" for item in gathered.touched}
    assert touched == {"dev/web", "prod/web", "dev/site"}
    web = next(item for item in found.impact if (item.environment, item.application) == ("prod", "web"))
    assert [change.name for change in web.changes] == ["ConfigMap prod/web"]
    assert "-  text: hello\n+  text: goodbye" in web.changes[0].diff
    assert "goodbye" in found.markdown

    _, again = run(tmp_path, git, charts, base)
    assert again.rendered == 0
    assert again.markdown == found.markdown
    charts.write("web/values.yaml", "text: farewell\n").commit()
    _, third = run(tmp_path, git, charts, base)
    assert third.cached == found.rendered // 2
    assert third.rendered == found.rendered - third.cached


@pytest.mark.usefixtures("environments")
def test_a_version_alone_and_a_chart_that_breaks(tmp_path: Path, git: GitServer, charts: Repository) -> None:
    """Labels of a version are no change; what Helm refuses is told with its words, and fails nothing."""
    base = charts.git("rev-parse", "HEAD")
    charts.write("other/Chart.yaml", "apiVersion: v2\nname: other\nversion: 1.0.1\n").commit()
    gathered, found = run(tmp_path, git, charts, base)
    assert [item.chart for item in gathered.touched] == ["other", "other"]
    assert (found.changed, found.unchanged, found.broken) == (0, 2, 0)
    charts.write("web/values.yaml", "{}\n").commit()
    _, found = run(tmp_path, git, charts, base)
    assert found.broken >= 2
    assert "text is needed" in found.markdown
    assert str(tmp_path) not in found.markdown


@pytest.mark.usefixtures("charts")
def test_a_change_of_an_environment(tmp_path: Path, git: GitServer, environments: Repository) -> None:
    """Values and revisions of its own applications; new ones, and files that cannot be read."""
    environments.git("rm", "-rq", "prod")
    web = json.dumps({"repo": f"{git.url}/charts", "path": "web", "revision": "main", "namespace": "dev"})
    environments.write("dev/web/config.yaml", web)
    environments.git("rm", "-q", "dev/other/config.yaml", "dev/site/config.json")
    environments.write("dev/still/config.json", web)
    base = environments.commit()
    environments.write("dev/web/values.yaml", "text: there\n")
    environments.write("dev/new/config.json", web).write("dev/bad/config.json", '{"chart": "x"}').commit()
    gathered, found = run(tmp_path, git, environments, base)
    assert [(item.application, item.before is None) for item in gathered.touched] == [("new", True), ("web", False)]
    assert gathered.untouched == 1
    assert [change.action for item in found.impact for change in item.changes] == ["added", "changed"]
    assert "+  text: there" in found.markdown
    assert "dev/bad/config.json:1" in found.markdown


def test_a_chart_of_another_host_gets_no_login(tmp_path: Path, git: GitServer, charts: Repository) -> None:
    """Whoever proposes a change of an environment must not choose who gets the login."""
    (tmp_path / "login").mkdir()
    (tmp_path / "login" / "password").write_text("hunter2")
    made = Repository(tmp_path / "environments").write("README.md", "")
    base = made.commit()
    with git_server.serving(tmp_path) as other:
        git.login = other.login = ("git", "hunter2")
        for name, host in (("own", git), ("other", other)):
            site = {"repo": f"{host.url}/charts", "path": "web", "revision": "main", "namespace": "dev"}
            made.write(f"dev/{name}/config.json", json.dumps(site))
        made.commit()
        gathered = impact_gather(
            repo=f"{git.url}/environments",
            base=base,
            folder=tmp_path / "impact",
            shown_to=EVERYBODY,
            credentials=tmp_path / "login",
            registry="registry.invalid",
        )
        assert other.requests
        assert other.logins == []
    assert charts.path.is_dir()
    assert {item.application: bool(item.fault) for item in gathered.touched} == {"own": False, "other": True}


def test_a_repository_with_charts_and_environments(tmp_path: Path, git: GitServer, charts: Repository) -> None:
    """What its charts and its environments change, each application once; a version that is not published yet."""
    for name in ("web", "other"):
        charts.write(f"dev/{name}/config.yaml", f"chart: {name}\nversion: 1.0.0\nnamespace: dev\n")
    charts.write("prod/web/config.yaml", "chart: web\nversion: 1.0.0\nnamespace: prod\n")
    base = charts.commit()
    charts.write("web/values.yaml", "text: goodbye\n").write(
        "web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.1.0\n"
    )
    charts.write("dev/web/config.yaml", "chart: web\nversion: 1.1.0\nnamespace: dev\n").commit()
    gathered, found = run(tmp_path, git, charts, base, environments="charts")
    assert [(item.environment, item.application) for item in gathered.touched] == [("dev", "web"), ("prod", "web")]
    assert gathered.untouched == 1
    assert [(item.before, item.after, item.fault) for item in found.impact] == [("1.0.0", "1.1.0", "")] * 2
    assert all("+  text: goodbye" in item.changes[0].diff for item in found.impact)


def test_a_branch_without_commits_of_its_own_is_told(
    tmp_path: Path, charts: Repository, environments: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a checkout nobody would see why nothing changes: the default is its own head."""
    settings = tmp_path / "settings.yaml"
    settings.write_text(json.dumps({"registry": "registry.invalid", "environments": str(environments.path)}))
    words = ["impact", str(charts.path), "--settings", str(settings), "--state", str(tmp_path / "state")]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "compared with itself: name another commit with --revision or --base" in told.err
    assert "No application changes, of 5 applications." in told.out


def test_nobody_sees_values_of_environments_by_default(tmp_path: Path, charts: Repository) -> None:
    """A template can print every value that it is given, and checks are for strangers."""
    gathered = impact_gather(repo=str(charts.path), folder=tmp_path / "impact", registry="registry.invalid")
    assert gathered.touched == ()
    assert impact(gathered=gathered, folder=tmp_path / "impact", rendered=tmp_path / "rendered").markdown == ""


@pytest.mark.parametrize("left", [b"", b"half a key"])
def test_what_a_killed_run_left_is_no_key(tmp_path: Path, left: bytes) -> None:
    """Secrets hashed without a key, or with a short one, could be guessed."""
    rendered = tmp_path / "rendered"
    rendered.mkdir()
    key = rendered / "key"
    key.write_bytes(left)
    gathered = Gathered(repo="r", commit="c", base="b", environments="", untouched=0, touched=(), findings=())
    impact_of(gathered, bounded(tmp_path), "v4", folder=tmp_path / "impact", kept=rendered)
    made = key.read_bytes()
    assert (len(made), key.stat().st_mode & 0o777, list(rendered.iterdir())) == (32, 0o600, [key])
    impact_of(gathered, bounded(tmp_path), "v4", folder=tmp_path / "impact", kept=rendered)
    assert key.read_bytes() == made


def test_of_two_first_runs_one_makes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other, which also saw none, takes it as it is."""
    rendered = tmp_path / "rendered"
    link, key, others = os.link, rendered / "key", b"o" * 32

    def late(source: Path, target: Path) -> None:
        key.write_bytes(others)
        link(source, target)

    monkeypatch.setattr("os.link", late)
    gathered = Gathered(repo="r", commit="c", base="b", environments="", untouched=0, touched=(), findings=())
    impact_of(gathered, bounded(tmp_path), "v4", folder=tmp_path / "impact", kept=rendered)
    assert (key.read_bytes(), list(rendered.iterdir())) == (others, [key])


@pytest.mark.usefixtures("environments")
def test_the_base_is_the_last_common_commit(tmp_path: Path, git: GitServer, charts: Repository) -> None:
    """What the default branch got since then is no impact of the branch that is looked at."""
    charts.git("checkout", "-qb", "feature")
    charts.write("other/values.yaml", "a: 1\n").commit()
    charts.git("checkout", "-q", "main")
    charts.write("web/values.yaml", "text: main's own\n").commit()
    gathered = impact_gather(
        repo=f"{git.url}/charts",
        revision="feature",
        base="main",
        folder=tmp_path / "impact",
        shown_to=EVERYBODY,
        environments_repository=f"{git.url}/environments",
        registry="registry.invalid",
    )
    assert {item.application for item in gathered.touched} == {"other"}
