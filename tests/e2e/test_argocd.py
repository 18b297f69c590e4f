"""The chart installed, upgraded and removed by Argo CD, from a Git repository."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.e2e.installation import CHART, PATIENCE_SECONDS, Installation
from tests.e2e.place import Place, kubectl
from tests.e2e.test_installation import ALWAYS_THERE, STANDING, objects
from tests.git_repositories import Repository
from tests.git_server import GitServer

ARGOCD = os.environ.get("ARGOCD_NAMESPACE", "argocd")
APPLICATION = "applications.argoproj.io"
FINALIZER = "resources-finalizer.argocd.argoproj.io"
Document = dict[str, Any]


@pytest.fixture
def empty(where: Place) -> Iterator[Installation]:
    """Give a namespace in which nothing is installed yet, where Argo CD runs."""
    asked = subprocess.run(["kubectl", "-n", ARGOCD, "get", APPLICATION], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        pytest.skip(f"no Argo CD: {asked.stderr.strip()[:200]}")
    name = f"shipway-e2e-{secrets.token_hex(3)}"
    kubectl(name, "create", "namespace", name)
    yield Installation(where, name)
    subprocess.run(["kubectl", "-n", ARGOCD, "delete", APPLICATION, name], capture_output=True, check=False)
    subprocess.run(["kubectl", "delete", "namespace", name, "--wait=false"], capture_output=True, check=False)


def test_argo_cd_installs_upgrades_and_removes(empty: Installation, git: GitServer) -> None:
    """Each time Synced and Healthy, without a diff that comes
    back; what a value takes out is pruned; nothing stays behind.
    """
    repository = published(git)
    values = {"image": empty.where.image, "settings": {**empty.settings, "builder": "buildkit"}, "buildkit": STANDING}
    apply(application(empty, f"{git.url}/charts", values))
    first = until(empty, lambda found: settled(found, repository.git("rev-parse", "HEAD")))
    assert "statefulset.apps/shipway-buildkit" in objects(empty)
    assert "buildkit" in helm_test(empty)

    # A further comparison, made from nothing, finds nothing to do.
    kubectl(ARGOCD, "annotate", APPLICATION, empty.namespace, "argocd.argoproj.io/refresh=hard", "--overwrite")
    again = until(empty, lambda found: found["status"].get("reconciledAt", "") > first["status"]["reconciledAt"])
    assert settled(again, repository.git("rev-parse", "HEAD")), again["status"]
    assert len(again["status"]["history"]) == 1

    chart = repository.path / "shipway" / "Chart.yaml"
    repository.write("shipway/Chart.yaml", chart.read_text().replace("version: ", "version: 1", 1)).commit()
    apply(application(empty, f"{git.url}/charts", {**values, "buildkit": {"enabled": False}}))
    until(empty, lambda found: settled(found, repository.git("rev-parse", "HEAD")))
    assert not any("buildkit" in name for name in objects(empty) if not name.startswith("pod"))

    kubectl(ARGOCD, "delete", APPLICATION, empty.namespace, f"--timeout={PATIENCE_SECONDS:.0f}s")
    assert objects(empty) == ALWAYS_THERE


def published(git: GitServer) -> Repository:
    """Make a repository of the chart."""
    repository = Repository(git.root / "charts")
    for path in sorted(CHART.rglob("*")):
        if path.is_file():
            repository.write(f"shipway/{path.relative_to(CHART)}", path.read_bytes())
    repository.commit()
    return repository


def application(installation: Installation, repo: str, values: Mapping[str, object]) -> Document:
    """Return the Application, as docs/operating.md has it."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": installation.namespace, "namespace": ARGOCD, "finalizers": [FINALIZER]},
        "spec": {
            "project": "default",
            "source": {
                "repoURL": repo,
                "path": "shipway",
                "targetRevision": "main",
                "helm": {"releaseName": "shipway", "valuesObject": values},
            },
            "destination": {"server": "https://kubernetes.default.svc", "namespace": installation.namespace},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
        },
    }


def apply(document: Document) -> None:
    """Make an Application, or change it."""
    kubectl(ARGOCD, "apply", "-f", "-", given=document)


def settled(found: Document, revision: str) -> bool:
    """Whether Argo CD has brought the cluster to a commit,
    with the values of the Application, and all is well there.
    """
    status = found.get("status", {})
    compared = status.get("sync", {}).get("comparedTo", {}).get("source", {})
    return bool(
        status.get("sync", {}).get("status") == "Synced"
        and status["sync"].get("revision") == revision
        and compared == found["spec"]["source"]
        and status.get("health", {}).get("status") == "Healthy"
        and status.get("operationState", {}).get("phase") == "Succeeded"
    )


def until(installation: Installation, wanted: Callable[[Document], bool]) -> Document:
    """Wait until the Application is as wanted, and return it; fails with its status."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not wanted(found := look(installation)):
        assert time.monotonic() < deadline, json.dumps(found.get("status"), indent=1)
        time.sleep(1)
    return found


def look(installation: Installation) -> Document:
    """Return the Application as it stands now."""
    found: Document = json.loads(kubectl(ARGOCD, "get", APPLICATION, installation.namespace, "-o", "json"))
    return found


def helm_test(installation: Installation) -> str:
    """Run the chart's test pod, which is not part of a sync, as docs/operating.md says, and return its log."""
    rendered = subprocess.run(
        [
            "helm",
            "template",
            "shipway",
            str(CHART),
            "-n",
            installation.namespace,
            "--show-only",
            "templates/tests/installation.yaml",
            "--values",
            "-",
        ],
        input=json.dumps(look(installation)["spec"]["source"]["helm"]["valuesObject"]),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    kubectl(installation.namespace, "apply", "-f", "-", given=yaml.safe_load(rendered))
    kubectl(
        installation.namespace, "wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=300s", "pod/shipway-test"
    )
    log = kubectl(installation.namespace, "logs", "shipway-test")
    kubectl(installation.namespace, "delete", "pod", "shipway-test")
    return log
