"""What several tests with real programs share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


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
