"""What the tests on a cluster share: an installation of the chart in a namespace of its own, and a Git server."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.engines.embedded import deployment
from tests import git_server
from tests.e2e.argo import Cluster
from tests.e2e.installation import Installation
from tests.e2e.place import Place, kubectl, lacking, place
from tests.git_server import GitServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and skip them with one line where there is no cluster."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.cluster)
        if item.config.option.markexpr == "cluster" and (why := lacking()):
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def where() -> Place:
    """Return the cluster's surroundings, with the base of the examples in its registry."""
    found = place()
    deployment.publish_base(found.registry)
    return found


@pytest.fixture(scope="session")
def namespace() -> Iterator[str]:
    """Give a namespace that ends with the tests."""
    name = f"shipway-e2e-{secrets.token_hex(3)}"
    kubectl(name, "create", "namespace", name)
    yield name
    subprocess.run(["kubectl", "delete", "namespace", name, "--wait=false"], capture_output=True, check=False)


@pytest.fixture(scope="session")
def installation(where: Place, namespace: str) -> Installation:
    """Return the chart, installed with a project of its own in the registry."""
    installed = Installation(where, namespace)
    installed.configure()
    return installed


@pytest.fixture(scope="session")
def cluster(where: Place, namespace: str) -> Cluster:
    """Return the namespace, for documents that are not the chart's."""
    return Cluster(namespace, f"{where.registry}/{deployment.BASE}")


@pytest.fixture
def git(tmp_path: Path, where: Place) -> Iterator[GitServer]:
    """Give a Git server that pods reach; `git.root` holds the repositories."""
    root = tmp_path / "git"
    root.mkdir()
    with git_server.serving(root, host=where.host) as server:
        yield server
