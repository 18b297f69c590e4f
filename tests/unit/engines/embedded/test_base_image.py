"""The base of the examples: the same bytes with every Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import deflate
import pytest

DIGEST = "sha256:9c2e95b14961f7966599e67f5b85f43b4f388b01d8b5ae4ec2bce13fd6ee757a"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
PROGRAM = """
import sys, tempfile
from pathlib import Path
from pipelines.engines.embedded import base_image
from pipelines.tools.registry.layout import Layout
with tempfile.TemporaryDirectory() as folder:
    print(sys.version_info[:2], base_image.write(Layout.create(Path(folder) / "layout"), Path(sys.argv[1])).digest)
"""


def pythons() -> dict[str, str]:
    """Return a Python of each version that this machine has, on PATH or of pyenv."""
    found = {version: path for version in VERSIONS if (path := shutil.which(f"python{version}"))}
    installed = sorted((Path.home() / ".pyenv/versions").glob("3.*/bin/python"))
    found |= {".".join(path.parents[1].name.split(".")[:2]): str(path) for path in installed}
    found |= {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    return {version: found[version] for version in VERSIONS if version in found}


def test_each_python_gives_the_same_digest(tmp_path: Path) -> None:
    """Of a program that lists two applets, wherever it lies."""
    busybox = tmp_path / "busybox"
    busybox.write_text("#!/bin/sh\necho busybox; echo sh; echo cat\n")
    busybox.chmod(0o755)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/deflate").symlink_to(Path(str(deflate.__file__)).parent)  # one build for all versions
    where = os.pathsep.join([str(Path(__file__).parents[4]), str(tmp_path / "lib")])
    told = {}
    for version, python in pythons().items():
        done = subprocess.run(
            [python, "-c", PROGRAM, str(busybox)],
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": where, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 127:
            continue  # a shim of pyenv without that version
        assert done.returncode == 0, done.stderr
        told[version] = done.stdout
    if len(told) == 1:
        pytest.skip(f"no Python here but {', '.join(told)}")
    assert told == {version: f"({version.replace('.', ', ')}) {DIGEST}\n" for version in told}
