"""The login that Git uses: files in a folder, or the environment.

The folder is a mounted Secret: `username` and `password` (a password or a token) for https, `ssh-privatekey` and
`known_hosts` for ssh. Without a folder, or with an empty one, Git uses no login.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import Misconfigured
from pipelines.tools.git import credential_helper
from pipelines.tools.git.address import ForeignUrl, RepositoryUrl

_SSH = (
    "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=30"
    " -o ServerAliveInterval=15 -o ServerAliveCountMax=4 -o ForwardAgent=no -o ClearAllForwardings=yes"
)


@dataclass(frozen=True, kw_only=True)
class GitCredentials:
    """The location of a login for Git; the programs that need its values read them."""

    folder: Path
    password: bool = False
    """Whether the folder holds a password or a token."""
    from_environment: bool = False
    key: Path | None = None
    known_hosts: Path | None = None

    @classmethod
    def read(cls, folder: Path, environment: Mapping[str, str] = os.environ) -> GitCredentials:
        """Return the login in a folder, or in the environment if the folder has no password; raises Misconfigured."""
        folder = folder.absolute()
        try:
            # Kubernetes adds entries of its own to a mounted Secret: `..data` and the folder that it names.
            paths = folder.iterdir() if folder.is_dir() else ()
            files = {path.name for path in paths if not path.name.startswith("..")}
            if "username" in files and "password" not in files:
                raise Misconfigured(
                    f"the Git credential {folder} has a user name alone",
                    seen=", ".join(sorted(files)),
                    todo="add the file `password` with the password or token",
                )
            for name in files & {"username", "password"}:
                _check(credential_helper.content(folder / name), str(folder / name))
            for name in files & {"ssh-privatekey", "known_hosts"}:
                (folder / name).read_bytes()
            if "password" not in files and credential_helper.PASSWORD in environment:
                _check(environment[credential_helper.PASSWORD], credential_helper.PASSWORD)
                _check(environment.get(credential_helper.USERNAME) or "git", credential_helper.USERNAME)
        except OSError as error:
            raise Misconfigured(
                f"the Git credential {folder} cannot be read",
                seen=str(error),
                todo="let the user that runs shipway read its files",
            ) from error
        return cls(
            folder=folder,
            password="password" in files,
            from_environment="password" not in files and bool(environment.get(credential_helper.PASSWORD)),
            key=folder / "ssh-privatekey" if "ssh-privatekey" in files else None,
            known_hosts=folder / "known_hosts" if "known_hosts" in files else None,
        )

    def describe(self, url: RepositoryUrl) -> str:
        """Return which login an address uses, as words for a message."""
        if url.is_ssh:
            if self.key:
                return f"the key {self.key} was used"
            return f"{self.folder} has no file ssh-privatekey, so the user's own keys were used"
        if isinstance(url, ForeignUrl):
            return "no login was used: a file names that host, and nobody asked for it"
        if self.password:
            return f"the login in {self.folder} was used"
        if self.from_environment:
            return f"the login in {credential_helper.USERNAME} and {credential_helper.PASSWORD} was used"
        return f"no login was used: {self.folder} has no file `password`"

    def environment(self, url: RepositoryUrl, private: Path) -> dict[str, str]:
        """Return the variables that let Git use this login for one address; `private` may receive a copy of the key."""
        if url.is_ssh:
            variables = {"GIT_SSH_COMMAND": self._ssh(private), "GIT_SSH_VARIANT": "ssh"}
            # Without a configured key, ssh uses the user's own keys.
            if not self.key and "SSH_AUTH_SOCK" in os.environ:
                variables["SSH_AUTH_SOCK"] = os.environ["SSH_AUTH_SOCK"]
            return variables
        if isinstance(url, ForeignUrl):
            return {}
        if url.scheme in {"https", "http"} and self.password:
            return {credential_helper.ORIGIN: url.origin, credential_helper.FOLDER: str(self.folder)}
        if url.scheme in {"https", "http"} and self.from_environment:
            names = [name for name in (credential_helper.USERNAME, credential_helper.PASSWORD) if name in os.environ]
            return {credential_helper.ORIGIN: url.origin} | {name: os.environ[name] for name in names}
        return {}

    def _ssh(self, private: Path) -> str:
        words = [_SSH]
        if self.key:
            words += [
                "-o IdentitiesOnly=yes -o IdentityAgent=none",
                _option("IdentityFile", _usable(self.key, private)),
            ]
        if self.known_hosts:
            words += [_option("UserKnownHostsFile", self.known_hosts), "-o GlobalKnownHostsFile=/dev/null"]
        return " ".join(words)


def helper_command() -> str:
    """Return the value of Git's setting `credential.helper`, which Git passes to a shell."""
    return f"!{shlex.quote(sys.executable)} -I -S {shlex.quote(str(Path(credential_helper.__file__).resolve()))}"


def _option(name: str, path: Path) -> str:
    """Return an ssh option that names a file, quoted for ssh_config(5) and then for the shell."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return "-o " + shlex.quote(f'{name}="{text}"')


def _usable(key: Path, private: Path) -> Path:
    """Return a key file that ssh accepts: a copy if others can read it or it lacks the final newline."""
    data = key.read_bytes()
    status = key.stat()
    if data.endswith(b"\n") and b"\r" not in data and not (status.st_uid == os.geteuid() and status.st_mode & 0o077):
        return key
    return keep(private, "ssh-key", data.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n")


def _check(value: str, where: str) -> None:
    if not value or "\n" in value or "\r" in value or "\0" in value:
        raise Misconfigured(
            f"{where} cannot be a part of a login",
            seen="it is empty" if not value else "it holds a line break or a zero byte",
            todo="write one line of text",
        )


def keep(folder: Path, name: str, data: bytes) -> Path:
    """Return a file with this content that only its owner can read; written once and atomically, by any thread."""
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:32]}"
    if not path.exists():
        partial = folder / f"{name}-{secrets.token_hex(8)}"
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        partial.replace(path)
    return path
