"""The chart `environments` on a real Argo CD: stages, sources, self-heal, prune, and an image that does not run."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.engines.embedded import deployment
from tests.e2e import argo_cd
from tests.e2e.argo_cd import NAMESPACE, ArgoCd, state
from tests.e2e.place import Place, kubectl, lacking
from tests.git_server import GitServer


@pytest.fixture
def environment(where: Place, namespace: str, git: GitServer) -> Iterator[ArgoCd]:
    """Give an environment that ends with the test."""
    if why := lacking() or argo_cd.lacking():
        pytest.skip(why)
    made = ArgoCd(where, namespace, git, f"e2e-{secrets.token_hex(3)}")
    yield made
    made.remove()


def test_an_environment_follows_its_repository(environment: ArgoCd) -> None:
    """One stage after the other, from a registry and from Git; then it takes away, and survives a broken image."""
    image = f"{environment.where.registry}/{deployment.BASE}"
    git = {"repo": environment.charts_address, "path": "app", "revision": "main", "stage": "infrastructure"}
    environment.write("first", {"stage": "crd"}, {"image": image})
    environment.write("second", git, {"image": image})
    environment.write("last", {"serverSideApply": True}, {"image": image, "extra": True})
    commit = environment.commit()
    environment.install(sync={"share": {"application": 1}})

    # The stages: each one's objects were made when those of the one before were ready.
    names = ("first", "second", "last")
    found = [environment.healthy(name, commit) for name in names]
    made = [environment.object("deployment", name)["metadata"]["creationTimestamp"] for name in names]
    ready = [available(environment.object("deployment", name)) for name in names]
    assert ready[0] <= made[1]
    assert ready[1] <= made[2]
    assert found[2]["spec"]["syncPolicy"]["syncOptions"] == ["CreateNamespace=true", "ServerSideApply=true"]

    # What is no longer declared goes: an object, and a whole application. What was changed by hand comes back with that
    # commit.
    kubectl(environment.namespace, "scale", "deployment", "first", "--replicas=0")
    environment.until("first", lambda item: state(item)[0] == "OutOfSync")
    environment.write("last", {}, {"image": image})
    environment.repository.git("rm", "-rq", f"{environment.name}/second")
    commit = environment.commit()
    environment.healthy("last", commit)
    environment.until("last", lambda _: not has(environment, "configmap/last-extra"))
    environment.until("last", lambda _: not has(environment, "deployment/second"))
    environment.healthy("first", commit)
    assert environment.object("deployment", "first")["spec"]["replicas"] == 1

    # An image that is not there: the new pod never runs, the old one goes on, and Argo CD says so.
    environment.write("last", {}, {"image": f"{environment.where.registry}/nobody/knows:it"})
    environment.commit()
    environment.until("last", lambda item: state(item)[1] == "Degraded")
    assert image in running(environment, "last")
    environment.write("last", {}, {"image": image, "text": "mended"})
    environment.healthy("last", environment.commit())
    assert running(environment, "last") == {image}


def test_an_environment_heals_and_keeps_strangers_out(environment: ArgoCd) -> None:
    """What is changed or deleted by hand comes back; an application in another namespace makes nothing there.

    One whose file says no namespace, or no version, is refused alone.
    """
    image = f"{environment.where.registry}/{deployment.BASE}"
    environment.write("web", {}, {"image": image, "extra": True})
    environment.write("stranger", {"namespace": "kube-public"}, {"image": image})
    environment.write("homeless", {"namespace": None}, {"image": image})
    environment.write("timeless", {"version": None}, {"image": image})
    commit = environment.commit()
    environment.install(sync={"stages": False, "selfHeal": True})
    environment.healthy("web", commit)
    kubectl(environment.namespace, "scale", "deployment", "web", "--replicas=0")
    environment.until("web", lambda _: environment.object("deployment", "web")["spec"]["replicas"] == 1)
    kubectl(environment.namespace, "delete", "configmap", "web-extra")
    environment.until("web", lambda _: has(environment, "configmap/web-extra"))
    found = environment.until("stranger", lambda item: bool(item.get("status", {}).get("conditions")))
    assert "do not match any of the allowed destinations" in json.dumps(found["status"]["conditions"])
    for name in ("homeless", "timeless"):
        environment.until(name, lambda item: bool(item.get("status", {}).get("conditions")))
        assert not has(environment, f"deployment/{name}")
    assert not json.loads(kubectl("kube-public", "get", "deployments", "-o", "json"))["items"]
    assert found["metadata"]["namespace"] == NAMESPACE


def available(deployment: dict[str, Any]) -> str:
    """Return when a deployment's pods were ready."""
    conditions = {condition["type"]: condition for condition in deployment["status"]["conditions"]}
    return str(conditions["Available"]["lastTransitionTime"])


def has(environment: ArgoCd, name: str) -> bool:
    """Whether the environment's namespace has an object."""
    return bool(kubectl(environment.namespace, "get", name, "--ignore-not-found", "-o", "name").strip())


def running(environment: ArgoCd, application: str) -> set[str]:
    """Return the images of an application's pods that are ready."""
    asked = kubectl(environment.namespace, "get", "pods", "-l", f"app={application}", "-o", "json")
    return {
        status["image"]
        for pod in json.loads(asked)["items"]
        if "deletionTimestamp" not in pod["metadata"]
        for status in pod["status"].get("containerStatuses", ())
        if status["ready"]
    }
