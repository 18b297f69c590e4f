"""What a stranger's RUN step reaches on this machine: nothing, unless a chroot was accepted on purpose.

The step sends a signal to a process of this machine, which then writes a file.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.engines.embedded import base_image
from tests.build_workspace import without_runtime
from tests.git_repositories import Repository
from tests.shipway_process import Shipway, until

Embedded = tuple[Shipway, dict[str, Any]]
REFUSED = "the RUN steps are not run outside a sandbox"
_VICTIM = """\
import pathlib, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: pathlib.Path(sys.argv[1]).touch())
print("ready", flush=True)
while True:
    signal.pause()
"""


class Stranger:
    """A repository whose RUN step reaches for a process of this machine."""

    def __init__(self, folder: Path, process: int) -> None:
        self.marker = folder / "marker"
        self.repository = Repository(folder / "attack")
        self.repository.write("busybox", base_image.find_busybox().read_bytes(), mode=0o755)
        self.address = f"file://{self.repository.path}"
        # The address of the folder makes each test's layers its own: none is taken from a cache.
        run = f"RUN echo {folder} && kill -USR1 {process}; busybox touch /ran"
        self.repository.write("Dockerfile", f"FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\n{run}\n")
        self.repository.commit()


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    """The repository, and the process that it reaches for."""
    marker = tmp_path / "marker"
    with subprocess.Popen([sys.executable, "-c", _VICTIM, marker], stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"ready\n"
        yield Stranger(tmp_path, victim.pid)
        victim.kill()


@pytest.fixture
def no_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose runtimes start nothing."""
    without_runtime(tmp_path / "bin", monkeypatch)


def test_sandboxed(embedded: Embedded, stranger: Stranger) -> None:
    """An address is built where a runtime works, and its RUN step sees no process of this machine."""
    done = embedded[0].run("build", stranger.address)
    assert done.returncode == 0, done.stderr
    assert not stranger.marker.exists()


@pytest.mark.usefixtures("no_runtime")
@pytest.mark.parametrize("command", ["build", "release"])
def test_refused(command: str, embedded: Embedded, stranger: Stranger) -> None:
    """Without one, an address is refused before a step of it runs, with what to install and the flag."""
    done = embedded[0].run(command, stranger.address)
    assert done.returncode == 3
    text = done.stdout + done.stderr
    for part in (REFUSED, "runc: this runtime starts nothing", "install runc", "buildkit", "--isolation chroot"):
        assert part in text
    assert not stranger.marker.exists()


@pytest.mark.usefixtures("no_runtime")
def test_accepted(embedded: Embedded, stranger: Stranger) -> None:
    """With the flag it runs in a chroot, and reaches what it reaches for."""
    done = embedded[0].run("build", stranger.address, "--isolation", "chroot")
    assert done.returncode == 0, done.stderr
    until(stranger.marker.exists)


@pytest.mark.usefixtures("no_runtime")
def test_own(embedded: Embedded, stranger: Stranger) -> None:
    """What this folder has checked out is the user's own; another of its branches is not, and submit says the same."""
    folder = stranger.repository.path
    stranger.repository.git("branch", "theirs")
    stranger.repository.git("commit", "--quiet", "--allow-empty", "-m", "Own")
    parameters = [f"repo={folder}", "path=.", "name=attack", "revision=theirs"]
    submitted = embedded[0].run("submit", "clone-build-push", *(f"-p{text}" for text in parameters))
    built = embedded[0].run("build", str(folder), "--revision", "theirs")
    for done in (submitted, built):
        assert done.returncode == 3
        assert REFUSED in done.stdout + done.stderr
    assert not stranger.marker.exists()
    done = embedded[0].run("submit", "clone-build-push", *(f"-p{text}" for text in parameters[:3]), "-prevision=main")
    assert done.returncode == 0, done.stderr
    until(stranger.marker.exists)


@pytest.mark.usefixtures("no_runtime")
def test_check(embedded: Embedded, stranger: Stranger) -> None:
    """A check tries what anybody proposed, so it trusts no folder; the flag is its user's word."""
    folder = str(stranger.repository.path)
    done = embedded[0].run("check", folder)
    assert done.returncode != 0
    assert REFUSED in done.stdout + done.stderr
    assert not stranger.marker.exists()
    accepted = embedded[0].run("check", folder, "--isolation", "chroot")
    assert accepted.returncode == 0, accepted.stderr
    until(stranger.marker.exists)


@pytest.mark.usefixtures("no_runtime")
def test_no_step(embedded: Embedded, stranger: Stranger) -> None:
    """An image without a RUN step needs no sandbox."""
    stranger.repository.write("Dockerfile", "FROM scratch\nCOPY busybox /bin/sh\n").commit()
    done = embedded[0].run("build", stranger.address)
    assert done.returncode == 0, done.stderr


def test_not_for_clusters(embedded: Embedded) -> None:
    """On a cluster the installation decides."""
    done = embedded[0].run("build", "https://git.example.com/a/b", "--engine", "argo", "--isolation", "chroot")
    assert done.returncode == 2
    assert "--isolation is for runs on this machine" in done.stderr
