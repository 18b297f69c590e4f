"""Git against real repositories and a real server: listing refs, fetching, and failures."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError, Transient
from pipelines.tools.git import history as git_history
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.environment import GitEnvironment
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.git.submodules import check_out_submodules
from tests.git_repositories import ENVIRONMENT, Repository, content, simple
from tests.git_server import GitServer, serving

LOGIN = ("rob:ot$ci%40", "p@ss: w/ö\\rd$(id)%0a\"'&=€ ")


@pytest.fixture
def git(tmp_path: Path) -> Iterator[Git]:
    """Git without any credential."""
    with Git(GitCredentials.read(tmp_path / "no-credential", {})) as running:
        yield running


def address(server: GitServer, name: str = "app") -> RepositoryUrl:
    """Return the address of a served repository; http-backend needs its Git folder."""
    return RepositoryUrl(f"{server.url}/{name}/.git")


def credential(folder: Path, username: str, password: str, *, end: str = "\n") -> GitCredentials:
    """Write a login as in a mounted Secret."""
    folder.mkdir(parents=True)
    (folder / "username").write_text(username + end)
    (folder / "password").write_text(password + end)
    return GitCredentials.read(folder, {})


def check_out(git: Git, url: RepositoryUrl, commit: str, folder: Path) -> None:
    """Check a commit out with its submodules, into `folder`/source."""
    repository = git.fetch(url, Resolved(commit=commit, ref=""), folder / "fetched")
    repository.check_out(commit, folder / "source")
    check_out_submodules(git, repository, commit, folder / "source")


@pytest.mark.parametrize(
    ("revision", "ref", "same_as"),
    [
        ("main", "refs/heads/main", "main"),
        ("HEAD", "refs/heads/main", "main"),
        ("feature/x", "refs/heads/feature/x", "feature/x"),
        ("light", "refs/tags/light", "light"),
        ("v1.0.0", "refs/tags/v1.0.0", "main"),
        ("refs/tags/v1.0.0", "refs/tags/v1.0.0", "main"),
        ("refs/heads/main", "refs/heads/main", "main"),
        ("refs/pull/7/head", "refs/pull/7/head", "feature/x"),
        ("pull/7/head", "refs/pull/7/head", "feature/x"),
    ],
)
def test_each_form_of_a_revision_is_resolved(
    git: Git, server: GitServer, app: Repository, revision: str, ref: str, same_as: str
) -> None:
    """Branches, tags (peeled), pull requests and HEAD resolve to a commit and its full ref."""
    found = git.resolve(address(server), Revision(revision))
    assert found == Resolved(commit=app.git("rev-parse", f"{same_as}^{{commit}}"), ref=ref)
    assert git.head(address(server), ref) == found.commit
    assert git.refs(address(server)).commits[ref] == found.commit


@pytest.mark.parametrize("by_commit", [True, False])
@pytest.mark.parametrize("revision", ["main", "v1.0.0", "refs/pull/7/head", "older"])
def test_one_commit_is_fetched_and_no_history(
    git: Git, server: GitServer, app: Repository, tmp_path: Path, revision: str, by_commit: bool
) -> None:
    """A fetch is shallow if the server allows it; an old server sends heads so, other commits with their history."""
    server.by_commit = by_commit
    wanted = (
        Resolved(commit=app.git("rev-parse", "main~2"), ref="")
        if revision == "older"
        else git.resolve(address(server), Revision(revision))
    )
    repository = git.fetch(address(server), wanted, tmp_path / "fetched")
    commit = repository.commit(wanted.commit)
    assert (commit.id, commit.time) == (wanted.commit, 1700000000)
    assert commit.tree == app.git("rev-parse", f"{wanted.commit}^{{tree}}")
    commits = repository.call("rev-list", "--all", "--count").stdout.strip()
    assert commits == ("3" if revision == "older" and not by_commit else "1")
    entries = {entry.path for entry in repository.tree(wanted.commit)}
    assert {"Dockerfile", "hello"} <= entries
    assert content(repository, wanted.commit, "Dockerfile").startswith("FROM scratch\n")


def test_a_moved_branch_gives_the_resolved_commit_or_fails(
    git: Git, server: GitServer, app: Repository, tmp_path: Path
) -> None:
    """If the branch moves after it was resolved, the newer commit is never fetched in place of the resolved one."""
    server.by_commit = False
    wanted = git.resolve(address(server), Revision("main"))
    app.write("hello", "four\n").commit("Four")
    repository = git.fetch(address(server), wanted, tmp_path / "moved")
    assert content(repository, wanted.commit, "hello") == "three\n"

    app.git("checkout", "--quiet", "--orphan", "other")
    app.commit("Rewritten")
    app.git("branch", "--force", "main", "other")
    with pytest.raises(ShipwayError, match=wanted.commit) as caught:
        git.fetch(address(server), wanted, tmp_path / "forced")
    assert "refs/heads/main was moved" in str(caught.value)

    app.git("update-ref", "-d", "refs/heads/main")
    with pytest.raises(ShipwayError, match=wanted.commit):
        git.fetch(address(server), wanted, tmp_path / "deleted")


def test_a_name_of_both_a_tag_and_a_branch_is_not_guessed(git: Git, server: GitServer, app: Repository) -> None:
    """Git would silently use the tag; the message names both, and the full names still work."""
    app.git("tag", "both", "main~1")
    app.git("branch", "both", "main")
    with pytest.raises(Misuse) as caught:
        git.resolve(address(server), Revision("both"))
    assert "refs/tags/both" in str(caught.value)
    assert "refs/heads/both" in str(caught.value)
    assert git.resolve(address(server), Revision("refs/heads/both")).commit == app.git("rev-parse", "main")


def test_an_unknown_revision_names_close_ones(git: Git, server: GitServer, app: Repository) -> None:
    """The message for a typing error suggests what exists."""
    with pytest.raises(ShipwayError, match="feature/y") as caught:
        git.resolve(address(server), Revision("feature/y"))
    assert "did you mean feature/x" in str(caught.value)
    with pytest.raises(ShipwayError) as caught:
        git.resolve(address(server), Revision(app.git("rev-parse", "--short=8", "main")))
    assert "whole commit id" in str(caught.value)


def test_a_commit_that_is_nowhere_is_said_so(git: Git, server: GitServer, app: Repository, tmp_path: Path) -> None:
    """An unknown id fails on servers of either kind, and so does the id of something that is no commit."""
    for by_commit in (True, False):
        server.by_commit = by_commit
        with pytest.raises(ShipwayError, match="does not have the commit"):
            git.fetch(address(server), Resolved(commit="1" * 40, ref=""), tmp_path / "fetched")
    server.by_commit = True
    with pytest.raises(ShipwayError, match="is not a commit") as caught:
        git.fetch(address(server), Resolved(commit=app.git("rev-parse", "v1.0.0"), ref=""), tmp_path / "fetched")
    assert app.git("rev-parse", "main") in str(caught.value)


@pytest.mark.parametrize("by_commit", [True, False])
def test_a_commit_outside_a_branch_is_told_apart(
    git: Git, server: GitServer, app: Repository, tmp_path: Path, by_commit: bool
) -> None:
    """A server serves any commit it stores, forks' too, so the ref's own history is checked."""
    server.by_commit = by_commit
    impostor = app.git("commit-tree", "-m", "Fork", "-p", "main", "main^{tree}")
    for commit, expected in (("main", True), ("main~2", True), (impostor, False), ("1" * 40, False)):
        identity = commit if len(commit) == 40 else app.git("rev-parse", commit)
        assert (
            git_history.is_reachable(git, address(server), identity, "refs/heads/main", tmp_path / "history")
            is expected
        )
    if by_commit:
        assert git.fetch(address(server), Resolved(commit=impostor, ref=""), tmp_path / "fetched").has(impostor)


def test_an_empty_repository_and_a_missing_one_differ(git: Git, server: GitServer) -> None:
    """Nothing pushed yet, and no such address, need different help."""
    Repository(server.root / "empty")
    with pytest.raises(ShipwayError, match="no default branch") as caught:
        git.resolve(address(server, "empty"), Revision("HEAD"))
    assert "empty" in caught.value.seen
    with pytest.raises(ShipwayError, match="cannot read the refs") as caught:
        git.resolve(address(server, "absent"), Revision("HEAD"))
    assert type(caught.value) is ShipwayError
    assert "private repositories look missing" in caught.value.todo


def test_a_login_of_any_characters_is_taken_and_leaks_nowhere(
    server: GitServer, app: Repository, tmp_path: Path
) -> None:
    """The login reaches its host, and no command line, configuration or file while a fetch is held open."""
    server.login = LOGIN
    credentials = credential(tmp_path / "git", *LOGIN)
    with Git(credentials) as git:
        wanted = git.resolve(address(server), Revision("main"))
        server.hold, server.held = threading.Event(), threading.Event()
        failures: list[BaseException] = []

        def fetch() -> None:
            try:
                git.fetch(address(server), wanted, tmp_path / "fetched")
            except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
                failures.append(error)

        thread = threading.Thread(target=fetch)
        thread.start()
        assert server.held.wait(30)
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _is_readable(path)]
        private = [path.read_text(errors="replace") for path in git._private.rglob("*") if path.is_file()]
        server.hold.set()
        thread.join(60)
    assert not failures
    assert any(b"fetch" in line for line in lines)
    written = [path.read_bytes() for path in (tmp_path / "fetched").rglob("*") if path.is_file()]
    for secret in LOGIN:
        assert not any(secret.encode() in text for text in [*lines, *written])
        assert not any(secret in text for text in private)
    sent = {base64.b64decode(header.removeprefix("Basic ")).decode() for header in server.logins}
    assert sent == {":".join(LOGIN)}
    assert not git._private.exists()


def _is_readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def test_a_login_comes_from_the_environment_too(
    server: GitServer, app: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two variables do what the folder does, and the folder wins."""
    server.login = LOGIN
    monkeypatch.setenv("SHIPWAY_GIT_USERNAME", LOGIN[0])
    monkeypatch.setenv("SHIPWAY_GIT_PASSWORD", LOGIN[1])
    with Git(GitCredentials.read(tmp_path / "absent")) as git:
        assert git.head(address(server), "refs/heads/main") == app.git("rev-parse", "main")
    credential(tmp_path / "git", "ada", "wrong")
    with Git(GitCredentials.read(tmp_path / "git")) as git, pytest.raises(Misconfigured):
        git.head(address(server), "refs/heads/main")


def test_a_refused_login_names_the_credential(
    git: Git, server: GitServer, app: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says which folder was used, or that none was, and never shows what was in it."""
    server.login = LOGIN
    with pytest.raises(Misconfigured) as caught:
        git.resolve(address(server), Revision("main"))
    assert f"no login was used: {tmp_path / 'no-credential'}" in str(caught.value)
    with (
        Git(credential(tmp_path / "git", "ada", "hunter2")) as wrong,
        pytest.raises(Misconfigured) as caught,
    ):
        wrong.resolve(address(server), Revision("main"))
    assert f"the login in {tmp_path / 'git'} was used" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    server.login = None
    server.status = 403
    with pytest.raises(Misconfigured):
        git.resolve(address(server), Revision("main"))


def test_a_redirect_to_another_host_does_not_get_the_login(server: GitServer, tmp_path: Path) -> None:
    """A server that sends Git elsewhere learns nothing for the elsewhere."""
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other") as other:
        simple(other.root / "app")
        other.login = LOGIN
        server.redirect = other.url
        with Git(credential(tmp_path / "git", *LOGIN)) as git, pytest.raises(Misconfigured):
            git.resolve(address(server), Revision("main"))
        assert other.requests
        assert not other.logins


def test_a_redirect_on_the_same_host_is_followed(server: GitServer, app: Repository, tmp_path: Path) -> None:
    """A repository that was renamed is found under its new name."""
    server.login = LOGIN
    server.moved = ("/old/", "/app/")
    with Git(credential(tmp_path / "git", *LOGIN)) as git:
        found = git.resolve(address(server, "old"), Revision("main"))
        assert (
            content(git.fetch(address(server, "old"), found, tmp_path / "fetched"), found.commit, "hello") == "three\n"
        )


def test_a_credential_that_cannot_work_is_misconfigured(tmp_path: Path) -> None:
    """Half a login, or one with a line break, is an error before any request."""
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "username").write_text("ada")
    with pytest.raises(Misconfigured, match="user name alone"):
        GitCredentials.read(tmp_path / "half", {})
    with pytest.raises(Misconfigured, match="password"):
        credential(tmp_path / "lines", "ada", "one\ntwo")


@pytest.mark.parametrize("name", ["password", "ssh-privatekey", "known_hosts"])
def test_a_credential_that_cannot_be_read_is_misconfigured(tmp_path: Path, name: str) -> None:
    """An unreadable login is an error, not no login; what Kubernetes adds to a Secret is ignored."""
    (tmp_path / "..data").mkdir()
    GitCredentials.read(tmp_path, {})
    (tmp_path / name).mkdir()
    with pytest.raises(Misconfigured, match="cannot be read"):
        GitCredentials.read(tmp_path, {})


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_transient(git: Git, server: GitServer, app: Repository, status: int) -> None:
    """A temporary failure has its own exit code, 75."""
    server.status = status
    with pytest.raises(Transient):
        git.resolve(address(server), Revision("main"))


def test_half_an_answer_is_transient(git: Git, server: GitServer, app: Repository, tmp_path: Path) -> None:
    """A server that dies in the middle of the refs, or of the objects, gives no half checkout."""
    wanted = git.resolve(address(server), Revision("main"))
    app.write("noise", os.urandom(300_000)).commit()
    newer = git.resolve(address(server), Revision("main"))
    server.cut_post = True
    with pytest.raises(Transient):
        git.resolve(address(server), Revision("main"))
    for each in (wanted, newer):
        with pytest.raises(Transient):
            git.fetch(address(server), each, tmp_path / "fetched")


def test_no_server_is_transient(git: Git, tmp_path: Path) -> None:
    """A refused connection is temporary; a name that nobody knows is not, which a machine without names cannot tell."""
    with serving(tmp_path) as server:
        url = address(server)
    for dead in (url, RepositoryUrl(f"ssh://{url.origin[7:]}/app")):
        with pytest.raises(Transient):
            git.resolve(dead, Revision("main"))
    with pytest.raises((Misconfigured, Transient), match="cannot read the refs"):
        git.resolve(RepositoryUrl("https://git.example.invalid/app"), Revision("main"))


def test_a_server_that_never_answers_is_transient(server: GitServer, app: Repository, tmp_path: Path) -> None:
    """A held connection ends at the time limit."""
    server.hold = threading.Event()
    with Git(GitCredentials.read(tmp_path / "none", {}), ask_seconds=1) as git, pytest.raises(Transient):
        git.resolve(address(server), Revision("main"))
    assert server.held.is_set()
    with Git(GitCredentials.read(tmp_path / "none", {}), stall_seconds=1) as git, pytest.raises(Transient):
        git.resolve(address(server), Revision("main"))


def test_a_ref_that_looks_like_an_option_is_refused(git: Git, tmp_path: Path) -> None:
    """A server whose default branch is an option of Git's (a repository edited by hand) starts nothing."""
    marker = tmp_path / "marker"
    hostile = simple(tmp_path / "hostile")
    commit = hostile.git("rev-parse", "main")
    name = f"refs/heads/--upload-pack=touch${{IFS}}{marker}"
    (hostile.path / ".git/packed-refs").write_text(f"# pack-refs with: peeled fully-peeled sorted \n{commit} {name}\n")
    (hostile.path / ".git/HEAD").write_text(f"ref: {name}\n")
    url = RepositoryUrl(str(hostile.path))
    with pytest.raises(Refused, match="default branch"):
        git.resolve(url, Revision("HEAD"))
    assert not [ref for ref in git.refs(url).commits if "--" in ref]
    with pytest.raises(ShipwayError):
        git.resolve(url, Revision(name))
    assert not marker.exists()


def test_a_folder_of_somebody_else_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git refuses a folder that another user owns; naming it is enough here, and its working tree is left alone."""
    app = simple(tmp_path / "app")
    # Git's own tests use this variable, so that they need no second user.
    wrapper = tmp_path / "git"
    wrapper.write_text('#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec git "$@"\n')
    wrapper.chmod(0o755)
    refused = subprocess.run([wrapper, "ls-remote", app.path], env=ENVIRONMENT, capture_output=True, check=False)
    assert b"dubious ownership" in refused.stderr
    url = RepositoryUrl(str(app.path))
    with Git(GitCredentials.read(tmp_path / "none", {}), git=str(wrapper)) as git:
        found = git.resolve(url, Revision("main"))
        repository = git.fetch(url, found, tmp_path / "fetched")
        assert content(repository, found.commit, "hello") == "three\n"
        (app.path / "hello").write_text("four\n")
        assert git.uncommitted(url) == 1
        owner = app.path.stat().st_uid
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        assert git.uncommitted(url) == 0


def test_uncommitted_changes_are_counted_and_not_built(git: Git, tmp_path: Path) -> None:
    """A changed file and a new one are two; the repository's own configuration starts no program."""
    marker = tmp_path / "marker"
    app = simple(tmp_path / "app")
    url = RepositoryUrl(str(app.path))
    assert git.uncommitted(url) == 0
    (app.path / "hello").write_text("four\n")
    (app.path / "new file").write_text("x")
    app.git("config", "core.fsmonitor", f"touch {marker}")
    for name in ("plain", "a=b"):
        for kind in ("clean", "smudge", "process"):
            app.git("config", f"filter.{name}.{kind}", f"touch {marker}; cat")
        app.git("config", f"filter.{name}.required", "true")
    (app.path / ".git" / "info").mkdir(exist_ok=True)
    (app.path / ".git" / "info" / "attributes").write_text("* filter=plain\nhello filter=a=b\n")
    assert git.uncommitted(url) == 2
    assert not marker.exists()
    found = git.resolve(url, Revision("main"))
    assert content(git.fetch(url, found, tmp_path / "fetched"), found.commit, "hello") == "three\n"


def test_a_folder_that_is_no_repository_is_said_so(git: Git, tmp_path: Path) -> None:
    """An empty folder, a missing one and a file each give one clear message."""
    (tmp_path / "file").write_text("")
    for name in ("empty", "missing", "file"):
        if name == "empty":
            (tmp_path / name).mkdir()
        with pytest.raises(ShipwayError) as caught:
            git.resolve(RepositoryUrl(str(tmp_path / name)), Revision("main"))
        assert type(caught.value) is ShipwayError


def test_the_users_configuration_does_not_matter(
    server: GitServer, app: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rewritten addresses, hooks, filters, templates and variables of the user change nothing and start nothing."""
    marker, home = tmp_path / "marker", tmp_path / "home"
    template = tmp_path / "template" / "hooks"
    template.mkdir(parents=True)
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        (template / hook).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (template / hook).chmod(0o755)
    home.mkdir()
    (home / ".gitconfig").write_text(
        f'[url "{tmp_path}/elsewhere/"]\n\tinsteadOf = {server.url}\n'
        f"[init]\n\ttemplateDir = {template.parent}\n[core]\n\thooksPath = {template}\n\tautocrlf = true\n"
        f"\tfsmonitor = touch {marker}\n"
        f'[filter "x"]\n\tsmudge = touch {marker}\n[credential]\n\thelper = "!touch {marker}"\n'
    )
    for name, value in {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "GIT_DIR": str(tmp_path / "nowhere"),
        "GIT_WORK_TREE": str(tmp_path / "nowhere"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": str(template),
        "GIT_ASKPASS": f"touch {marker}",
        "GIT_SSH_COMMAND": f"touch {marker}",
        "GIT_EXTERNAL_DIFF": f"touch {marker}",
        "GIT_TEMPLATE_DIR": str(template.parent),
    }.items():
        monkeypatch.setenv(name, value)
    app.write(".gitattributes", "* filter=x text=auto\n").write("lines", "a\nb\n").commit()
    with Git(GitCredentials.read(tmp_path / "none", {})) as git:
        found = git.resolve(address(server), Revision("main"))
        repository = git.fetch(address(server), found, tmp_path / "fetched")
        repository.check_out(found.commit, tmp_path / "source")
    assert (tmp_path / "source" / "lines").read_bytes() == b"a\nb\n"
    assert not marker.exists()


def test_a_checkout_has_the_same_modes_under_any_umask(git: Git, tmp_path: Path) -> None:
    """A strict umask of the caller gives 644, 755 and 755 for folders all the same; links stay links."""
    app = simple(tmp_path / "app")
    found = git.resolve(RepositoryUrl(str(app.path)), Revision("main"))
    old = os.umask(0o077)
    try:
        repository = git.fetch(RepositoryUrl(str(app.path)), found, tmp_path / "fetched")
        repository.check_out(found.commit, tmp_path / "source")
    finally:
        os.umask(old)
    source = tmp_path / "source"
    modes = {
        str(path.relative_to(tmp_path)): path.lstat().st_mode & 0o777
        for path in (source, *source.rglob("*"))
        if not path.is_symlink()
    }
    assert modes == {
        "source": 0o755,
        "source/Dockerfile": 0o644,
        "source/hello": 0o755,
        "source/rootfs": 0o755,
        "source/rootfs/etc": 0o755,
    }
    assert (source / "rootfs/etc/localtime").readlink() == Path("/usr/share/zoneinfo/UTC")


@pytest.mark.parametrize(
    "name",
    [".git", ".GIT", ".Git", "git~1", ".g\u200cit", "..", ".", "a/b", ".git ", "GIT~1", ".git::$INDEX_ALLOCATION"],
)
@pytest.mark.parametrize("over", ["http", "file"])
def test_a_tree_that_reaches_into_a_git_folder_is_refused(
    git: Git, server: GitServer, tmp_path: Path, name: str, over: str
) -> None:
    """Names that some file system takes for .git, and names that leave the folder, are never written."""
    hostile = Repository(server.root / "hostile")
    config = hostile.tree({"config": ("100644", hostile.blob("[core]\n\tfsmonitor = touch marker\n"))})
    tree = hostile.tree({"Dockerfile": ("100644", hostile.blob("FROM scratch\n")), name: ("40000", config)})
    commit = hostile.commit_tree(tree)
    url = address(server, "hostile") if over == "http" else RepositoryUrl(str(hostile.path))
    with pytest.raises(Refused):
        git.fetch(url, Resolved(commit=commit, ref=""), tmp_path / "fetched").check_out(commit, tmp_path / "source")
    assert not (tmp_path / "source").exists() or not list((tmp_path / "source").rglob("config"))
    assert not list(tmp_path.glob("config"))


def test_a_link_and_a_folder_of_one_name_are_refused(git: Git, tmp_path: Path) -> None:
    """A tree with a name twice, once as a link out, does not write through the link."""
    hostile = Repository(tmp_path / "hostile")
    victim = tmp_path / "victim"
    victim.mkdir()
    link = hostile.blob(str(victim))
    inner = hostile.tree({"passwd": ("100644", hostile.blob("owned\n"))})
    entries = b"120000 a\0" + bytes.fromhex(link) + b"40000 a\0" + bytes.fromhex(inner)
    tree = hostile.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=entries)
    commit = hostile.commit_tree(tree)
    url = RepositoryUrl(str(hostile.path))
    with pytest.raises(ShipwayError):
        git.fetch(url, Resolved(commit=commit, ref=""), tmp_path / "fetched").check_out(commit, tmp_path / "source")
    assert not list(victim.iterdir())


def test_an_old_history_with_harmless_faults_is_built(git: Git, tmp_path: Path) -> None:
    """Faults that old tools left (a date without a space before it, zero-padded modes) are no reason to refuse."""
    old = Repository(tmp_path / "old")
    blob = bytes.fromhex(old.blob("FROM scratch\n"))
    inner = old.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=b"100644 x\0" + blob)
    entries = b"100644 Dockerfile\0" + blob + b"040000 folder\0" + bytes.fromhex(inner)
    tree = old.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=entries)
    text = f"tree {tree}\nauthor Ada <ada@example.org>1700000000 +0000\ncommitter Ada 1700000000 +051800\n\nOld\n"
    commit = old.git("hash-object", "-w", "-t", "commit", "--literally", "--stdin", stdin=text.encode())
    old.git("update-ref", "refs/heads/main", commit)
    url = RepositoryUrl(str(old.path))
    repository = git.fetch(url, git.resolve(url, Revision("main")), tmp_path / "fetched")
    repository.check_out(commit, tmp_path / "source")
    assert (tmp_path / "source/folder/x").read_text() == "FROM scratch\n"
    assert repository.commit(commit).tree == tree


@pytest.mark.parametrize(("date", "time"), [(-5, 0), (253402300799, 253402300799), (999999999999999, 253402300799)])
def test_a_commit_of_another_age(git: Git, tmp_path: Path, date: int, time: int) -> None:
    """Anybody may write any date into a commit; images and charts can have none after the year 9999."""
    late = Repository(tmp_path / "late").write("Dockerfile", "FROM scratch\n")
    who = f"Ada <ada@example.org> {date} +0000"
    text = f"tree {late.git('write-tree')}\nauthor {who}\ncommitter {who}\n\nLate\n"
    commit = late.git("hash-object", "-w", "-t", "commit", "--literally", "--stdin", stdin=text.encode())
    late.git("update-ref", "refs/heads/main", commit)
    url = RepositoryUrl(str(late.path))
    assert git.fetch(url, git.resolve(url, Revision("main")), tmp_path / "fetched").commit(commit).time == time


def test_a_repository_of_sha256_is_fetched(git: Git, tmp_path: Path, server: GitServer) -> None:
    """The newer object format works as the older one does."""
    newer = Repository(server.root / "newer", "--object-format=sha256")
    commit = newer.write("Dockerfile", "FROM scratch\n").commit()
    found = git.resolve(address(server, "newer"), Revision("main"))
    assert found.commit == commit
    assert len(commit) == 64
    assert content(git.fetch(address(server, "newer"), found, tmp_path / "fetched"), commit, "Dockerfile")


def test_submodules_are_checked_out_at_their_commits(git: Git, server: GitServer, tmp_path: Path) -> None:
    """A relative and a nested submodule come shallow, without .git files; unnamed folders stay empty without asking."""
    deep = Repository(server.root / "deep").write("deep", "deep\n")
    deep_commit = deep.commit()
    lib = Repository(server.root / "lib").write("lib", "old\n")
    lib.submodule("inner/deep", "../../deep/.git", deep_commit)
    lib_commit = lib.commit()
    lib.write("lib", "new\n").commit()
    app = simple(server.root / "app").submodule("vendor/lib", "../../lib/.git", lib_commit)
    commit = app.commit()
    repository = git.fetch(address(server), Resolved(commit=commit, ref=""), tmp_path / "fetched")
    repository.check_out(commit, tmp_path / "source")
    assert not list((tmp_path / "source/vendor/lib").iterdir())
    check_out_submodules(git, repository, commit, tmp_path / "source")
    assert (tmp_path / "source/vendor/lib/lib").read_text() == "old\n"
    assert (tmp_path / "source/vendor/lib/inner/deep/deep").read_text() == "deep\n"
    assert not list((tmp_path / "source").rglob(".git"))
    assert not list(tmp_path.glob("fetched.*"))


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("vendor", "../../../../../etc"),
        ("vendor", "ext::sh -c touch% marker"),
        ("vendor", "file:///etc"),
        ("vendor", "/etc"),
        ("vendor", "-u./payload"),
        ("vendor", "ssh://-oProxyCommand=touch/x"),
        ("vendor", "https://ada:hunter2@example.org/x"),
        ("vendor\r", "../../lib/.git"),
        ("other", "../../lib/.git"),
    ],
)
def test_a_hostile_submodule_is_refused(
    git: Git, server: GitServer, tmp_path: Path, path: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Addresses that run programs or read this machine, and paths that play tricks, are refused by name."""
    monkeypatch.chdir(tmp_path)
    lib_commit = Repository(server.root / "lib").write("lib", "old\n").commit()
    hostile = Repository(server.root / "hostile")
    hostile.git("update-index", "--add", "--cacheinfo", f"160000,{lib_commit},{path.replace('other', 'vendor')}")
    hostile.write(".gitmodules", f'[submodule "x"]\n\tpath = "{path}"\n\turl = "{url}"\n\tupdate = !touch marker\n')
    commit = hostile.commit()
    with pytest.raises(ShipwayError) as caught:
        check_out(git, address(server, "hostile"), commit, tmp_path)
    assert type(caught.value) is not Transient
    assert "hunter2" not in str(caught.value)
    assert not (tmp_path / "marker").exists()


def test_a_submodule_of_another_host_gets_no_login(tmp_path: Path) -> None:
    """The host of the repository gets the login for it and for its submodules, whoever else asks for one."""
    login = credential(tmp_path / "git", *LOGIN)
    with serving(tmp_path / "own") as own, serving(tmp_path / "other") as other, Git(login) as git:
        own.login = other.login = LOGIN
        inner = {}
        for server in (own, other):
            inner[server.url] = Repository(server.root / "lib").write("lib", "lib\n").commit()
        app = Repository(own.root / "app").submodule("vendor/own", "../../lib/.git", inner[own.url])
        check_out(git, address(own), app.commit(), tmp_path / "honest")
        stolen = app.submodule("vendor/other", f"{other.url}/lib/.git", inner[other.url]).commit()
        with pytest.raises(Refused, match="a file names that host") as caught:
            check_out(git, address(own), stolen, tmp_path / "hostile")
        assert other.requests
        assert other.logins == []
        assert LOGIN[1] not in str(caught.value)


def test_submodules_in_a_circle_end(git: Git, server: GitServer, tmp_path: Path) -> None:
    """A repository that has itself as a submodule, commit after commit, is refused and not followed for ever."""
    circle = Repository(server.root / "circle").write("x", "0")
    commit = circle.commit()
    for number in range(10):
        circle.submodule("again", "../.git", commit)
        (circle.path / ".gitmodules").write_text('[submodule "again"]\n\tpath = again\n\turl = ./\n')
        commit = circle.write("x", str(number)).commit()
    with pytest.raises(Refused, match="nested too deep"):
        check_out(git, address(server, "circle"), commit, tmp_path)


def test_control_characters_of_a_server_do_not_reach_the_terminal(git: Git, server: GitServer, tmp_path: Path) -> None:
    """What a server says is shown without escape sequences."""
    hook = Repository(server.root / "talking").path / ".git" / "HEAD"
    hook.write_text("\x1b[31m\x07nonsense\n")
    with pytest.raises(ShipwayError) as caught:
        git.resolve(address(server, "talking"), Revision("main"))
    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)


def test_a_missing_git_is_misconfigured(tmp_path: Path) -> None:
    """A machine without Git is told so, with exit code 78."""
    absent = Git(GitCredentials.read(tmp_path / "none", {}), git="git-that-is-not-there")
    with absent as git, pytest.raises(Misconfigured):
        git.resolve(RepositoryUrl("https://example.org/x"), Revision("main"))


def test_calls_side_by_side_do_not_meet(tmp_path: Path) -> None:
    """Each has settings of its own, whichever repository another call is about, and never half of them."""
    environment = GitEnvironment(tmp_path, GitCredentials.read(tmp_path / "none", {}), ca_file=None, stall_seconds=1)
    urls = [RepositoryUrl(str(tmp_path / f"repository-{number % 4}")) for number in range(64)]
    with ThreadPoolExecutor(max_workers=16) as pool:
        found = list(pool.map(lambda url: Path(environment.variables(url)["GIT_CONFIG_GLOBAL"]).read_text(), urls))
    for url, text in zip(urls, found, strict=True):
        assert text.endswith(f'[safe]\n\tdirectory = "{url}"\n[safe]\n\tdirectory = "{url}/.git"\n')
    assert len(list(tmp_path.glob("config-*"))) == 4
