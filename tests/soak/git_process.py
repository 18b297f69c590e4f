"""A Git server in a process of its own, which can be held in the middle of an answer, killed, and started again.

    python -m tests.soak.git_process ROOT HOST PORT CONTROL

Files of the folder CONTROL are its switches: while `hold` is there, requests wait; `held` is there once one does.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from tests import git_server

LOOK_SECONDS = 0.02
START_SECONDS = 60.0


class GitProcess:
    """The server's handle: repositories below `root` are at `url`."""

    def __init__(self, root: Path, host: str, control: Path) -> None:
        """Start it on a port that is free."""
        self.root, self.host, self.control = root, host, control
        self.port = 0
        control.mkdir()
        self.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Start it, at the port that it had."""
        for name in ("port", "held"):
            (self.control / name).unlink(missing_ok=True)
        argv = [sys.executable, "-m", "tests.soak.git_process", self.root, self.host, self.port, self.control]
        self.child = subprocess.Popen([str(word) for word in argv])
        assert _comes(self.control / "port", START_SECONDS), "the Git server does not start"
        self.port = int((self.control / "port").read_text())

    def kill(self) -> None:
        """Kill it with SIGKILL: who waits for an answer gets none, and who asks is refused."""
        self.child.kill()
        self.child.wait()

    def close(self) -> None:
        """Have the next request wait."""
        (self.control / "held").unlink(missing_ok=True)
        (self.control / "hold").touch()

    def open(self) -> None:
        """Answer what waits."""
        (self.control / "hold").unlink(missing_ok=True)

    def holds(self, seconds: float) -> bool:
        """Return whether a request waits, within some seconds."""
        return _comes(self.control / "held", seconds)


def serve(root: Path, host: str, port: int, control: Path) -> None:
    """Serve without end."""
    with git_server.serving(root, host=host, port=port) as server:
        written = control / "writing"
        written.write_text(server.url.rpartition(":")[2])
        written.rename(control / "port")
        while True:
            wanted = (control / "hold").exists()
            if wanted and server.hold is None:
                server.held.clear()
                server.hold = threading.Event()
            elif not wanted and server.hold is not None:
                hold, server.hold = server.hold, None
                hold.set()
            if server.held.is_set() and server.hold is not None:
                (control / "held").touch()
            time.sleep(LOOK_SECONDS)


def _comes(path: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
