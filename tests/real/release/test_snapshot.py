"""What a commit declares, read from real repositories, over the network without the files that nobody looks at."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipelines.bounds import LARGEST
from pipelines.charts import files as chart_files
from pipelines.charts.files import Root
from pipelines.cli import declared
from pipelines.errors import ShipwayError
from pipelines.release import snapshot as release_snapshot
from pipelines.release.snapshot import RepositorySnapshot
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.git.checkout import check_out, configuration
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from tests.git_repositories import Repository
from tests.git_server import serving


@pytest.fixture
def shop(tmp_path: Path) -> Repository:
    """A repository with images, a chart, and much that is neither."""
    repository = Repository(tmp_path / "served" / "shop")
    repository.write("shipway.yaml", "ignore: [old]\nvalues: [{file: env/prod.yaml, image: web}]\n")
    repository.write("env/prod.yaml", "image: x\n").write("old/Dockerfile", "FROM nothing\n")
    repository.write("web/Dockerfile", "FROM scratch\n").write("web/.dockerignore", "large\n")
    repository.write("web/large", b"\0\xff" * 5000).link("api/Dockerfile", "../shared/Api.Dockerfile")
    repository.write("shared/Api.Dockerfile", "FROM web\n")
    repository.write("charts/site/Chart.yaml", "apiVersion: v2\nname: site\nversion: 1.0.0\n")
    repository.write("charts/site/values.yaml", "a: 1\n").write("charts/site/icon.png", b"\x89PNG\xff")
    repository.commit()
    return repository


def read(url: str, work: Path) -> RepositorySnapshot:
    """Return what the head of main declares."""
    work.mkdir(parents=True)
    address = RepositoryUrl(url)
    with Git(GitCredentials.read(work / "none")) as git:
        return release_snapshot.read(git, address, git.resolve(address, Revision("main")), work)


def check(found: RepositorySnapshot, shop: Repository) -> None:
    """Everything that planning needs was read, by content, and every path is known."""
    assert {path: data.decode() for path, data in found.tree.contents.items()} == {
        "shipway.yaml": "ignore: [old]\nvalues: [{file: env/prod.yaml, image: web}]\n",
        "web/Dockerfile": "FROM scratch\n",
        "web/.dockerignore": "large\n",
        "api/Dockerfile": "../shared/Api.Dockerfile",
        "shared/Api.Dockerfile": "FROM web\n",
        "env/prod.yaml": "image: x\n",
        "charts/site/Chart.yaml": "apiVersion: v2\nname: site\nversion: 1.0.0\n",
        "charts/site/values.yaml": "a: 1\n",
    }
    assert set(found.tree.files) == set(shop.git("ls-files").splitlines())
    assert found.tree.files["web/large"].id == shop.git("rev-parse", "HEAD:web/large")
    assert found.tree.read("api/Dockerfile") == b"FROM web\n"
    assert chart_files.file(found.root, "charts/site/icon.png") == b"\x89PNG\xff"
    assert found.charts == ("charts/site",)
    assert found.configuration.ignore == ("old",)


def packed(root: Root, folder: str) -> dict[str, bytes] | str:
    """Return the files that a chart is packed from, or what is wrong with it."""
    try:
        return chart_files.chart(root, folder, {})
    except ShipwayError as error:
        return error.what


@pytest.mark.parametrize("over", [0, 1])
def test_a_declared_file_is_too_large_for_all_readers_or_for_none(tmp_path: Path, over: int) -> None:
    """A plan has a finding for one byte too many; the charts' files stay as they are."""
    filler = b"#" * (LARGEST - len(b"ignore: [old]\n#\n") + over)
    repository = Repository(tmp_path / "shop").write("shipway.yaml", b"ignore: [old]\n#" + filler + b"\n")
    repository.write("charts/site/Chart.yaml", "apiVersion: v2\nname: site\nversion: 1.0.0\n")
    values = b"a: 1\n#" + b"x" * (LARGEST - 6 + over)
    repository.write("charts/site/values.yaml", values).commit()
    found = read(str(repository.path), tmp_path / "work")
    told = [finding.text for finding in found.findings]
    assert told == ([f"shipway.yaml is too large: {LARGEST + 1} bytes"] if over else [])
    # Nothing that stands for what was not read is quoted.
    assert [finding.error(found.tree.read("shipway.yaml") or b"").seen for finding in found.findings] == [""] * over
    assert found.configuration.ignore == (() if over else ("old",))
    assert chart_files.file(found.root, "charts/site/values.yaml") == values


def test_a_link_in_place_of_shipway_yaml_is_refused_by_every_reader(tmp_path: Path) -> None:
    """A plan, a checkout, the list of images: none follows it, and none takes it for absent."""
    repository = Repository(tmp_path / "shop").write("other.yaml", "ignore: [old]\n")
    repository.link("shipway.yaml", "other.yaml").commit()
    found = read(str(repository.path), tmp_path / "work")
    assert [str(finding) for finding in found.findings] == [
        "shipway.yaml: error: it is a link [shipway.yaml]; commit the file itself"
    ]
    with pytest.raises(ShipwayError, match=r"^shipway\.yaml: it is a link"):
        configuration(repository.path)
    with pytest.raises(ShipwayError, match=r"^shipway\.yaml: it is a link"):
        declared.read(
            {"secrets": str(tmp_path / "none")},
            str(repository.path),
            "HEAD",
            declared.any_builder(("linux/amd64",), ()),
        )


@pytest.mark.parametrize("attributes", ["*.png binary\n", "*.txt eol=crlf\n"])
def test_charts_are_those_of_a_checkout(tmp_path: Path, attributes: str) -> None:
    """From Git's objects, or from a checkout where Git converts files: the archives are those of a release."""
    repository = Repository(tmp_path / "repository")
    rules = {
        "ignoring": "docs/\n*.md\n[a-c]?.txt\n",
        "malformed": "a/**/b\n",
        "endless": "#" * (1 << 20),
        "hidden": "link\nlarge\n",
        "turned": "!*.txt\n",
    }
    folders = ("plain", "linked", "large", "nested", "submodule", "odd", *rules)
    for name in folders:
        repository.write(f"x/{name}/Chart.yaml", f"apiVersion: v2\nname: {name}\nversion: 1.0.0\n")
        for path in ("values.yaml", "templates/a.yaml", "b.txt", "b/c.txt", "bx.txt", "docs/y", "README.md", "b/d.md"):
            repository.write(f"x/{name}/{path}", f"{path}\n")
        repository.write(f"x/{name}/templates/.hidden", "1\n")
    for name, text in rules.items():
        repository.write(f"x/{name}/.helmignore", text)
    repository.link("x/linked/link", "../plain/b.txt").link("x/hidden/link", "/etc/passwd")
    for name in ("large", "hidden"):
        repository.write(f"x/{name}/large", b"x" * (6 << 20))
    repository.write("x/odd/caf\udce8", "x").write("x/ignoring/docs/caf\udce8", "x")
    repository.write("x/nested/charts/sub/Chart.yaml", "name: sub\n").write(".gitattributes", attributes)
    repository.git("add", "--all")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},x/submodule/vendor")
    repository.git("commit", "-q", "-m", "Charts")
    found = read(str(repository.path), tmp_path / "work")
    url = RepositoryUrl(str(repository.path))
    with Git(GitCredentials.read(tmp_path / "none")) as git:
        head = git.resolve(url, Revision("main"))
        check_out(git, url, head, tmp_path / "source", submodules=False, lfs=False)
    assert isinstance(found.root, Path) == ("crlf" in attributes)
    outcomes = {name: packed(found.root, f"x/{name}") for name in folders}
    assert outcomes == {name: packed(tmp_path / "source", f"x/{name}") for name in folders}
    assert {name: told for name, told in outcomes.items() if isinstance(told, str)} == {
        "linked": "x/linked/link is a link",
        "large": "x/large/large is larger than Helm reads",
        "malformed": "x/malformed/.helmignore:1: not a rule that Helm reads",
        "endless": "x/endless/.helmignore:1: not a rule that Helm reads",
        "odd": "x/odd/caf\\xe8 has a name that is not UTF-8",
    }
    for path in ("x/plain", "x/plain/none", "x/none", "x/linked/link/none", "x/plain/b.txt/none"):
        assert state(found.root, path) == state(tmp_path / "source", path), path


def state(root: Root, path: str) -> bytes | str | None:
    """Return the content of one file, or what is wrong with it."""
    try:
        return chart_files.file(root, path)
    except ShipwayError as error:
        return str(error)


def test_a_folder_of_this_machine(tmp_path: Path, shop: Repository) -> None:
    """Read as it is committed."""
    found = read(str(shop.path), tmp_path / "work")
    check(found, shop)
    assert (found.ref, found.commit.id) == ("refs/heads/main", shop.git("rev-parse", "HEAD"))


@pytest.mark.parametrize("partial", [True, False])
def test_over_the_network(tmp_path: Path, shop: Repository, partial: bool) -> None:
    """Only the files that matter come where the server can do so; where it cannot, the commit comes as a whole."""
    shop.git("config", "uploadpack.allowFilter", "true" if partial else "false")
    with serving(tmp_path / "served") as server:
        found = read(f"{server.url}/shop/.git", tmp_path / "work")
        posts = sum(request.startswith("POST") for request in server.requests)
    check(found, shop)
    large, had = shop.git("rev-parse", "HEAD:web/large"), Repository.at(tmp_path / "work" / "git")
    objects = had.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").splitlines()
    assert (large in objects) is not partial
    assert posts <= 8  # refs, the tree, shipway.yaml, the rest, and what links lead to: not one for each file


@pytest.mark.parametrize("partial", [True, False])
def test_older_commits_come_without_files_too(tmp_path: Path, shop: Repository, partial: bool) -> None:
    """In one request; one that the server does not have brings none of them."""
    shop.git("config", "uploadpack.allowFilter", "true" if partial else "false")
    commits = [shop.git("rev-parse", "HEAD")]
    for number in range(2):
        shop.write("web/large", b"\0\xff" * 5000 + bytes([number])).commit()
        commits.append(shop.git("rev-parse", "HEAD"))
    (tmp_path / "work").mkdir()
    with serving(tmp_path / "served") as server, Git(GitCredentials.read(tmp_path / "none")) as git:
        url = RepositoryUrl(f"{server.url}/shop/.git")
        repository = git.fetch(url, git.resolve(url, Revision("main")), tmp_path / "work" / "git", with_files=False)
        before = len(server.requests)
        assert git.fetch_also(repository, commits[:2])
        assert sum(request.startswith("POST") for request in server.requests[before:]) <= 2
        assert not git.fetch_also(repository, ["0" * 40])
        trees = [{entry.path: entry.id for entry in repository.tree(commit)} for commit in commits[:2]]
        there = repository.call("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").stdout.split()
    large = [shop.git("rev-parse", f"{commit}:web/large") for commit in commits[:2]]
    assert [tree["web/large"] for tree in trees] == large
    assert bool({*large} & {*there}) is not partial


def test_a_server_that_stops_answering_gives_no_older_commit(tmp_path: Path, shop: Repository) -> None:
    """What would only be a reason keeps no plan from being made."""
    with (
        serving(tmp_path / "served") as server,
        Git(GitCredentials.read(tmp_path / "none"), fetch_seconds=5) as git,
    ):
        url = RepositoryUrl(f"{server.url}/shop/.git")
        head = git.resolve(url, Revision("main"))
        (tmp_path / "work").mkdir()
        repository = git.fetch(url, head, tmp_path / "work" / "git", with_files=False)
        server.hold = threading.Event()
        assert not git.fetch_also(repository, [head.commit])


def test_a_server_that_gives_no_file_by_its_id(tmp_path: Path, shop: Repository) -> None:
    """Old servers filter, and then want a ref for everything: all files are fetched."""
    shop.git("config", "uploadpack.allowFilter", "true")
    with serving(tmp_path / "served") as server:
        server.by_commit = False
        found = read(f"{server.url}/shop/.git", tmp_path / "work")
    check(found, shop)
