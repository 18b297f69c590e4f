"""`shipway charts`: the compiled chart-release on the local engine, against the real Helm and a real registry."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.chart_trees import add, family
from tests.git_repositories import Repository
from tests.registry_process import registry

pytestmark = pytest.mark.helm
PATIENCE_SECONDS = 60.0
CHAIN = 8


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Run a registry."""
    with registry(tmp_path) as found:
        yield found


def _start(repository: Repository, address: str, project: str, state: Path, *flags: str) -> subprocess.Popen[str]:
    state.mkdir(exist_ok=True)
    settings = state / "settings.yaml"
    settings.write_text(f"registry: {address}\nproject: {project}\nplain-http: {address}\n")
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pipelines",
            "charts",
            str(repository.path),
            f"--settings={settings}",
            f"--state={state}",
            "--json",
            "--quiet",
            *flags,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ.copy(),
    )


def _release(
    repository: Repository, address: str, project: str, state: Path, *flags: str
) -> tuple[int, dict[str, Any]]:
    process = _start(repository, address, project, state, *flags)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert stdout, stderr
    return process.returncode, json.loads(stdout)


def _states(told: dict[str, Any]) -> dict[str, str]:
    return {chart["name"]: chart["state"] for chart in told["charts"]}


def _digests(told: dict[str, Any]) -> dict[str, str]:
    return {chart["name"]: chart["digest"] for chart in told["charts"]}


def test_from_a_commit_to_charts(address: str, tmp_path: Path) -> None:
    """Everything is pushed once; then all is identical; a chart with faults keeps every other from being released."""
    repository = family(tmp_path / "repository")
    code, first = _release(repository, address, "team", tmp_path / "state")
    assert (code, first["phase"], first["pushed"]) == (0, "Succeeded", 3), first
    assert first["commit"] == repository.git("rev-parse", "HEAD")
    assert first["bytes"] > 0
    repository.write("README.md", "no chart\n").commit()
    code, second = _release(repository, address, "team", tmp_path / "state")
    assert (code, second["pushed"], second["bytes"]) == (0, 0, 0)
    assert _digests(second) == _digests(first)
    assert set(_states(second).values()) == {"identical"}

    add(repository, "apps/new")
    add(repository, "apps/broken")
    repository.write("apps/broken/templates/bad.yaml", "a: {{ .Values.x.y }}\n")
    repository.write("libs/base/values.yaml", "text: changed\n").commit()
    code, third = _release(repository, address, "team", tmp_path / "state")
    assert (code, third["phase"], third["charts"]) == (3, "Failed", [])
    assert "apps/broken/templates/bad.yaml:1: error:" in third["error"]["seen"]
    code, going = _release(repository, address, "team", tmp_path / "state", "--keep-going")
    assert (code, going["phase"], _states(going)) == (3, "Failed", {"new": "pushed"})
    assert going["error"]["failed"] == "4 of 5 charts are not released"
    assert "apps/broken/templates/bad.yaml:1: error:" in going["error"]["seen"]
    assert "next version is 1.0.1" in going["error"]["seen"]
    assert going["error"]["exit_code"] == code
    code, fourth = _release(repository, address, "team", tmp_path / "state", "--ignore", "apps/broken")
    assert code == 3
    assert "values.yaml" in fourth["error"]["seen"]
    assert "next version is 1.0.1" in fourth["error"]["seen"]
    with urllib3.PoolManager(retries=False) as pool:
        assert pool.request("GET", f"http://{address}/v2/team/charts/broken/tags/list").status == 404


def test_a_release_that_was_killed_is_finished_by_the_next(address: str, tmp_path: Path) -> None:
    """What is visible after kill -9 is whole; the rerun pushes
    the rest, and all digests are those of a run in peace.
    """
    repository = Repository(tmp_path / "repository")
    add(repository, "c0")
    for number in range(1, CHAIN):
        add(repository, f"c{number}", (f"c{number - 1}", "1.0.0", f"file://../c{number - 1}", "1.0.0"))
    repository.commit()
    process = _start(repository, address, "killed", tmp_path / "state")
    with urllib3.PoolManager(retries=False) as pool:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while pool.request("GET", f"http://{address}/v2/killed/charts/c0/tags/list").status != 200:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE_SECONDS)
        _assert_whole(pool, f"http://{address}/v2/killed/charts")
    _, rest = _release(repository, address, "killed", tmp_path / "state")
    _, peaceful = _release(repository, address, "peaceful", tmp_path / "state")
    assert len(_digests(rest)) == CHAIN
    assert _digests(rest) == _digests(peaceful)
    assert peaceful["pushed"] == CHAIN


def _assert_whole(pool: urllib3.PoolManager, root: str) -> None:
    for number in range(CHAIN):
        answer = pool.request(
            "GET",
            f"{root}/c{number}/manifests/1.0.0",
            headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
        )
        if answer.status == 200:
            manifest = answer.json()
            for blob in (manifest["config"], *manifest["layers"]):
                found = pool.request("GET", f"{root}/c{number}/blobs/{blob['digest']}")
                assert (found.status, len(found.data)) == (200, blob["size"])
