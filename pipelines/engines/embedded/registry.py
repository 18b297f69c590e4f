"""A registry on this machine: the distribution's docker-registry on loopback, with its data in one folder.

A machine without settings uses it, so that a first build needs nothing but this project.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import urllib3

from pipelines.engines.embedded import state_folder
from pipelines.errors import Misconfigured, ShipwayError
from pipelines.tools.processes import process

START_SECONDS = 15.0
CONFIGURATION = """\
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {data}}}, delete: {{enabled: true}}}}
http: {{addr: "{address}"}}
"""


@dataclass(frozen=True)
class EmbeddedRegistry:
    """The registry whose files live in `folder`."""

    folder: Path

    @property
    def address(self) -> str:
        """Host and port, or an empty string before the first start."""
        path = self.folder / "address"
        return path.read_text(encoding="utf-8").strip() if path.exists() else ""

    def running(self) -> bool:
        """Whether it answers, and with this folder's own process."""
        return bool(self.address) and self._pid() is not None and _answers(self.address)

    def start(self) -> str:
        """Start it if it does not run, and return its address, the same each time if the port is free."""
        state_folder.make(self.folder.parent)
        self.folder.mkdir(exist_ok=True)
        with self._lock():
            if self.running():
                return self.address
            program = shutil.which("docker-registry") or shutil.which("registry")
            if program is None:
                raise Misconfigured("no registry program on this machine", todo="apt-get install docker-registry")
            address = f"127.0.0.1:{_free_port(self.address)}"
            text = CONFIGURATION.format(data=self.folder.resolve() / "data", address=address)
            (self.folder / "config.yml").write_text(text, encoding="utf-8")
            pid = process.start_daemon([program, "serve", self.folder / "config.yml"], log=self.folder / "log")
            (self.folder / "pid").write_text(str(pid), encoding="utf-8")
            self._wait(pid, address)
            (self.folder / "address").write_text(address, encoding="utf-8")
            return address

    def stop(self) -> bool:
        """Stop it; return whether it ran. The data stays."""
        pid = self._pid()
        if pid is None:
            return False
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + START_SECONDS
        while self._pid() is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        (self.folder / "pid").unlink(missing_ok=True)
        return True

    def clean(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _pid(self) -> int | None:
        # The id alone proves nothing: after a restart of the machine another process may have it.
        try:
            pid = int((self.folder / "pid").read_text(encoding="utf-8"))
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(self.folder / "config.yml") in command and _alive(pid) else None

    def _wait(self, pid: int, address: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(address):
            if not _alive(pid) or time.monotonic() > deadline:
                tail = (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-500:]
                raise ShipwayError(
                    "the embedded registry did not start", seen=tail.strip(), todo=f"see {self.folder}/log"
                )
            time.sleep(0.05)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _answers(address: str) -> bool:
    try:
        with urllib3.PoolManager(retries=False, timeout=1.0) as pool:
            return pool.request("GET", f"http://{address}/v2/").status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _free_port(address: str) -> int:
    """Return the port of an address if it is free, so that copied references stay valid, else another one."""
    for port in (int(address.rpartition(":")[2] or 0), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise ShipwayError("no free port on loopback")
