"""What the tests of deployments share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import git_server
from tests.forge_server import TOKEN, forge_server
from tests.proposals import EnvironmentsForge
from tests.registry_process import registry


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A registry of its own."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with registry(tmp_path) as found:
        yield found


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[EnvironmentsForge]:
    """A forge that has the environments repository."""
    with git_server.serving(tmp_path) as server, forge_server("gitea") as state:
        state.repository = "team/environments"
        host = server.url.removeprefix("http://")
        (tmp_path / "forge").mkdir()
        (tmp_path / "forge" / f"{host.replace(':', '_')}.token").write_text(TOKEN)
        settings = {
            "environments": f"{server.url}/team/environments.git",
            "forges": f"{host}=gitea+{state.base}",
            "plain_http": f"{state.address},{host}",
        }
        yield EnvironmentsForge(state, settings)
