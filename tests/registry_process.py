"""The real registry program of the distribution, on a free port, for the length of a `with` block."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import json
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import urllib3

START_SECONDS = 30.0


@contextlib.contextmanager
def registry(
    tmp_path: Path,
    auth: Mapping[str, str] | None = None,
    *,
    host: str = "127.0.0.1",
    certificate: tuple[Path, Path] | None = None,
) -> Iterator[str]:
    """Run a registry whose data lives in `tmp_path`/registry and give its address, HOST:PORT.

    With `auth`, a map of users to passwords, it wants one of these by Basic authentication; with a certificate and its
    key, it speaks TLS, and the certificate must be its own authority. The data stays when the block ends, so a second
    block over the same folder goes on where the first one stopped.
    """
    program = shutil.which("docker-registry") or shutil.which("registry")
    assert program, "no registry program: apt-get install docker-registry"
    folder = tmp_path / "registry"
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(5):
        address = f"{host}:{_free_port(host)}"
        (folder / "config.json").write_text(
            json.dumps(_configuration(folder, address, auth, certificate)), encoding="utf-8"
        )
        with (folder / "log").open("ab") as log:
            child = subprocess.Popen([program, "serve", str(folder / "config.json")], stdout=log, stderr=log)
        try:
            if _starts(child, address, certificate):
                yield address
                return
        finally:
            child.kill()
            child.wait()
    raise AssertionError(f"the registry did not start: {(folder / 'log').read_text(encoding='utf-8')[-2000:]}")


def _configuration(
    folder: Path, address: str, auth: Mapping[str, str] | None, certificate: tuple[Path, Path] | None
) -> dict[str, object]:
    http: dict[str, object] = {"addr": address}
    if certificate is not None:
        http["tls"] = dict(zip(("certificate", "key"), map(str, certificate), strict=True))
    configuration: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": http,
    }
    if auth is not None:
        lines = [f"{user}:{_bcrypt(password)}\n" for user, password in auth.items()]
        (folder / "htpasswd").write_text("".join(lines), encoding="utf-8")
        configuration["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    return configuration


def _bcrypt(password: str) -> str:
    """Return the one form of a password that the registry reads, at the lowest cost there is."""
    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    hashed = library.crypt(password.encode(), b"$2b$04$" + secrets.token_hex(11).encode())
    assert hashed.startswith(b"$2b$"), "libcrypt cannot do bcrypt"
    return str(hashed.decode())


def _starts(child: subprocess.Popen[bytes], address: str, certificate: tuple[Path, Path] | None) -> bool:
    """Whether the process answers; False when it ended, as it does when somebody else took the port."""
    deadline = time.monotonic() + START_SECONDS
    url = f"{'https' if certificate else 'http'}://{address}/v2/"
    authority = str(certificate[0]) if certificate else None
    with urllib3.PoolManager(retries=False, timeout=2.0, ca_certs=authority) as pool:
        while child.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if pool.request("GET", url).status in {200, 401}:
                    return True
            time.sleep(0.02)
    return False


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
