"""Hostile charts, archives and servers: each refused with a clear message, nothing written outside the workspace."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipelines.charts.model import ChartFinding
from pipelines.declared.finding import ERROR, REFUSED
from pipelines.declared.state import ABSENT, BROKEN
from pipelines.errors import Misconfigured, Refused, Transient
from pipelines.step import results
from pipelines.tools.registry.connection import Timing
from tests.chart_trees import add, archive, by_name, clone, index, publish, report, states
from tests.git_repositories import Repository
from tests.lying_registry import RESET, SILENCE, Asked, LyingRegistry, Reply, errors, lying_registry


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LyingRegistry]:
    """A registry that is a chart repository, too; no wait between two attempts, and an empty workspace."""
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("pipelines.tools.registry.client.Timing", lambda: Timing(answer_seconds=2, attempts=2))
    with lying_registry() as state:
        yield state


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty repository."""
    return Repository(tmp_path / "repository")


@pytest.fixture(autouse=True)
def outside(tmp_path: Path) -> Iterator[None]:
    """Whatever happens, nothing new stands beside the workspace afterwards."""
    yield
    found = {path.name for path in tmp_path.iterdir()}
    assert found <= {"workspace", "repository", "secret"}
    workspace = {path.name for path in (tmp_path / "workspace").iterdir()}
    assert {name.removeprefix(".").removesuffix(".made-by-shipway") for name in workspace} <= {
        "source",
        "archives",
        "unpacked",
        "out",
        "pull",
    }


def serve(fake: LyingRegistry, data: bytes, name: str = "redis", version: str = "2.1.0", listed: bytes = b"") -> str:
    """Serve a chart repository with one archive and return its address."""
    url = f"http://{fake.address}/repo"
    body = index((name, version, f"{name}.tgz", listed or data))
    fake.lie("GET", "^/repo/index.yaml$", Reply(status=200, body=body))
    fake.lie("GET", f"^/repo/{name}.tgz$", Reply(status=200, body=data))
    return url


def finding(repository: Repository, fake: LyingRegistry) -> ChartFinding:
    """Clone a commit with one fault; return its finding, and see that the release is refused with it."""
    repository.commit()
    checkout = clone(repository, f"{fake.address}/charts")
    [found] = checkout.findings
    assert BROKEN in states(checkout).values() or not checkout.charts
    with pytest.raises(Refused) as caught:
        publish(checkout, f"{fake.address}/charts")
    assert str(found) in caught.value.seen
    assert fake.count("PUT|POST", "") == 0
    return found


@pytest.mark.parametrize("name", [".", "..", "a/b", "../../x"])
def test_a_name_that_leaves_its_folder(repository: Repository, fake: LyingRegistry, name: str) -> None:
    """A chart is unpacked and published under its name, so the name is looked at first."""
    add(repository, "web", name=f'"{name}"')
    found = finding(repository, fake)
    assert (found.level, found.path, found.line, found.rule) == (REFUSED, "web/Chart.yaml", 3, "name")
    assert not (Path("unpacked")).exists() or not list(Path("unpacked").iterdir())


@pytest.mark.parametrize("file", ["Chart.yaml", "Chart.lock", "values.yaml", "values.schema.json", "templates/x.yaml"])
def test_a_link_is_not_followed(repository: Repository, fake: LyingRegistry, tmp_path: Path, file: str) -> None:
    """A link in place of a file would put what it leads to into a public archive."""
    (tmp_path / "secret").write_text("password")
    add(repository, "web")
    (repository.path / "web" / file).unlink(missing_ok=True)
    repository.link(f"web/{file}", str(tmp_path / "secret"))
    found = finding(repository, fake)
    assert (found.level, f"web/{file} is a link") == (REFUSED, found.text.partition(" (")[0])


def test_a_link_in_place_of_a_folder(repository: Repository, fake: LyingRegistry) -> None:
    """Links to folders are no way out either, and one that is ignored is nobody's business."""
    add(repository, "web")
    repository.link("web/templates/more", "/etc").link("web/docs", "/etc").write("web/.helmignore", "docs\n")
    assert finding(repository, fake).text.startswith("web/templates/more is a link")


def test_a_file_that_helm_would_not_read(repository: Repository, fake: LyingRegistry) -> None:
    """It is refused before it is read."""
    add(repository, "web")
    repository.write("web/files/dump", bytes((5 << 20) + 1))
    assert "web/files/dump is larger" in finding(repository, fake).text


@pytest.mark.parametrize("file", ["files/caf\udce8", "templates/caf\udce8/a.yaml"])
def test_a_name_that_is_not_text(repository: Repository, fake: LyingRegistry, file: str) -> None:
    """An archive's names are UTF-8; what is left out may have any name."""
    add(repository, "web")
    repository.write(f"web/{file}", "x").write("web/docs/\udcff", "x").write("web/.helmignore", "docs\n")
    found = finding(repository, fake)
    shown = file.replace("\udce8", "\\xe8")
    assert (found.level, found.chart) == (REFUSED, "web")
    assert found.text.startswith(f"web/{shown} has a name that is not UTF-8")


def test_a_path_out_of_the_repository(repository: Repository, fake: LyingRegistry, tmp_path: Path) -> None:
    """A chart beside the repository is not this commit's."""
    add(repository, "web", ("redis", "^1.0.0", "file://../../secret", "1.0.0"))
    found = finding(repository, fake)
    assert (found.level, found.line, "leads out of the repository" in found.text) == (REFUSED, 6, True)


def test_a_host_that_is_not_allowed(repository: Repository, fake: LyingRegistry) -> None:
    """Nothing is asked of it, whether it is a chart repository, a registry, or where a redirect or an index leads."""
    url = serve(fake, archive("redis", "2.1.0"))
    with lying_registry() as other:
        for number, place in enumerate((f"http://{other.address}/repo", f"oci://{other.address}/charts")):
            add(repository, f"a{number}", ("redis", "^2.0.0", place, "2.1.0"))
        add(repository, "b", ("moved", "^2.0.0", f"http://{fake.address}/moved", "2.1.0"))
        fake.lie("GET", "/moved/", Reply(status=302, headers={"Location": f"http://{other.address}/repo/index.yaml"}))
        add(repository, "c", ("listed", "^2.0.0", f"http://{fake.address}/listed", "2.1.0"))
        fake.lie(
            "GET", "/listed/", Reply(status=200, body=index(("listed", "2.1.0", f"http://{other.address}/x", b"")))
        )
        add(repository, "d", ("redis", "^2.0.0", url, "2.1.0"))
        repository.commit()
        checkout = clone(repository, f"{fake.address}/charts", also_plain=other.address)
        assert other.asked == []
        assert [(f.chart, f.level, f.line) for f in checkout.findings] == [
            (c, REFUSED, 6) for c in ("a0", "a1", "b", "c")
        ]
        assert all("not allowed" in f.text and other.address in f.text for f in checkout.findings)
        assert states(checkout) == {"a0": BROKEN, "a1": BROKEN, "b": BROKEN, "c": BROKEN, "d": ABSENT}


def test_an_address_that_is_none(repository: Repository, fake: LyingRegistry) -> None:
    """The one that a chart names and the one that an index lists are findings; where a redirect leads is not known."""
    add(repository, "a", ("redis", "^2.0.0", "https://[x/repo", "2.1.0"))
    add(repository, "b", ("listed", "^2.0.0", f"http://{fake.address}/listed", "2.1.0"))
    fake.lie("GET", "/listed/", Reply(status=200, body=index(("listed", "2.1.0", "https://[x/y", b""))))
    repository.commit()
    found = clone(repository, f"{fake.address}/charts").findings
    assert [(f.chart, f.level, f.line) for f in found] == [("a", REFUSED, 6), ("b", ERROR, 6)]
    assert "comes from nowhere that is known" in found[0].text
    assert "says no address for listed 2.1.0" in found[1].text
    add(repository, "c", ("moved", "^2.0.0", f"http://{fake.address}/moved", "2.1.0"))
    fake.lie("GET", "/moved/", Reply(status=302, headers={"Location": "https://[x/y"}))
    repository.commit()
    with pytest.raises(Transient, match="leads to an invalid address"):
        clone(repository, f"{fake.address}/charts")


def tarball(*names: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return an archive with an honest Chart.yaml and members of a kind."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        text = b"apiVersion: v2\nname: redis\nversion: 2.1.0\n"
        info = tarfile.TarInfo("redis/Chart.yaml")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
        for name in names:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (tarball("/etc/cron.d/x"), "leads out"),
        (tarball("redis/../../x"), "leads out"),
        (tarball("redis/x", kind=tarfile.SYMTYPE), "a link or a device"),
        (tarball("redis/x", kind=tarfile.LNKTYPE), "a link or a device"),
        (tarball("redis/x", kind=tarfile.CHRTYPE), "a link or a device"),
        (gzip.compress(bytes(115 << 20), 1), "when unpacked"),
        (archive("other", "2.1.0"), "is another chart"),
        (archive("redis", "2.2.0"), "is another chart"),
        (b"<html>", "not gzip"),
    ],
)
def test_an_archive_that_is_no_honest_chart(
    repository: Repository, fake: LyingRegistry, data: bytes, seen: str
) -> None:
    """It is looked at before it becomes a part of anything, and the dependency is named with its line."""
    add(repository, "web", ("redis", "^2.0.0", serve(fake, data), "2.1.0"))
    found = finding(repository, fake)
    assert (found.level, found.line, found.rule) == (REFUSED, 6, "dependency")
    assert seen in found.text


def test_dependencies_are_fetched_once_and_recorded(repository: Repository, fake: LyingRegistry) -> None:
    """From an HTTP repository and from a registry; an unchanged chart proves itself without asking either again."""
    data = archive("redis", "2.1.0")
    url = serve(fake, data)
    for name in ("web", "api"):
        add(repository, name, ("redis", "^2.0.0", url, "2.1.0"))
        repository.write(f"{name}/charts/redis-1.9.0.tgz", b"an old one, committed by mistake")
    repository.commit()
    place = f"{fake.address}/charts"
    checkout = clone(repository, place)
    assert checkout.findings == ()
    for chart in checkout.charts:
        [part] = chart.embedded
        assert (part.file, part.source) == ("charts/redis-2.1.0.tgz", f"{url}/redis.tgz")
        assert part.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert {path.name for path in (Path(chart.folder) / "charts").iterdir()} == {"redis-2.1.0.tgz"}
    assert (fake.count("GET", "index.yaml"), fake.count("GET", "redis.tgz")) == (1, 1)
    publish(checkout, place)
    fake.asked.clear()
    assert set(states(clone(repository, place)).values()) == {"identical"}
    assert fake.count("GET", "/repo/") == 0
    repository.write("web/values.yaml", "text: new\n").commit()
    again = clone(repository, place)
    assert states(again) == {"web": "different", "api": "identical"}
    assert by_name(again)["web"].differs == ("values.yaml",)
    # The registry that charts are published to is a place like any other, and always allowed.
    add(repository, "late", ("web", "^1.0.0", f"oci://{place}", "1.0.0"), ("api", "0.9.0", f"oci://{place}", "0.9.0"))
    repository.commit()
    last = clone(repository, place)
    absent, other = last.findings
    assert (absent.chart, absent.line, absent.level) == ("late", 9, ERROR)
    assert "there is no chart api 0.9.0" in absent.text
    assert str(other).startswith(
        "web/Chart.yaml:4: warning: web 1.0.0 is published with different content (values.yaml)"
    )


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=500), Transient),
        (Reply(status=200, headers={"Content-Length": "100000"}, body=b"half", cut=4), Transient),
        (RESET, Transient),
        (Reply(status=401), Misconfigured),
        (Reply(status=200, body=archive("redis", "2.1.0", {"values.yaml": "forged"})), Transient),
    ],
)
def test_a_repository_that_does_not_answer(
    repository: Repository, fake: LyingRegistry, reply: Reply, error: type[Exception]
) -> None:
    """Nothing is known of the dependency then, which is no fault of the chart; only the listed content is taken."""
    fake.lie("GET", "^/repo/redis.tgz$", reply)
    add(repository, "web", ("redis", "^2.0.0", serve(fake, archive("redis", "2.1.0")), "2.1.0"))
    repository.commit()
    with pytest.raises(error):
        clone(repository, f"{fake.address}/charts")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (errors(500, "UNKNOWN", "broken"), Transient),
        (errors(401, "UNAUTHORIZED", "who?"), Misconfigured),
        (errors(429, "TOOMANYREQUESTS", "later"), Transient),
        (Reply(status=200, headers={"Content-Type": "application/json"}, body=b'{"half'), Transient),
        (Reply(status=200, headers={"Content-Type": "text/html"}, body=b"<html>"), Transient),
        (Reply(status=200, headers={"Content-Length": "900"}, body=b"{}", cut=1), Transient),
        (RESET, Transient),
        (SILENCE, Transient),
    ],
)
def test_a_registry_that_does_not_say_pushes_nothing(
    repository: Repository, fake: LyingRegistry, reply: Reply, error: type[Exception]
) -> None:
    """Unknown is not absent: neither when charts are compared nor when they are pushed."""
    add(repository, "web")
    repository.commit()
    checkout = clone(repository, f"{fake.address}/charts")
    fake.lie("GET", "/manifests/1.0.0$", reply)
    with pytest.raises(error):
        publish(checkout, f"{fake.address}/charts")
    with pytest.raises(error):
        clone(repository, f"{fake.address}/charts")
    assert fake.count("PUT|POST", "") == 0


def test_what_is_pushed_and_lost_fails(repository: Repository, fake: LyingRegistry) -> None:
    """A registry that takes a chart and does not give it back has not published it: no tag names it."""
    add(repository, "web")
    repository.commit()
    checkout = clone(repository, f"{fake.address}/charts")
    fake.lie("GET", "/blobs/", errors(404, "BLOB_UNKNOWN", "lost"))
    with pytest.raises(Transient, match="cannot be read back"):
        publish(checkout, f"{fake.address}/charts")
    assert not [name for _, name in fake.manifests if name == "1.0.0"]
    fake.honest()
    assert publish(checkout, f"{fake.address}/charts").pushed == 1


@pytest.mark.parametrize(
    "point",
    [
        ("POST", "/uploads/$"),
        ("PUT", "/uploads/"),
        ("PUT", "/manifests/sha256:"),
        ("GET", "/manifests/sha256:"),
        ("PUT", "/base/manifests/1.0.0$"),
        ("PUT", "/web/manifests/1.0.0$"),
    ],
)
def test_a_release_may_be_killed_anywhere(repository: Repository, fake: LyingRegistry, point: tuple[str, str]) -> None:
    """What a tag names is whole, with its parents; the rerun pushes what is missing and ends with the same digests."""
    add(repository, "base")
    add(repository, "web", ("base", "1.0.0", "file://../base", "1.0.0"))
    repository.commit()
    place = f"{fake.address}/charts"
    checkout = clone(repository, place)
    results.store(checkout, Path("out/clone"))
    results.store(report(checkout), Path("out/check"))
    command = [sys.executable, "-m", "pipelines", "step", "chart-publish", "--checkout=out/clone", "--report=out/check"]
    variables = {"SHIPWAY_CHART_REGISTRY": place, "SHIPWAY_PLAIN_HTTP": fake.address}
    child = subprocess.Popen([*command, "--outputs=out/publish"], env=os.environ | variables, stderr=subprocess.DEVNULL)

    def kill(asked: Asked) -> Reply:
        child.kill()
        return Reply(status=500)

    fake.lie(*point, kill)
    assert child.wait(timeout=60) == -signal.SIGKILL
    fake.honest()
    tagged = {name for name, tag in fake.manifests if tag == "1.0.0"}
    assert tagged in (set(), {"charts/base"})
    assert not Path("out/publish/charts").exists()
    done = publish(clone(repository, place), place)
    assert done.pushed == 2 - len(tagged)
    assert [chart.digest for chart in done.charts] == [chart.digest for chart in checkout.charts]


def test_something_else_under_the_version_is_different(repository: Repository, fake: LyingRegistry) -> None:
    """An image, or an archive that cannot be read, is another content, and is never overwritten."""
    add(repository, "web")
    repository.commit()
    config = b'{"os":"linux"}'
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    fake.blobs["charts/web", digest] = config
    kind = "application/vnd.oci.image.manifest.v1+json"
    described = f'{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":{len(config)}}}'
    body = f'{{"schemaVersion":2,"mediaType":"{kind}","config":{described},"layers":[]}}'.encode()
    fake.manifests["charts/web", "1.0.0"] = (kind, body)
    [chart] = clone(repository, f"{fake.address}/charts").charts
    assert (chart.state, chart.next_version) == ("different", "1.0.1")
    assert "is not a Helm chart" in chart.differs[0]


def test_a_circle_is_named(repository: Repository, fake: LyingRegistry) -> None:
    """There is no order in which such charts could be packed."""
    add(repository, "a", ("b", "1.0.0", "file://../b", "1.0.0"))
    add(repository, "b", ("a", "1.0.0", "file://../a", "1.0.0"))
    repository.commit()
    with pytest.raises(Refused, match="circle") as caught:
        clone(repository, f"{fake.address}/charts")
    assert caught.value.seen == "a → b → a"


def test_every_fault_of_every_chart_is_in_one_report(repository: Repository, fake: LyingRegistry) -> None:
    """Sound charts are packed and compared beside broken ones; what depends on a broken chart is broken with it."""
    add(repository, "good")
    add(repository, "base", version="one")
    add(repository, "web", ("base", "1.x", "file://../base", "1.0.0"))
    add(repository, "twin/good", name="good")
    repository.write("nothing/Chart.yaml", "- no\n")
    repository.write("old/Chart.yaml", "apiVersion: v1\nname: old\nversion: 1.0.0\n").write("old/requirements.yaml", "")
    repository.write("rules/Chart.yaml", "apiVersion: v2\nname: rules\nversion: 1.0.0\n").write(
        "rules/.helmignore", "a/**\n"
    )
    repository.commit()
    checkout = clone(repository, f"{fake.address}/charts")
    assert {(f.path, f.line, f.rule) for f in checkout.findings} == {
        ("nothing/Chart.yaml", 0, "file"),
        ("old/Chart.yaml", 0, "file"),
        ("base/Chart.yaml", 4, "version"),
        ("web/Chart.yaml", 6, "dependency"),
        ("twin/good/Chart.yaml", 3, "name"),
        ("rules/Chart.yaml", 0, "file"),
    }
    assert {c.path: c.state for c in checkout.charts} == {
        "good": ABSENT,
        "base": BROKEN,
        "web": BROKEN,
        "twin/good": BROKEN,
        "rules": BROKEN,
    }


@pytest.mark.parametrize("form", ["helm", "json", "flow", "absolute"])
def test_an_index_may_be_written_in_any_way(repository: Repository, fake: LyingRegistry, form: str) -> None:
    """As Helm writes it, read by the chart's own lines alone; as JSON; in YAML's other forms; behind a login."""
    data = archive("redis", "2.1.0")
    url = f"http://{fake.address}/repo"
    entry = {"version": "v2.1.0", "urls": [f"{url}/x/redis.tgz" if form == "absolute" else "x/redis.tgz"]}
    others = {
        "redis-ha": [{"version": "2.1.0", "urls": ["ha.tgz"]}],
        "zoo": [{"version": "2.1.0", "urls": ["zoo.tgz"]}],
    }
    value = {"entries": {**others, "redis": [{"version": "2.1.1", "urls": ["new.tgz"]}, entry]}}
    body = json.dumps(value) if form == "json" else yaml.safe_dump(value, default_flow_style=form == "flow")
    fake.lie("GET", "^/repo/index.yaml$", Reply(status=302, headers={"Location": "/repo/there.yaml"}))
    fake.lie("GET", "^/repo/there.yaml$", Reply(status=200, body=body.encode()))
    fake.lie("GET", "^/repo/x/redis.tgz$", Reply(status=200, body=data))
    Path("pull").mkdir()
    login = base64.b64encode(b"ada:secret").decode()
    Path("pull/config.json").write_text(json.dumps({"auths": {fake.address: {"auth": login}}}))
    add(repository, "web", ("redis", "^2.0.0", url, "2.1.0"))
    repository.commit()
    checkout = clone(repository, f"{fake.address}/charts", docker_config=Path("pull"))
    assert checkout.findings == ()
    [part] = checkout.charts[0].embedded
    assert part.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    asked = [a for a in fake.asked if a.path.startswith("/repo/")]
    assert {a.headers.get("authorization") for a in asked} == {f"Basic {login}"}


def test_a_chart_may_be_the_whole_repository(repository: Repository, fake: LyingRegistry) -> None:
    """Its folder is the root; what it vendors is part of it; an older release of its sibling is fetched."""
    place = f"{fake.address}/charts"
    add(repository, "base", version="0.9.0")
    repository.commit()
    publish(clone(repository, place), place)
    repository.git("rm", "-r", "--quiet", "base")
    add(repository, ".", ("base", "0.x", f"oci://{place}", "0.9.0"), name="root")
    repository.write("charts/vendored/Chart.yaml", "apiVersion: v2\nname: vendored\nversion: 1.0.0\n").commit()
    checkout = clone(repository, place)
    assert checkout.findings == ()
    [chart] = checkout.charts
    assert (chart.path, chart.state, [part.file for part in chart.embedded]) == (".", ABSENT, ["charts/base-0.9.0.tgz"])
    unpacked = {path.relative_to(chart.folder).as_posix() for path in Path(chart.folder).rglob("*") if path.is_file()}
    assert unpacked == {
        "Chart.yaml",
        "Chart.lock",
        "values.yaml",
        "templates/config.yaml",
        "charts/base-0.9.0.tgz",
        "charts/vendored/Chart.yaml",
    }
    publish(checkout, place)
    assert states(clone(repository, place)) == {"root": "identical"}
