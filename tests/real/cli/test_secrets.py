"""A registry that wants a login: docker's own is used, and where there is none, the file to write is named."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.git_repositories import Repository
from tests.registry_process import registry
from tests.shipway_process import Shipway

USER, PASSWORD = "bob", "s3cr3t-never-shown"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A registry that knows one user."""
    with registry(tmp_path, {USER: PASSWORD}) as address:
        yield address


@pytest.fixture
def words(tmp_path: Path, address: str) -> list[str]:
    """A repository with one image, and settings that name the registry."""
    repository = Repository(tmp_path / "shop")
    repository.write("web/Dockerfile", "FROM scratch\nCOPY page /\n").write("web/page", "1").commit()
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"registry: {address}\nproject: team\nplain-http: {address}\n")
    return [str(repository.path), "--settings", str(settings)]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's own folder, and a folder of programs on the path."""
    for name in ("docker", "bin"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    return tmp_path / "docker"


def login(address: str) -> str:
    """Return a configuration as `docker login` writes it."""
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    return json.dumps({"auths": {address: {"auth": auth}}})


def helper(docker: Path, script: str) -> Path:
    """Put a credential helper on PATH and return the file that tells what it was asked."""
    program = docker.parent / "bin/docker-credential-test"
    program.write_text(f"#!/bin/sh\ncat >> {docker.parent}/asked\n{script}\n")
    program.chmod(0o755)
    return docker.parent / "asked"


def test_dockers_login_is_used(tmp_path: Path, address: str, docker: Path, words: list[str]) -> None:
    """By the run's steps and by the command itself, and no copy of it is left."""
    (docker / "config.json").write_text(login(address))
    shipway = Shipway(tmp_path / "shipway")
    built = shipway.run("build", *words)
    assert built.returncode == 0, built.stderr
    planned = shipway.run("plan", *words)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    left = [path for path in shipway.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in left if PASSWORD.encode() in path.read_bytes()] == []


def test_a_helper_of_dockers_is_asked(tmp_path: Path, address: str, docker: Path, words: list[str]) -> None:
    """For the registry that wants a login, by name, and by no other way than its own."""
    asked = helper(docker, f"""echo '{{"Username": "{USER}", "Secret": "{PASSWORD}"}}'""")
    (docker / "config.json").write_text('{"credsStore": "test"}')
    done = Shipway(tmp_path / "shipway").run("build", *words)
    assert done.returncode == 0, done.stderr
    assert set(asked.read_text().split()) == {address}


def test_the_file_to_write_is_named(tmp_path: Path, address: str, docker: Path, words: list[str]) -> None:
    """An absolute path: with a login in it, the same command works. A Secret goes before docker's own."""
    shipway = Shipway(tmp_path / "shipway")
    for command in ("build", "release"):
        done = shipway.run(command, *words)
        assert done.returncode == 78, done.stderr
        told = done.stdout + done.stderr
        [file] = {*re.findall(rf"put a login for {re.escape(address)} into the registry credential (\S+);", told)}
        name = "shipway-push" if command == "build" else "shipway-pull"
        assert file == str(shipway.state / "secrets" / name / "config.json")
        assert f"without a login: there is no {file}" in told
    for name in ("shipway-push", "shipway-pull"):
        file = shipway.state / "secrets" / name / "config.json"
        file.parent.mkdir(parents=True)
        file.write_text(login(address))
    (docker / "config.json").write_text(json.dumps({"auths": {address: {"username": USER, "password": "wrong"}}}))
    done = shipway.run("build", *words)
    assert done.returncode == 0, done.stderr


def test_what_cannot_be_used_is_told(tmp_path: Path, docker: Path) -> None:
    """A registry that wants no login is reached all the same; nor is a helper that works asked for it."""
    repository = Repository(tmp_path / "shop")
    repository.write("web/Dockerfile", "FROM scratch\nCOPY page /\n").write("web/page", "1").commit()
    with registry(tmp_path / "open") as address:
        words = ["build", str(repository.path), "--settings", str(tmp_path / "settings.yaml")]
        (tmp_path / "settings.yaml").write_text(f"registry: {address}\nplain-http: {address}\n")
        for config, told in (
            ('{"credsStore": "nowhere"}', "no docker-credential-nowhere on PATH"),
            ('{"credsStore": "../../bin/test"}', "a credential helper has no name that a program can have"),
            ("{", "it is not JSON"),
            ('{"credsStore": "test"}', ""),
        ):
            asked = helper(docker, "exit 1")
            (docker / "config.json").write_text(config)
            done = Shipway(tmp_path / "shipway").run(*words)
            assert done.returncode == 0, done.stderr
            assert (f"docker's logins in {docker / 'config.json'} are not used: {told}" in done.stderr) == bool(told)
            assert not asked.exists()


def test_checks_have_none_of_it(tmp_path: Path, address: str, docker: Path, words: list[str]) -> None:
    """What strangers wrote is read with the login that is made for them alone."""
    (docker / "config.json").write_text(login(address))
    done = Shipway(tmp_path / "shipway").run("check", *words)
    assert done.returncode == 78
    assert "shipway/state/secrets/shipway-check-pull/config.json" in done.stdout + done.stderr
