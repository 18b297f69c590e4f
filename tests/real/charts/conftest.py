"""A registry for the tests of charts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.registry_process import registry


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real registry; each test uses a project of its own in it."""
    with registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def place(running: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A path in the registry that no other test uses; the working directory is an empty workspace."""
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")
    return f"{running}/{tmp_path.name.replace('_', '-')}"
