"""Commits without a working tree, and pushes that never undo anybody's work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import Misconfigured, Refused, ShipwayError
from pipelines.tools.git import write_back
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.git.repository import GitRepository
from pipelines.tools.git.write_back import Author
from tests import git_server
from tests.git_repositories import Repository

AUTHOR = Author(name="Shipway", email="shipway@example.org")
MAIN = "refs/heads/main"


@pytest.fixture
def git(tmp_path: Path) -> Iterator[Git]:
    """Git without a login."""
    with Git(GitCredentials.read(tmp_path / "none")) as found:
        yield found


def remote(path: Path) -> Repository:
    """Return a repository that accepts pushes, whose attributes would change every file in a checkout."""
    repository = Repository(path)
    repository.git("config", "receive.denyCurrentBranch", "ignore")
    repository.git("config", "uploadpack.allowFilter", "true")
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    repository.write("dev/run", b"one\ntwo\r\n\xff", mode=0o755).write("keep", "kept")
    repository.write(".gitattributes", "dev/* text eol=crlf working-tree-encoding=UTF-16LE-BOM ident\n")
    # Stored as it is, whatever the attributes say.
    raw = repository.git("hash-object", "-w", "--no-filters", "--stdin", stdin=b"one\ntwo\r\n\xff")
    repository.git("update-index", "--cacheinfo", f"100755,{raw},dev/run")
    repository.commit()
    return repository


def fetched(git: Git, url: RepositoryUrl, folder: Path) -> tuple[GitRepository, str]:
    """Fetch a repository's tree, and the file that is to change."""
    head = git.head(url, MAIN)
    assert head
    repository = git.fetch(url, Resolved(commit=head, ref=MAIN), folder, with_files=False)
    git.fetch_files(repository, [entry.id for entry in repository.tree(head) if entry.path == "dev/run"])
    return repository, head


def made(repository: GitRepository, onto: str, data: bytes, path: str = "dev/run") -> str:
    """Return a commit that changes one file."""
    return write_back.commit(repository, onto, {path: data}, message="Move\n", author=AUTHOR)


@pytest.mark.parametrize("over_http", [False, True])
def test_one_file_of_a_commit_changes_byte_for_byte(git: Git, tmp_path: Path, over_http: bool) -> None:
    """Bytes and mode stay as they are, and no other file is fetched."""
    origin = remote(tmp_path / "origin")
    origin.git("config", "http.receivepack", "true")
    with git_server.serving(tmp_path) as server:
        url = RepositoryUrl(f"{server.url}/origin" if over_http else str(origin.path))
        repository, head = fetched(git, url, tmp_path / "git")
        entries = [entry for entry in repository.tree(head) if entry.path == "dev/run"]
        assert repository.contents(entries, most_bytes=10) == {"dev/run": b"one\ntwo\r\n\xff"}
        assert repository.contents(entries, most_bytes=9) == {}
        new = made(repository, head, b"three\r\n\n\xfe")
        assert git.push(repository, new, MAIN, expected=head)
    assert git.head(url if not over_http else RepositoryUrl(str(origin.path)), MAIN) == new
    assert origin.git("show", "--format=%an <%ae>%n%B", "--stat", new).split("\n")[:2] == [
        "Shipway <shipway@example.org>",
        "Move",
    ]
    assert origin.git("diff", "--name-only", head, new) == "dev/run"
    assert origin.git("ls-tree", new, "dev/run").startswith("100755")
    assert origin.git("rev-parse", f"{new}:dev/run") == origin.git("hash-object", "--stdin", stdin=b"three\r\n\n\xfe")
    if over_http:
        assert repository.call("cat-file", "-e", f"{head}:keep").code != 0


def test_a_push_takes_nothing_away(git: Git, tmp_path: Path) -> None:
    """A branch that has moved, was reset, or exists already stays as it is."""
    origin = remote(tmp_path / "origin")
    url = RepositoryUrl(str(origin.path))
    before = origin.git("rev-parse", "HEAD")
    origin.write("keep", "second").commit()
    repository, head = fetched(git, url, tmp_path / "git")
    new = made(repository, head, b"x")
    moved = origin.write("keep", "third").commit()
    assert not git.push(repository, new, MAIN, expected=head)
    assert git.head(url, MAIN) == moved
    origin.git("update-ref", MAIN, before)
    assert not git.push(repository, new, MAIN, expected=head)
    assert git.head(url, MAIN) == before
    assert not git.push(repository, new, "refs/heads/ours", expected=None)
    origin.git("update-ref", MAIN, moved)
    assert git.push(repository, new, "refs/heads/ours", expected=None)
    assert not git.push(repository, made(repository, head, b"y"), "refs/heads/ours", expected=None)
    assert git.push(repository, None, "refs/heads/ours", expected=new)
    assert git.head(url, "refs/heads/ours") is None


def test_refused_pushes_say_what_to_do(git: Git, tmp_path: Path) -> None:
    """A protected branch, a read-only login, and somebody's checkout are different errors."""
    origin = remote(tmp_path / "origin")
    repository, head = fetched(git, RepositoryUrl(str(origin.path)), tmp_path / "local")
    origin.git("config", "receive.denyCurrentBranch", "refuse")
    with pytest.raises(Refused, match="cannot push refs/heads/main") as checkout:
        git.push(repository, made(repository, head, b"x"), MAIN, expected=head)
    assert "not a checkout" in checkout.value.todo
    origin.git("config", "receive.denyCurrentBranch", "ignore")
    hook = origin.path / ".git" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'main is a protected branch' >&2\nexit 1\n")
    hook.chmod(0o755)
    with git_server.serving(tmp_path) as server:
        url = RepositoryUrl(f"{server.url}/origin")
        repository, _ = fetched(git, url, tmp_path / "git")
        with pytest.raises(Misconfigured) as unwritable:
            git.push(repository, made(repository, head, b"x"), MAIN, expected=head)
        assert "may write" in unwritable.value.todo
        origin.git("config", "http.receivepack", "true")
        with pytest.raises(Refused, match="cannot push refs/heads/main") as protected:
            git.push(repository, made(repository, head, b"x"), MAIN, expected=head)
        assert "main is a protected branch" in protected.value.seen
        assert "pull request" in protected.value.todo
        server.status = 503
        with pytest.raises(ShipwayError, match="cannot push") as raised:
            git.push(repository, made(repository, head, b"y"), MAIN, expected=head)
        assert raised.value.exit_code == 75
    assert origin.git("rev-parse", "main") == head


@pytest.mark.parametrize("text", ["", "Shipway", "<a@b>", "A <ab>", "A <a@b> x", "A\n <a@b>", "A <a@b"])
def test_an_author_is_a_name_and_an_address(text: str) -> None:
    """Anything else is an invalid setting."""
    with pytest.raises(Misconfigured):
        Author.parse(text)
    assert Author.parse("Ship Way <a@b>") == Author(name="Ship Way", email="a@b")
