"""Which pods are an application's, by the objects that own them."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.deploy.running import LivePods, RunningImages


def pod(kind: str, name: str, **labels: str) -> dict[str, Any]:
    """Return a pod that an object of this kind and name owns."""
    return {
        "metadata": {"name": "p", "labels": labels, "ownerReferences": [{"kind": kind, "name": name}]},
        "spec": {"containers": [{"name": "app", "image": "r.example:5000/web:main@sha256:1"}]},
        "status": {"containerStatuses": [{"name": "app", "imageID": "x@sha256:1", "state": {"running": {}}}]},
    }


@pytest.mark.parametrize(
    ("owner", "listed", "is_own"),
    [
        (pod("ReplicaSet", "web-5d4f", **{"pod-template-hash": "5d4f"}), ("Deployment", "web"), True),
        (pod("ReplicaSet", "web-5d4f", **{"rollouts-pod-template-hash": "5d4f"}), ("Rollout", "web"), True),
        (pod("ReplicaSet", "web-5d4f"), ("ReplicaSet", "web-5d4f"), True),
        (pod("ReplicaSet", "web-5d4f"), ("Deployment", "web"), False),
        (pod("ReplicaSet", "web-api-5d4f", **{"pod-template-hash": "5d4f"}), ("Deployment", "web"), False),
        (pod("StatefulSet", "web"), ("StatefulSet", "web"), True),
        (pod("DaemonSet", "web"), ("StatefulSet", "web"), False),
        (pod("Node", "n"), ("Pod", "p"), True),
    ],
)
def test_a_pod_is_its_owners(owner: dict[str, Any], listed: tuple[str, str], is_own: bool) -> None:
    """Of which Argo CD lists the uppermost; another one's in the same namespace is not taken for it."""
    application = {
        "spec": {"destination": {"name": "in-cluster"}},
        "status": {"resources": [{"kind": listed[0], "name": listed[1], "namespace": "prod"}]},
    }
    found = LivePods(ask=lambda path: {"items": [owner]}).of(application)
    assert [(one.image, one.digest) for one in found.found] == ([("r.example:5000/web", "sha256:1")] if is_own else [])
    assert LivePods(ask=lambda path: {}).of({}) == RunningImages(
        unknown="it runs in another cluster, which is not named"
    )
