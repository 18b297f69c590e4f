"""A real OpenSSH server on a free port, for the user that runs the tests."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class SshServer:
    """Where the server listens, a key that it takes, and the line that known_hosts needs."""

    url: str
    """Ends before the path: `ssh://user@127.0.0.1:2222`."""
    key: Path
    known_hosts: str


@contextmanager
def serving(folder: Path, *, host: str = "127.0.0.1") -> Iterator[SshServer]:
    """Run the server at an address of this machine until the block ends; `folder` takes its keys."""
    program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    assert program, "no sshd: apt-get install openssh-server"
    folder.mkdir()
    for name in ("host", "user"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)]
        subprocess.run(make, check=True)
    with socket.socket() as free:
        free.bind((host, 0))
        port = free.getsockname()[1]
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "config").write_text(
        f"ListenAddress {host}:{port}\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/user.pub\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\n"
    )
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [program, "-D", "-e", "-f", str(folder / "config")], stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            _wait((host, port), child, folder / "log")
            public = " ".join((folder / "host.pub").read_text().split()[:2])
            yield SshServer(
                url=f"ssh://{getpass.getuser()}@{host}:{port}",
                key=folder / "user",
                known_hosts=f"[{host}]:{port} {public}\n",
            )
        finally:
            child.terminate()
            child.wait()


def _wait(address: tuple[str, int], child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert child.poll() is None, log.read_text()
        try:
            socket.create_connection(address, timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"sshd does not listen: {log.read_text()}")
