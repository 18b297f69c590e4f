"""What several tests with real programs share."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.git_repositories import Repository, simple
from tests.git_server import GitServer, serving
from tests.shipway_process import Shipway


@pytest.fixture(scope="session", autouse=True)
def tools_on_path() -> None:
    """Find the programs that `make tools` built behind those of the machine."""
    tools = os.environ.get("SHIPWAY_TOOLS")
    if tools:
        os.environ["PATH"] += os.pathsep + str(Path(tools) / "bin")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that builders keep their layers in, one for the session: what one test leaves, the next one meets."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shipway, dict[str, Any]]]:
    """The command on a fresh machine, with nothing set, after its first run; and what that run printed."""
    shipway = Shipway(tmp_path_factory.mktemp("embedded"))
    try:
        done = shipway.run("build", "--examples", "--json")
        assert done.returncode == 0, done.stderr
        yield shipway, json.loads(done.stdout)
    finally:
        shipway.run("embedded", "clean")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    """A server of the repositories in tmp_path/served."""
    (tmp_path / "served").mkdir()
    with serving(tmp_path / "served") as running:
        yield running


@pytest.fixture
def app(server: GitServer) -> Repository:
    """The simple repository, served as `app`."""
    return simple(server.root / "app")
