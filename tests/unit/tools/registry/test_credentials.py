"""Logins of a Docker configuration: each form it has, any character, and nothing of it in a message."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import Misconfigured
from pipelines.tools.registry.credentials import Credentials, Login

SECRET = "s3cr3t-never-shown"


def write(folder: Path, value: object, name: str = "config.json") -> Credentials:
    """Return the credentials of a folder with that configuration."""
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return Credentials.read(folder)


def auth(text: str) -> dict[str, str]:
    """Return an entry as `docker login` writes it."""
    return {"auth": base64.b64encode(text.encode()).decode()}


def helper(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> Path:
    """Put a credential helper on PATH and return the file that it writes its input to."""
    program = folder / f"docker-credential-{name}"
    program.write_text(f'#!/bin/sh\n[ "$1" = get ] || exit 9\ncat > {folder}/asked\n{script}\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder / "asked"


@pytest.mark.parametrize(
    ("user", "password"),
    [("robot$ci", "a:b:c"), ("team+ci", ""), ("ünïcödé", "pässwörd"), ("u", " spaces and \"quotes\" 'too' \\ ")],
)
def test_auth_is_split_at_its_first_colon(tmp_path: Path, user: str, password: str) -> None:
    """A user and a password come out as they went in, whatever characters they have."""
    credentials = write(tmp_path, {"auths": {"r.example": auth(f"{user}:{password}")}})
    assert credentials.login("r.example") == Login(username=user, password=password)


@given(st.text(min_size=1).filter(lambda t: ":" not in t), st.text().filter(lambda t: "\0" not in t))
def test_basic_carries_any_login(user: str, password: str) -> None:
    """The header for Basic authentication holds exactly the user, a colon and the password."""
    header = Login(username=user, password=password).basic
    assert base64.b64decode(header.removeprefix("Basic ")).decode() == f"{user}:{password}"
    assert "\n" not in header


@pytest.mark.parametrize(
    "key", ["r.example:5000", "https://r.example:5000", "https://r.example:5000/", "https://R.example:5000/v2/"]
)
def test_each_form_of_a_key_is_found(tmp_path: Path, key: str) -> None:
    """Keys may be written with a scheme, a slash or the API's version."""
    credentials = write(tmp_path, {"auths": {key: {"username": "u", "password": "p"}}})
    assert credentials.login("r.example:5000") == Login(username="u", password="p")


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"])
def test_docker_hub_has_many_names(tmp_path: Path, key: str) -> None:
    """A login for Docker Hub is found under each name that it has."""
    assert write(tmp_path, {"auths": {key: auth("u:p")}}).login("docker.io", "library/debian") is not None


@pytest.mark.parametrize("registry", ["r.example:5001", "r.example.evil.example", "evil.example", "xr.example:5000"])
def test_no_login_for_another_registry(tmp_path: Path, registry: str) -> None:
    """A login is given for its own host and port, and no other."""
    assert write(tmp_path, {"auths": {"r.example:5000": auth("u:p")}}).login(registry) is None


def test_the_longest_path_goes_first(tmp_path: Path) -> None:
    """A login for a path in a registry goes before the one for all of it, and stays in that path."""
    credentials = write(tmp_path, {"auths": {"r.example": auth("all:p"), "r.example/team": auth("team:p")}})
    found = [credentials.login("r.example", name) for name in ("team/web", "team", "teammate/web", "other")]
    assert [login.username for login in found if login] == ["team", "team", "all", "all"]


def test_tokens_are_read(tmp_path: Path) -> None:
    """Identity tokens and registry tokens are logins, too."""
    entry = {"a.example": {"identitytoken": "i"}, "b.example": {"registrytoken": "r"}}
    credentials = write(tmp_path, {"auths": entry})
    assert credentials.login("a.example") == Login(identity_token="i")
    assert credentials.login("b.example") == Login(registry_token="r")


def test_no_file_is_no_login(tmp_path: Path) -> None:
    """A missing folder, an empty one and an empty entry mean a public registry."""
    assert Credentials.read(tmp_path / "none").login("r.example") is None
    assert Credentials.read(tmp_path).login("r.example") is None
    assert write(tmp_path, {"auths": {"r.example": {}}}).login("r.example") is None
    assert write(tmp_path, "").login("r.example") is None


def test_the_name_of_a_mounted_secret_is_read(tmp_path: Path) -> None:
    """A Secret of the type dockerconfigjson is mounted under its own key."""
    credentials = write(tmp_path, {"auths": {"r.example": auth("u:p")}}, ".dockerconfigjson")
    assert credentials.login("r.example") is not None


@pytest.mark.parametrize(
    "text",
    [
        f'{{"auths": {{"r.example": {{"password": "{SECRET}"',
        f'["{SECRET}"]',
        json.dumps({"auths": {"r.example": SECRET}}),
        json.dumps({"auths": {"r.example": {"auth": SECRET + "!"}}}),
        json.dumps({"auths": {"r.example": auth(SECRET)}}),
        json.dumps({"auths": {"r.example": {"username": "u", "password": [SECRET]}}}),
        json.dumps({"credsStore": "../../bin/sh"}),
        json.dumps({"credHelpers": {"r.example": ["x"]}}),
    ],
)
def test_a_broken_file_is_told_without_its_content(tmp_path: Path, text: str) -> None:
    """A configuration that cannot be read is named, and no word of it is shown."""
    with pytest.raises(Misconfigured) as raised:
        write(tmp_path, text)
    assert "config.json" in str(raised.value)
    assert SECRET not in str(raised.value)


def test_bytes_that_are_no_text_are_not_shown(tmp_path: Path) -> None:
    """Not even a decoding error quotes the file."""
    (tmp_path / "config.json").write_bytes(b'{"auths": "\xff' + SECRET.encode())
    with pytest.raises(Misconfigured) as raised:
        Credentials.read(tmp_path)
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


def test_nothing_secret_is_in_a_representation(tmp_path: Path) -> None:
    """A login that lands in a log by accident shows no secret."""
    entry = {"username": "u", "password": SECRET, "identitytoken": SECRET, "registrytoken": SECRET}
    credentials = write(tmp_path, {"auths": {"r.example": entry}})
    assert SECRET not in repr(credentials) + repr(credentials.login("r.example"))


def test_a_helper_is_asked_by_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The helper of a registry goes before what the file holds, and is asked once."""
    answer = json.dumps({"ServerURL": "r.example", "Username": "h", "Secret": "a:b"})
    asked = helper(tmp_path, monkeypatch, "one", f"echo '{answer}'; echo x >> {tmp_path}/calls")
    credentials = write(
        tmp_path,
        {"auths": {"r.example": auth("file:p"), "s.example": auth("s:p")}, "credHelpers": {"r.example": "one"}},
    )
    assert credentials.login("r.example") == Login(username="h", password="a:b")
    assert credentials.login("r.example", "team/web") == Login(username="h", password="a:b")
    assert credentials.login("s.example") == Login(username="s", password="p")
    assert asked.read_text(encoding="utf-8") == "r.example\n"
    assert (tmp_path / "calls").read_text(encoding="utf-8") == "x\n"


def test_the_store_is_asked_for_every_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store for all answers with identity tokens, too; for Docker Hub it knows the oldest name."""
    asked = helper(tmp_path, monkeypatch, "all", """echo '{"Username": "<token>", "Secret": "t"}'""")
    credentials = write(tmp_path, {"credsStore": "all"})
    assert credentials.login("docker.io", "library/debian") == Login(identity_token="t")
    assert asked.read_text(encoding="utf-8") == "https://index.docker.io/v1/\n"


def test_a_store_without_the_registry_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store does not have may still be in the file."""
    helper(tmp_path, monkeypatch, "all", "echo 'credentials not found in native keychain'; exit 1")
    credentials = write(tmp_path, {"credsStore": "all", "auths": {"r.example": auth("u:p")}})
    assert credentials.login("r.example") == Login(username="u", password="p")


@pytest.mark.parametrize("script", ["echo 'vault is sealed' >&2; exit 1", "echo nonsense", "echo '{}'"])
def test_a_failing_helper_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A helper that fails is never taken for a registry without a login."""
    helper(tmp_path, monkeypatch, "bad", script)
    with pytest.raises(Misconfigured, match="docker-credential-bad"):
        write(tmp_path, {"credHelpers": {"r.example": "bad"}}).login("r.example")


def test_a_missing_helper_is_an_error(tmp_path: Path) -> None:
    """A helper that is not installed is named."""
    with pytest.raises(Misconfigured, match="docker-credential-nowhere"):
        write(tmp_path, {"credsStore": "nowhere"}).login("r.example")
