"""Git over ssh, against a real OpenSSH server: keys, host keys, and what a refusal says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import Misconfigured, ShipwayError
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from tests.git_repositories import Repository, content, simple
from tests.ssh_server import SshServer, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    """A server that takes one key."""
    with serving(tmp_path / "sshd") as running:
        yield running


@pytest.fixture
def app(tmp_path: Path) -> Repository:
    """The simple repository."""
    return simple(tmp_path / "app")


def secret(folder: Path, server: SshServer, *, known: str | None = None, mode: int = 0o644, end: str = "\n") -> Path:
    """Write a mounted Secret: a key that anybody can read, as Kubernetes mounts it, and known_hosts."""
    folder.mkdir()
    key = folder / "ssh-privatekey"
    key.write_text(server.key.read_text().replace("\n", end).rstrip() + end)
    key.chmod(mode)
    (folder / "known_hosts").write_text(server.known_hosts if known is None else known)
    return folder


@pytest.mark.parametrize(
    ("name", "mode", "end"),
    [("git", 0o644, "\n"), ("git", 0o600, "\n"), ('100% a "quoted" $folder\'s name', 0o400, "\r\n")],
)
def test_a_key_from_a_secret_fetches(
    server: SshServer, app: Repository, tmp_path: Path, name: str, mode: int, end: str
) -> None:
    """A key works with the modes and line ends that mounts and editors give it, in a folder of any name."""
    url = RepositoryUrl(f"{server.url}{app.path}")
    with Git(GitCredentials.read(secret(tmp_path / name, server, mode=mode, end=end), {})) as git:
        found = git.resolve(url, Revision("main"))
        repository = git.fetch(url, found, tmp_path / "fetched")
        assert content(repository, found.commit, "hello") == "three\n"
        private = git._private
    assert not private.exists()


def test_an_unknown_host_is_refused_and_told_how_to_know_it(server: SshServer, app: Repository, tmp_path: Path) -> None:
    """No key is shown to a host that nobody vouched for, nor to one whose key is another."""
    url = RepositoryUrl(f"{server.url}{app.path}")
    other = (
        server.known_hosts.split()[0]
        + " ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPLuuw9AUBfP4xfsjPHcOPBNvBzzdU2CcRhcOAWqtpb8\n"
    )
    for number, known in enumerate(("", other)):
        folder = secret(tmp_path / f"git{number}", server, known=known)
        with Git(GitCredentials.read(folder, {})) as git, pytest.raises(Misconfigured) as caught:
            git.resolve(url, Revision("main"))
        assert "known_hosts" in caught.value.todo


def test_a_key_that_is_not_taken_names_the_credential(server: SshServer, app: Repository, tmp_path: Path) -> None:
    """The message says which key was used, and shows nothing of it."""
    folder = secret(tmp_path / "git", server)
    (folder / "ssh-privatekey").write_text((tmp_path / "sshd" / "host").read_text())
    with Git(GitCredentials.read(folder, {})) as git, pytest.raises(Misconfigured) as caught:
        git.resolve(RepositoryUrl(f"{server.url}{app.path}"), Revision("main"))
    assert str(folder / "ssh-privatekey") in caught.value.seen
    assert "PRIVATE" not in str(caught.value)


def test_a_repository_that_is_not_there_is_said_so(server: SshServer, tmp_path: Path) -> None:
    """A wrong path is no login problem and no reason to retry."""
    with Git(GitCredentials.read(secret(tmp_path / "git", server), {})) as git, pytest.raises(ShipwayError) as caught:
        git.resolve(RepositoryUrl(f"{server.url}{tmp_path}/absent"), Revision("main"))
    assert type(caught.value) is ShipwayError
