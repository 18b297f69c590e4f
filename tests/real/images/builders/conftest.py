"""Who is asked while a builder works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from tests.counting_door import Door, counting
from tests.registry_process import registry

PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@pytest.fixture
def doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Door, Door]]:
    """A registry, and what is set as proxy for every other host, each behind a door that counts."""
    with registry(tmp_path / "registry") as running, counting(running) as asked, counting() as outside:
        for name in PROXIES:
            monkeypatch.setenv(name, f"http://{outside.address}")
            monkeypatch.delenv(name.upper(), raising=False)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield asked, outside
        with urllib3.PoolManager(retries=False) as pool:
            assert pool.request("GET", f"http://{asked.address}/v2/").status == 200
        assert asked.count == 1, "the door counts, and nobody else came through"
