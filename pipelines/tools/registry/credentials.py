"""Logins for registries from Docker's configuration file.

`auths`, `credHelpers` and `credsStore` have the meaning of docs.docker.com/reference/cli/docker/login: a helper for one
registry goes before the store for all, and either before the logins in the file. Keys of `auths` may also name a path
in a registry, as in containers-auth.json(5); the longest that matches is used.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.bounds import read_json
from pipelines.errors import Misconfigured
from pipelines.tools.processes.process import run
from pipelines.tools.registry.reference import DOCKER_HUB

FILES = ("config.json", ".dockerconfigjson")
HELPER_SECONDS = 60.0
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
# A credential helper's answer if it has no login: docker-credential-helpers, credentials/error.go.
_HELPER_HAS_NONE = re.compile(r"credentials not found|no credentials (?:server|found)", re.IGNORECASE)
# The user name that marks a secret as an identity token, in helpers' answers.
_TOKEN_USER = "<token>"  # noqa: S105  a name, no secret


@dataclass(frozen=True, kw_only=True)
class Login:
    """The login of this deployment at one registry; never printed."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """An OAuth2 refresh token instead of a password."""
    registry_token: str = field(default="", repr=False)
    """A bearer token that is sent unchanged."""

    @property
    def basic(self) -> str:
        """The value of an Authorization header for Basic authentication (RFC 7617, in UTF-8)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """The logins of one configuration file, looked up by registry and repository."""

    source: str = "no credential"
    """Where they are from, as text for a message."""
    file: str = "the registry credential"
    """Where a login is to be written, as text for a message."""
    logins: Mapping[str, Login] = field(default_factory=dict, repr=False)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""
    _asked: dict[tuple[str, str], Login | None] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, folder: Path) -> Credentials:
        """Return the logins of a folder with a config.json or .dockerconfigjson; none if there is no such file.

        Raises Misconfigured, without any of the file's content, if it cannot be read.
        """
        files = [_written(folder / name) for name in FILES]
        for path in files:
            try:
                text = path.read_text(encoding="utf-8")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, UnicodeDecodeError) as error:
                # A decoding error quotes the bytes around it, which may be a password.
                seen = error.strerror or "" if isinstance(error, OSError) else "it is not UTF-8 text"
                raise _unreadable(path, seen) from None
            return cls._parse(path, text)
        return cls(source=f"there is no {files[0]}", file=f"the registry credential {files[0]}")

    @classmethod
    def _parse(cls, path: Path, text: str) -> Credentials:
        try:
            value = read_json(text or "{}", str(path))
        except ValueError:
            raise _unreadable(path, "it is not JSON") from None
        auths, helpers, store = (
            (value.get("auths") or {}, value.get("credHelpers") or {}, value.get("credsStore") or "")
            if isinstance(value, dict)
            else (None, None, None)
        )
        if not (isinstance(auths, dict) and isinstance(helpers, dict) and isinstance(store, str)):
            raise _unreadable(path, "it is not of the form that `docker login` writes")
        logins = {}
        for key, entry in auths.items():
            if not isinstance(entry, dict):
                raise _unreadable(path, f"auths has an entry that is not an object: {key!r}")
            login = _login(path, key, entry)
            if login:
                logins[_normal(key)] = login
        for helper in (*helpers.values(), store):
            if helper and not (isinstance(helper, str) and _HELPER.fullmatch(helper)):
                raise _unreadable(path, f"a credential helper has no name that a program can have: {helper!r}")
        return cls(
            source=str(path),
            file=f"the registry credential {path}",
            logins=logins,
            helpers={_normal(key): str(helper) for key, helper in helpers.items()},
            store=store,
        )

    @property
    def programs(self) -> tuple[str, ...]:
        """The credential helpers that may be run."""
        return tuple(sorted({f"docker-credential-{name}" for name in (*self.helpers.values(), self.store) if name}))

    def login(self, registry: str, repository: str = "", *, ask: bool = True) -> Login | None:
        """Return the login for a repository, or None; raises Misconfigured if a helper fails. `ask` runs helpers."""
        name = _normal(registry)
        for helper in (self.helpers.get(name, ""), self.store):
            if ask and helper and (found := self._ask(helper, registry)):
                return found
        path = f"{name}/{repository}".rstrip("/")
        while path:
            if path in self.logins:
                return self.logins[path]
            path = path.rpartition("/")[0]
        return None

    def _ask(self, helper: str, registry: str) -> Login | None:
        if (helper, registry) not in self._asked:
            self._asked[helper, registry] = _ask(helper, registry)
        return self._asked[helper, registry]


def _login(path: Path, key: str, entry: Mapping[str, Any]) -> Login | None:
    texts = ("auth", "username", "password", "identitytoken", "registrytoken")
    if not all(isinstance(entry.get(name, ""), str) for name in texts):
        raise _unreadable(path, f"the entry {key!r} holds something else than text")
    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        try:
            padded = entry["auth"].strip() + "=" * (-len(entry["auth"].strip()) % 4)
            decoded = base64.b64decode(padded, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise _unreadable(path, f"auth of {key!r} is not base64 of text") from None
        username, colon, password = decoded.partition(":")
        if not colon:
            raise _unreadable(path, f"auth of {key!r} has no colon between user and password")
        # Docker itself removes zero bytes at the end: cli/config/configfile, decodeAuth.
        password = password.strip("\0")
    login = Login(
        username=username,
        password=password,
        identity_token=entry.get("identitytoken", ""),
        registry_token=entry.get("registrytoken", "").strip(),
    )
    return login if username or login.identity_token or login.registry_token else None


def _ask(helper: str, registry: str) -> Login | None:
    """Return a credential helper's login for a registry, or None: it reads the server's name and writes JSON."""
    program = f"docker-credential-{helper}"
    server = _HUB_KEY if registry in _HUB_NAMES else registry
    done = run([program, "get"], timeout_seconds=HELPER_SECONDS, stdin=server + "\n")
    if done.code != 0:
        said = (done.stdout + done.stderr).strip()
        if _HELPER_HAS_NONE.search(said):
            return None
        raise Misconfigured(
            f"{program} gave no login for {registry}",
            seen=f"exit code {done.code}: {said[-300:] or 'no output'}",
            todo=f"try `echo {server} | {program} get`, or take the helper out of the Docker configuration",
        )
    try:
        value = read_json(done.stdout, program)
        username, secret = str(value["Username"]), str(value["Secret"])
    except (ValueError, KeyError, TypeError):
        raise Misconfigured(
            f"{program} gave no login for {registry}",
            seen="its answer is not JSON with Username and Secret",
            todo="use a helper of docker-credential-helpers' form",
        ) from None
    if username == _TOKEN_USER:
        return Login(identity_token=secret)
    return Login(username=username, password=secret)


def _normal(key: str) -> str:
    """Return the host and path of a key of the file, without `https://` and the API's version."""
    name = key.strip().removeprefix("https://").removeprefix("http://").rstrip("/")
    name = name.removesuffix("/v1").removesuffix("/v2")
    host, slash, path = name.partition("/")
    host = host.lower()
    return (DOCKER_HUB if host in _HUB_NAMES else host) + slash + path


def _written(path: Path) -> Path:
    """Return the absolute path at which people write a file: local runs link to it, Kubernetes within the volume."""
    linked = path.readlink() if path.is_symlink() else path
    return linked if linked.is_absolute() else path.absolute()


def _unreadable(path: Path, seen: str) -> Misconfigured:
    return Misconfigured(
        f"the registry credential {path} cannot be read", seen=seen, todo="make it with `docker login`"
    )
