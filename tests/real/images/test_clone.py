"""The step `clone`: a commit and what its Dockerfile depends on, from real repositories and a real registry."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.engines.embedded import base_image
from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError, Transient
from pipelines.images import platforms
from pipelines.images.model import Checkout
from pipelines.step import results
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.reference import Digest, Reference
from tests.build_workspace import derived
from tests.git_repositories import Repository, simple
from tests.git_server import serving
from tests.registry_process import registry
from tests.steps import step

clone = step("clone", Checkout)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace, and the process in it."""
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")
    return tmp_path / "workspace"


@pytest.fixture
def app(tmp_path: Path) -> Repository:
    """The simple repository, whose Dockerfile depends on nothing."""
    return simple(tmp_path / "app")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A registry, and the layout that images are pushed to it from."""
    folder = tmp_path_factory.mktemp("registry")
    with registry(folder) as running:
        yield running, folder / "layout"


def publish(shared: tuple[str, Path], name: str) -> Digest:
    """Put the static busybox into the registry under `name:tag` and return its digest."""
    address, folder = shared
    client = Registry(Credentials(), plain_http=frozenset({address}))
    layout = Layout.create(folder)
    descriptor = base_image.write(layout, base_image.find_busybox())
    to = Reference.parse(f"{address}/{name}")
    client.push(layout, descriptor, to)
    client.tag(to.with_digest(descriptor.digest), to.tag)
    return descriptor.digest


def names(folder: Path) -> set[str]:
    """Return every file and link below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


def shipway(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `shipway step clone` as a pod does."""
    command = [sys.executable, "-m", "pipelines", "step", "clone", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_a_commit_is_checked_out_and_told(app: Repository, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The result names the commit, its time and tree; the workspace holds its files, and no trace of Git."""
    got = clone(repo=str(app.path), revision="v1.0.0")
    commit = app.git("rev-parse", "main")
    assert got == Checkout(
        repo=str(app.path),
        revision="v1.0.0",
        ref="refs/tags/v1.0.0",
        commit=commit,
        time=1700000000,
        tree=app.git("rev-parse", "main^{tree}"),
        path=".",
        dockerfile="Dockerfile",
        target="",
        build_args=(),
        platform=platforms.this_platform(),
        bases=(),
        name="app",
    )
    assert names(workspace / "source") == {"Dockerfile", "hello", "rootfs/etc/localtime"}
    assert {path.name for path in workspace.iterdir()} == {"source", "bases", ".source.made-by-shipway"}
    assert f"refs/tags/v1.0.0 at {commit}" in capsys.readouterr().err


def test_the_second_run_replaces_the_first(app: Repository, workspace: Path) -> None:
    """What a run that was killed left behind has no part in the next, and an equal run gives an equal result."""
    first = clone(repo=str(app.path))
    (workspace / "source" / "left-over").write_text("x")
    (workspace / ".source.work" / "git").mkdir(parents=True)
    (workspace / "bases" / "blobs" / "partial-1").write_text("x")
    assert clone(repo=str(app.path)) == first
    assert names(workspace / "source") == {"Dockerfile", "hello", "rootfs/etc/localtime"}
    assert names(workspace / "bases") == {"oci-layout", "index.json"}


@pytest.mark.parametrize("source", [".", "..", "../app", "link"])
def test_a_folder_that_is_not_ours_is_never_removed(app: Repository, workspace: Path, source: str) -> None:
    """A wrong --source costs nobody their files."""
    (workspace / "mine").mkdir()
    (workspace / "mine" / "thesis").write_text("x")
    (workspace / "link").symlink_to("mine")
    before = names(workspace) | names(app.path)
    with pytest.raises(Misuse, match=r"in the way|made anew"):
        clone(repo=str(app.path), source=Path(source))
    assert names(workspace) | names(app.path) == before


def test_every_base_is_fetched_by_digest(
    app: Repository, workspace: Path, shared: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """FROM, COPY --from and RUN --mount count, arguments are filled in, and one image under two names comes once."""
    address = shared[0]
    digest = publish(shared, "busybox:static")
    app.write(
        "web/Dockerfile",
        f"ARG BASE=absent:1\nFROM ${{BASE}} AS one\nFROM {address}/busybox:static\n"
        f"COPY --from=one /bin /bin\nCOPY --from={address}/busybox@{digest} /etc /etc\n"
        f"RUN --mount=type=bind,from={address}/busybox:static,target=/x true\n",
    ).commit()
    base = f"{address}/busybox:static"
    mirrors = f"mirrored.example={address}"
    given = ("BASE=mirrored.example/busybox:static",)
    got = clone(repo=str(app.path), path="web", build_args=given, plain_http=address, mirrors=mirrors)
    assert [(b.name, b.reference, b.digest, b.resolved, b.sibling) for b in got.bases] == [
        ("mirrored.example/busybox:static", "mirrored.example/busybox:static", digest, digest, False),
        (base, base, digest, digest, False),
        (f"{address}/busybox@{digest}", f"{address}/busybox@{digest}", digest, digest, False),
    ]
    layout = Layout(workspace / "bases")
    assert layout.named(str(digest)).digest == digest
    manifest = layout.json(digest)
    assert all(layout.has(Digest(item["digest"])) for item in (manifest["config"], *manifest["layers"]))
    assert f"{base}@{digest}" in capsys.readouterr().err
    assert (got.path, got.dockerfile) == ("web", "web/Dockerfile")


@pytest.mark.parametrize("form", ["base", "{registry}/team/base", "{registry}/team/base:1.2", "${{NAME}}"])
def test_a_parent_is_this_commits_image(app: Repository, workspace: Path, shared: tuple[str, Path], form: str) -> None:
    """Each way to name a sibling means the image that this very commit gave; without it the build does not start."""
    address = shared[0]
    name = form.format(registry=address)
    app.write("base/Dockerfile", "FROM scratch\n").write("base2/base/Dockerfile.txt", "")
    app.write("web/Dockerfile", f"ARG NAME=base\n# {form}\nFROM {name}\n")
    commit = app.commit(form)
    with pytest.raises(ShipwayError, match="web/Dockerfile:3: the parent base is not published") as caught:
        clone(repo=str(app.path), path="web", registry=address, project="team", plain_http=address)
    assert commit in str(caught.value)
    digest = publish(shared, f"team/base:git-{commit}")
    got = clone(repo=str(app.path), path="web", registry=address, project="team", plain_http=address)
    assert [(b.reference, b.digest, b.sibling) for b in got.bases] == [
        (f"{address}/team/base:git-{commit}", digest, True)
    ]


def test_a_sibling_of_another_name_than_its_folder(app: Repository, workspace: Path, shared: tuple[str, Path]) -> None:
    """shipway.yaml names it; and an ignored folder holds no sibling, so its name means the public image."""
    address = shared[0]
    app.write("one/Dockerfile", "FROM scratch\n").write("tests/base/Dockerfile", "FROM scratch\n")
    app.write("shipway.yaml", "ignore: [tests]\nimages: {one: {name: base}}\n")
    commit = app.write("web/Dockerfile", "FROM base\n").commit()
    digest = publish(shared, f"team/base:git-{commit}")
    got = clone(repo=str(app.path), path="web", registry=address, project="team", plain_http=address)
    assert [(b.name, b.digest, b.sibling) for b in got.bases] == [("base", digest, True)]


def test_a_parent_whose_name_several_images_have(app: Repository, workspace: Path, shared: tuple[str, Path]) -> None:
    """It is refused with its line, and so is each of them; the same name elsewhere is somebody else's image."""
    address = shared[0]
    app.write("x/twin/Dockerfile", "FROM scratch\n").write("y/twin/Dockerfile", "FROM scratch\n")
    app.write("web/Dockerfile", "\nFROM twin\n").write("api/Dockerfile", f"FROM {address}/other/twin:1\n").commit()
    digest = publish(shared, "other/twin:1")
    settings = {"repo": str(app.path), "registry": address, "project": "team", "plain_http": address}
    with pytest.raises(Refused, match=r"^web/Dockerfile:2: twin may be one of several images of this repository"):
        clone(path="web", **settings)
    with pytest.raises(Refused, match=r"^x/twin/Dockerfile: another image has the same name, twin") as caught:
        clone(path="x/twin", **settings)
    assert caught.value.seen == "x/twin/Dockerfile, y/twin/Dockerfile"
    assert clone(path="x/twin", name="other", **settings).path == "x/twin"
    assert [(b.digest, b.sibling) for b in clone(path="api", **settings).bases] == [(digest, False)]


def test_what_a_plan_found_is_taken(app: Repository, workspace: Path, shared: tuple[str, Path]) -> None:
    """A base by the digest that its key counted, though its tag
    moved; a sibling by its key, whatever its folder is called.
    """
    address = shared[0]
    key = "a" * 64
    digest = publish(shared, f"team/tools:key-{key}")
    app.write("utilities/Dockerfile", "FROM scratch\n").write(
        "web/Dockerfile", f"FROM {address}/moved:1\nCOPY --from=tools / /\n"
    )
    app.commit()
    publish(shared, "moved:2")
    pins = (f"{address}/moved:1={digest}", f"tools=key-{key}")
    settings = {"registry": address, "project": "team", "plain_http": address}
    got = clone(repo=str(app.path), path="web", pins=pins, **settings)
    assert [(b.name, b.reference, b.digest, b.sibling) for b in got.bases] == [
        (f"{address}/moved:1", f"{address}/moved:1", digest, False),
        ("tools", f"{address}/team/tools:key-{key}", digest, True),
    ]
    with pytest.raises(ShipwayError, match="the parent tools is not published"):
        clone(repo=str(app.path), path="web", pins=(pins[0], f"tools=key-{'b' * 64}"), **settings)


def test_a_parent_that_hides_a_public_image_is_reported(
    app: Repository, workspace: Path, shared: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """`FROM nginx` beside a folder nginx means the folder, and says so."""
    app.write("nginx/Dockerfile", "FROM scratch\n").write("web/Dockerfile", "FROM nginx\n")
    publish(shared, f"nginx:git-{app.commit()}")
    clone(repo=str(app.path), path="web", registry=shared[0], plain_http=shared[0])
    assert "web/Dockerfile:1: nginx is this repository's image" in capsys.readouterr().err


def test_bases_are_fetched_once_where_there_is_a_cache(
    app: Repository, workspace: Path, shared: tuple[str, Path]
) -> None:
    """A second image takes a base from the cache; what is damaged there is fetched again, and then whole there, too."""
    digest = publish(shared, "kept:1")
    app.write("web/Dockerfile", f"FROM {shared[0]}/kept:1\n").commit()
    cache = workspace / "cache"
    cache.mkdir()
    kept = Layout(cache / "layers")
    log = shared[1].parent / "registry" / "log"

    def fetched() -> int:
        before = log.stat().st_size
        shutil.rmtree(workspace / "bases", ignore_errors=True)
        got = clone(repo=str(app.path), path="web", plain_http=shared[0], cache=cache)
        bases = Layout(workspace / "bases")
        assert [base.digest for base in got.bases] == [digest]
        manifest = bases.json(digest)
        for entry in (manifest["config"], *manifest["layers"]):
            blob = Digest(entry["digest"])
            assert Digest.of(bases.blob(blob).read_bytes()) == Digest.of(kept.blob(blob).read_bytes()) == blob
        text = log.read_bytes()[before:].decode()
        return len(re.findall(r'"GET /v2/kept/blobs/', text))

    assert fetched() == 2
    assert fetched() == 0
    layer = Layout(workspace / "bases").json(digest)["layers"][0]
    damaged = kept.blob(Digest(layer["digest"]))
    damaged.unlink()
    damaged.write_bytes(b"x" * layer["size"])
    assert fetched() == 1
    assert fetched() == 0


def test_a_name_in_another_spelling_is_fetched(app: Repository, workspace: Path, shared: tuple[str, Path]) -> None:
    """BuildKit reads `FROM=` in a mount as a name, so `clone` fetches it, and it is a base of the build."""
    digest = publish(shared, "moving:1")
    name = f"{shared[0]}/moving:1"
    app.write("Dockerfile", f"FROM scratch\nRUN --mount=type=bind,FROM={name},target=/m cat /m/v > /v\n").commit()
    got = clone(repo=str(app.path), plain_http=shared[0])
    assert [(base.name, base.digest) for base in got.bases] == [(name, digest)]


def test_a_trigger_that_names_an_image_is_refused(app: Repository, workspace: Path, shared: tuple[str, Path]) -> None:
    """What a base's ONBUILD copies from would be looked up by nobody but the builder."""
    address, folder = shared
    publish(shared, "plain:1")
    layout = Layout.create(folder)
    made = derived(
        layout, base_image.write(layout, base_image.find_busybox()), {"a": "b"}, OnBuild=["COPY --from=x /a /"]
    )
    client = Registry(Credentials(), plain_http=frozenset({address}))
    to = Reference.parse(f"{address}/triggers:1")
    client.push(layout, made, to)
    client.tag(to.with_digest(made.digest), to.tag)
    app.write("Dockerfile", f"# a comment\nFROM {address}/plain:1\nFROM {address}/triggers:1\n").commit()
    with pytest.raises(Refused, match=r"^Dockerfile:3: a trigger of the image names an image or a stage"):
        clone(repo=str(app.path), plain_http=shared[0])


def test_disorder_elsewhere_in_the_tree_is_no_concern(
    app: Repository, workspace: Path, shared: tuple[str, Path]
) -> None:
    """Two folders of one name, and names that no image can have, do not stop the build of another image."""
    publish(shared, "busybox:static")
    for folder in ("a/same", "b/same", "Bad Name"):
        app.write(f"{folder}/Dockerfile", "FROM scratch\n")
    app.write("web/Dockerfile", f"FROM {shared[0]}/busybox:static\n").commit()
    assert len(clone(repo=str(app.path), path="web", plain_http=shared[0]).bases) == 1


def test_a_base_that_cannot_be_had_names_its_line(app: Repository, workspace: Path, shared: tuple[str, Path]) -> None:
    """An absent image, a name that is none, an unset registry and a silent one each tell where they are written."""
    for text, error, code in (
        (f"FROM {shared[0]}/absent:1\n", "there is no image", 1),
        ("FROM Upper/Case\n", "not a repository's name", 2),
        ("FROM base\n", "no registry is set", 78),
    ):
        app.write("base/Dockerfile", "FROM scratch\n").write("web/Dockerfile", f"# first\n{text}").commit()
        with pytest.raises(ShipwayError, match=error) as caught:
            clone(repo=str(app.path), path="web", plain_http=shared[0])
        assert "web/Dockerfile:2" in str(caught.value)
        assert caught.value.exit_code == code


@pytest.mark.parametrize(
    ("link", "target", "arguments"),
    [
        ("web/Dockerfile", "/etc/passwd", {"path": "web"}),
        ("web/Dockerfile", "../../../secret", {"path": "web"}),
        ("web", "/etc", {"path": "web", "dockerfile": "Dockerfile"}),
        ("web", "../..", {"path": "web", "dockerfile": "Dockerfile"}),
        ("deep", "..", {"path": "deep/deep", "dockerfile": "Dockerfile"}),
        (".dockerignore", "/etc/passwd", {}),
        (".containerignore", "../secret", {}),
        ("Dockerfile.dockerignore", "/etc/passwd", {}),
        ("shipway.yaml", "../../secret", {}),
        ("shipway.yaml", "shipway.yaml", {}),
    ],
)
def test_a_link_that_would_be_followed_out_is_refused(
    app: Repository, workspace: Path, link: str, target: str, arguments: dict[str, str]
) -> None:
    """Whatever is opened by name stays in the checkout, or nothing is built."""
    (workspace / "secret").write_text("FROM scratch\n")
    app.link(link, target).commit()
    with pytest.raises(Refused) as caught:
        clone(repo=str(app.path), **arguments)
    assert link.partition("/")[0] in str(caught.value)


def test_a_link_inside_is_followed_and_others_stay(app: Repository, workspace: Path) -> None:
    """A Dockerfile that links to another of the repository works; a root file system's links are data."""
    app.link("web/Dockerfile", "../Dockerfile").link("rootfs/etc/mtab", "../../../proc/mounts").commit()
    got = clone(repo=str(app.path), path="web")
    assert got.dockerfile == "web/Dockerfile"
    assert (workspace / "source/rootfs/etc/mtab").readlink() == Path("../../../proc/mounts")


def test_a_missing_dockerfile_names_those_there_are(app: Repository, workspace: Path) -> None:
    """A wrong path or file is answered with what the commit has."""
    app.write("images/web/Dockerfile", "FROM scratch\n").commit()
    with pytest.raises(ShipwayError, match="no folder images/wob") as caught:
        clone(repo=str(app.path), path="images/wob")
    assert "images/web" in caught.value.todo
    with pytest.raises(ShipwayError, match="no file images/Dockerfile") as caught:
        clone(repo=str(app.path), path="images")
    assert "images/web/Dockerfile" in caught.value.todo


@pytest.mark.parametrize(
    "arguments",
    [
        {"repo": "--upload-pack=touch marker"},
        {"repo": "ext::sh -c touch% marker"},
        {"repo": "ssh://-oProxyCommand=touch marker/x"},
        {"repo": "https://example.org/a\nb"},
        {"revision": "--upload-pack=touch marker"},
        {"revision": "main:refs/heads/x"},
        {"revision": "a\x1bb"},
        {"path": "../etc"},
        {"path": "/etc"},
        {"path": ".git/hooks"},
        {"dockerfile": "../../Dockerfile"},
        {"platform": "linux/amd64;x"},
        {"build_args": ("HOME",)},
        {"build_args": ("=x",)},
        {"pins": ("base=1.0",)},
        {"pins": ("base=sha256:1",)},
        {"pins": ("base=key-../x",)},
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    app: Repository, workspace: Path, arguments: dict[str, str | tuple[str, ...]]
) -> None:
    """Bad input of each kind ends with exit code 2 before anything is touched."""
    with pytest.raises(Misuse):
        clone(**{"repo": str(app.path)} | arguments)
    assert not list(workspace.iterdir())


def test_uncommitted_changes_are_mentioned(
    app: Repository, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Work that was not committed is not built in silence, but where a commit is named."""
    (app.path / "hello").write_text("four\n")
    clone(repo=str(app.path))
    assert "1 uncommitted change in" in capsys.readouterr().err
    assert (workspace / "source/hello").read_text() == "three\n"
    clone(repo=str(app.path), revision=app.git("rev-parse", "main"))
    assert "uncommitted change" not in capsys.readouterr().err


def test_submodules_only_where_asked(tmp_path: Path, workspace: Path) -> None:
    """A submodule's folder is empty unless it was asked for."""
    with serving(tmp_path) as server:
        lib_commit = Repository(tmp_path / "lib").write("code", "x\n").commit()
        app = simple(tmp_path / "app").submodule("vendor/lib", "../../lib/.git", lib_commit)
        app.commit()
        clone(repo=f"{server.url}/app/.git")
        assert not list((workspace / "source/vendor/lib").iterdir())
        clone(repo=f"{server.url}/app/.git", submodules=True)
    assert (workspace / "source/vendor/lib/code").read_text() == "x\n"
    assert not (workspace / ".source.work").exists()


def test_settings_of_submodules_are_read_to_their_bound(tmp_path: Path, workspace: Path) -> None:
    """A .gitmodules is a file that people write; nothing is fetched for a larger one."""
    with serving(tmp_path) as server:
        app = simple(tmp_path / "app").submodule("vendor/lib", "../../lib/.git", "1" * 40)
        text = (app.path / ".gitmodules").read_text()
        app.write(".gitmodules", text + "#" * ((1 << 20) + 1 - len(text))).commit()
        with pytest.raises(Refused, match=r"\.gitmodules of .* is too large"):
            clone(repo=f"{server.url}/app/.git", submodules=True)


def large(tmp_path: Path, content: bytes) -> tuple[Repository, str, str]:
    """Return a repository with a pointer to a large file, whose
    .lfsconfig points elsewhere; the pointer; its SHA-256.
    """
    identity = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{identity}\nsize {len(content)}\n"
    app = simple(tmp_path / "app").write("model.bin", pointer).write(".gitattributes", "*.bin filter=lfs -text\n")
    app.write(".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:1/elsewhere\n").commit()
    return app, pointer, identity


def test_large_files_only_where_asked(
    tmp_path: Path, workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pointer is built and mentioned, or the file is fetched
    from the repository's own host, or git-lfs is missing.
    """
    content = os.urandom(100_000)
    app, pointer, identity = large(tmp_path, content)
    file = workspace / "source/model.bin"
    (tmp_path / "git").mkdir()
    (tmp_path / "git/username").write_text("rob$ot")
    (tmp_path / "git/password").write_text("p:ä ss")
    with serving(tmp_path) as server:
        server.login = ("rob$ot", "p:ä ss")
        server.large_files[identity] = content
        clone(repo=f"{server.url}/app/.git")
        assert file.read_text() == pointer
        assert "Git LFS" in capsys.readouterr().err
        clone(repo=f"{server.url}/app/.git", lfs=True)
        assert file.read_bytes() == content
        assert file.stat().st_mode & 0o777 == 0o644
    store = app.path / ".git/lfs/objects" / identity[:2] / identity[2:4]
    store.mkdir(parents=True)
    (store / identity).write_bytes(content)
    clone(repo=str(app.path))
    clone(repo=str(app.path), lfs=True)
    assert file.read_bytes() == content
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Misconfigured, match="git-lfs"):
        clone(repo=str(app.path), lfs=True)


def test_large_files_that_cannot_be_had_fail_the_checkout(tmp_path: Path, workspace: Path) -> None:
    """A busy server may pass, a refused login does not, and an
    absent file is neither; no pointer is built in its place.
    """
    app, _, _ = large(tmp_path, b"content")
    with serving(tmp_path) as server:
        for status, kind in ((503, Transient), (403, Misconfigured), (0, ShipwayError)):
            server.lfs_status = status
            with pytest.raises(ShipwayError, match="cannot check out") as caught:
                clone(repo=f"{server.url}/app/.git", lfs=True)
            assert type(caught.value) is kind
    assert app.git("status", "--porcelain") == ""


def test_a_file_that_is_too_large_for_a_dockerfile_is_refused(app: Repository, workspace: Path) -> None:
    """A Dockerfile that would fill the memory is not read."""
    app.write("Dockerfile", b"#" * (5 << 20)).commit()
    with pytest.raises(Refused, match="is not a Dockerfile"):
        clone(repo=str(app.path))


def test_the_command_line_gives_the_same(app: Repository, workspace: Path) -> None:
    """`shipway step clone` stores each result, or prints one JSON object, and logs to stderr alone."""
    done = shipway(f"--repo={app.path}", "--revision=feature/x", "--outputs=out/clone", cwd=workspace)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    stored = results.load(Checkout, workspace / "out/clone")
    assert stored.commit == app.git("rev-parse", "feature/x")
    printed = shipway(f"--repo={app.path}", "--revision=feature/x", cwd=workspace)
    assert json.loads(printed.stdout)["commit"] == stored.commit
    assert stored == clone(repo=str(app.path), revision="feature/x")


def test_each_kind_of_failure_has_its_exit_code(app: Repository, workspace: Path, tmp_path: Path) -> None:
    """A script can tell misuse, refusal, a silent server and a refused login apart; no outputs are left."""
    with serving(tmp_path / "nowhere") as server:
        dead = server.url
    with serving(tmp_path) as server:
        server.login = ("ada", "right")
        app.link("shipway.yaml", "/etc/passwd").commit()
        (tmp_path / "git").mkdir()
        (tmp_path / "git" / "password").write_text("hunter2")
        for repo, code in (("-x", 2), (str(app.path), 3), (f"{dead}/app/.git", 75), (f"{server.url}/app/.git", 78)):
            done = shipway(f"--repo={repo}", "--outputs=out/clone", cwd=workspace)
            assert done.returncode == code, done.stderr
            assert not done.stdout
            assert "Traceback" not in done.stderr
            assert "hunter2" not in done.stderr
            assert not (workspace / "out").exists()
        assert server.logins


def test_a_killed_run_is_finished_by_the_next(app: Repository, workspace: Path, tmp_path: Path) -> None:
    """kill -9 while the server holds the fetch leaves nothing that a rerun stumbles over."""
    with serving(tmp_path) as server:
        repo = f"{server.url}/app/.git"
        whole = clone(repo=repo)
        server.hold = threading.Event()
        command = [sys.executable, "-m", "pipelines", "step", "clone", f"--repo={repo}", "--revision=" + whole.commit]
        with subprocess.Popen(command, cwd=workspace, stderr=subprocess.DEVNULL, start_new_session=True) as child:
            assert server.held.wait(60)
            os.kill(child.pid, signal.SIGKILL)
        server.hold.set()
        server.hold = None
        assert clone(repo=repo) == whole
    assert names(workspace / "source") == {"Dockerfile", "hello", "rootfs/etc/localtime"}


def test_a_registry_that_is_silent_is_transient(
    app: Repository, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody at the base's address: it is asked several times, and the same command may succeed later."""
    waits: list[float] = []
    monkeypatch.setattr("pipelines.tools.registry.connection.time.sleep", waits.append)
    with serving(tmp_path / "nowhere") as server:
        dead = server.url.removeprefix("http://")
    app.write("Dockerfile", f"FROM {dead}/busybox\n").commit()
    with pytest.raises(Transient, match="Dockerfile:1"):
        clone(repo=str(app.path), plain_http=dead)
    assert waits
