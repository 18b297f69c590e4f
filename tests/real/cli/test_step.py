"""What a step tells its pod when it is ended from outside."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from tests import git_server
from tests.git_repositories import simple


def test_sigterm_is_told_from_failure(tmp_path: Path) -> None:
    """A step that gets SIGTERM, as when a node is drained,
    ends its programs and exits with 143, which is tried again.
    """
    simple(tmp_path / "git" / "app")
    with git_server.serving(tmp_path / "git") as server:
        server.hold = threading.Event()
        command = [sys.executable, "-m", "pipelines", "step", "clone", f"--repo={server.url}/app", "--outputs=out"]
        child = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        assert server.held.wait(60)
        child.terminate()
        _, said = child.communicate(timeout=60)
    assert child.returncode == 143
    assert said == "shipway: terminated\n"
    assert not (tmp_path / "out").exists()
