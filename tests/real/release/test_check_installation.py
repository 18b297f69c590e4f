"""The step `check-installation`: what it tells of a registry and a builder."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import Misconfigured
from pipelines.release.check_installation import InstallationCheck
from tests.build_workspace import each_builder
from tests.registry_process import registry
from tests.steps import step

check_installation = step("check-installation", InstallationCheck)

BUSYBOX = "busybox"


@each_builder
def test_registry_and_builder_are_tried(
    builder: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what works, it says who built; the registry has nothing new, nor has the workspace."""
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")
    with registry(tmp_path) as address:
        found = check_installation(
            registry=address, project="team", plain_http=address, builder=builder, cache=cache, program=BUSYBOX
        )
    assert found.registry == f"{address}/team"
    assert found.builder.startswith(f"{builder} ")
    assert not list((tmp_path / "workspace").iterdir())
    assert not list((tmp_path / "registry").glob("data/docker/registry/v2/repositories/*"))


def test_a_login_that_is_wrong_is_told(tmp_path: Path) -> None:
    """Before anything is built."""
    with (
        registry(tmp_path, {"ada": "right"}) as address,
        pytest.raises(Misconfigured, match=address.replace(".", r"\.")),
    ):
        check_installation(registry=address, plain_http=address, docker_config=tmp_path / "none", cache=tmp_path)
