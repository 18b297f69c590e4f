"""What tests of images share."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[str]:
    """The address of a buildkitd that was there before, with the environment that the test has by then."""
    with tempfile.TemporaryDirectory(prefix="shipway-") as private:
        address = f"unix://{private}/sock"
        argv = ["buildkitd", f"--root={tmp_path / 'buildkitd'}", f"--addr={address}", "--containerd-worker=false"]
        with (tmp_path / "log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as daemon:
            try:
                while subprocess.run(
                    ["buildctl", f"--addr={address}", "debug", "workers"], check=False, capture_output=True
                ).returncode:
                    assert daemon.poll() is None, (tmp_path / "log").read_text()
                    time.sleep(0.1)
                yield address
            finally:
                daemon.terminate()
