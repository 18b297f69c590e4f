"""The chart on a real cluster: taken by its API to the letter, installed, upgraded and removed, twice side by side."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import VALUES, Document, render
from tests.chart.rights import Rights, golden, rights, with_events
from tests.e2e.events import BUS
from tests.e2e.installation import CHART, PATIENCE_SECONDS, Installation
from tests.e2e.place import Place, kubectl
from tests.git_repositories import Repository
from tests.git_server import GitServer

SMALL = {"requests": {"cpu": "50m", "memory": "128Mi"}}
STANDING = {"enabled": True, "persistent": False, "storageGiB": 5, "resources": SMALL}
ALWAYS_THERE = {"configmap/kube-root-ca.crt", "serviceaccount/default"}


@pytest.fixture
def neighbours(where: Place) -> Iterator[tuple[Installation, Installation]]:
    """Give the chart in two namespaces of its own."""
    names = [f"shipway-e2e-{secrets.token_hex(3)}" for _ in range(2)]
    for name in names:
        kubectl(name, "create", "namespace", name)
    yield Installation(where, names[0]), Installation(where, names[1])
    for name in names:
        subprocess.run(["kubectl", "delete", "namespace", name, "--wait=false"], capture_output=True, check=False)


GITEA = {"forge": "gitea", "url": "https://git.example.com/team/shop.git", "branch": "main"}
GITHUB = {"forge": "github", "url": "https://github.com/team/shop.git", "branch": "main"}
EVENTS: dict[str, Any] = {"enabled": True, "manual": True, "bus": BUS, "repositories": [GITEA], "schedule": "0 3 1 1 *"}
CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {"events": EVENTS},
    "another forge": {"events": EVENTS | {"repositories": [GITEA, GITHUB]}},
    "a forge less": {"events": EVENTS | {"repositories": [GITHUB]}},
    "no requests by hand": {"events": EVENTS | {"manual": False}},
    "another time": {"events": EVENTS | {"schedule": "0 4 1 1 *", "timezone": "Europe/Berlin"}},
    "another branch": {"events": EVENTS | {"repositories": [GITEA | {"branch": "next"}]}},
    "other nodes": {"events": EVENTS, "nodeSelector": {"kubernetes.io/os": "linux"}},
    "another image": {"events": EVENTS, "image": "registry.example.com/shipway:2"},
    "other resources": {"events": EVENTS, "resources": {"deploy": {"main": {"limits": {"memory": "2048Mi"}}}}},
    "other accounts": {"events": EVENTS, "submitters": [{"kind": "User", "name": "eve"}]},
    "nobody listens": {},
    "somebody listens again": {"events": EVENTS},
}


def helm_of(major: int) -> str:
    """Return the program that is Helm of a version, or an empty text."""
    for name in ("helm", f"helm{major}"):
        if (found := shutil.which(name)) and subprocess.run(
            [found, "version", "--template", "{{.Version}}"], capture_output=True, text=True, check=True
        ).stdout.startswith(f"v{major}"):
            return found
    return ""


@pytest.mark.parametrize("major", [3, 4])
def test_every_change_is_an_upgrade(major: int, where: Place, tmp_path: Path) -> None:
    """An installation with events, after Argo Events has written to it: with nothing changed, with each kind of value,
    with a newer chart. What was left out is gone, and nothing of what Helm applies is another's.
    """
    program = helm_of(major)
    if not program:
        pytest.skip(f"no Helm {major}: put it on PATH as helm{major}")
    name = f"shipway-e2e-{secrets.token_hex(3)}"
    kubectl(name, "create", "namespace", name)
    try:
        listening = Installation(where, name, program)
        listening.upgrade({"events": EVENTS})
        for values in CHANGES.values():
            settled(listening)
            listening.upgrade(values, project=name)
        newer = ["package", str(CHART), "--version", "9.9.9", "--destination", str(tmp_path)]
        listening.helm(*newer)
        settled(listening)
        listening.upgrade({"events": EVENTS}, chart=str(tmp_path / "shipway-9.9.9.tgz"))
        settled(listening, "shipway-9.9.9")
        listening.remove()
    finally:
        subprocess.run(["kubectl", "delete", "namespace", name, "--wait=false"], capture_output=True, check=False)


def test_notes_name_the_secrets_that_are_missing(neighbours: tuple[Installation, Installation]) -> None:
    """As the cluster has them while Helm installs."""
    one, _ = neighbours
    assert "shipway-push: pushes to" in one.upgrade()
    kubectl(one.namespace, "create", "secret", "generic", "shipway-push", "--from-literal=config.json={}")
    told = one.upgrade()
    assert "shipway-push" not in told
    assert "shipway-git: clones private repositories" in told


def settled(installation: Installation, chart: str = "shipway-0.1.0") -> None:
    """Wait until Argo Events has seen each of its objects, and check that they are as the chart says, and Helm's."""
    rendered = installation.helm("get", "manifest", "shipway")
    for document in yaml.load_all(rendered, Loader=yaml.CSafeLoader):
        if not document or document["kind"] not in {"EventBus", "EventSource", "Sensor"}:
            continue
        words = ("get", document["kind"], document["metadata"]["name"], "-o", "json", "--show-managed-fields")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (seen := json.loads(kubectl(installation.namespace, *words)))["metadata"].get("finalizers"):
            assert time.monotonic() < deadline, seen
            time.sleep(1)
        assert seen["metadata"]["labels"]["helm.sh/chart"] == chart
        # Argo Events writes one field of a Sensor back that cannot be written without a value.
        assert {key: value for key, value in seen["spec"].items() if key != "loggingFields"} == document["spec"]
        owned = [m["fieldsV1"].get("f:spec", {}) for m in seen["metadata"]["managedFields"] if m["manager"] != "helm"]
        assert {key for fields in owned for key in fields} <= {"f:loggingFields"}, owned


@pytest.mark.parametrize("values", VALUES)
def test_the_cluster_takes_every_document(values: str, installation: Installation) -> None:
    """Strictly: an unknown field or a value of the wrong type, also in Argo's own kinds, is an error."""
    installation.configure()
    documents = render(values, installation.namespace)
    given = {"apiVersion": "v1", "kind": "List", "items": documents}
    kubectl(installation.namespace, "apply", "--dry-run=server", "--validate=strict", "-f", "-", given=given)


def test_accounts_may_do_what_the_golden_file_says(installation: Installation) -> None:
    """As the cluster answers `kubectl auth can-i --list`, without what it lets everybody do."""
    place = installation.namespace
    submitter = {"kind": "ServiceAccount", "name": "eve", "namespace": place}
    installation.configure({"submitters": [submitter]})
    there = objects(installation)
    accounts = {"ServiceAccount", "Role", "RoleBinding"}
    more = [d for d in with_events(place) if d["kind"] in accounts and not is_there(d, there)]
    kubectl(place, "apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": more})
    try:
        # Not `default`, which other tests of the session may have given something.
        everybody = allowed(place, "nobody")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all(allowed(place, name).keys() - everybody.keys() for name in ("eve", "shipway-reconcile")):
            # The cluster takes a moment to hear of a new binding.
            assert time.monotonic() < deadline
            time.sleep(1)
        for account, expected in golden().items():
            seen = allowed(place, "eve" if account == "shipway-submitter" else account)
            assert {what: verbs for what, verbs in seen.items() if everybody.get(what) != verbs} == expected, account
        assert allowed("default", "eve", of=place) == allowed("default", "default", of=place)
    finally:
        kubectl(place, "delete", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": more})


def test_two_installations_come_change_and_go_apart(neighbours: tuple[Installation, Installation]) -> None:
    """`helm test` passes in each, with other values; what one does the other does not feel; nothing stays behind."""
    one, other = neighbours
    one.configure()
    other.configure({"buildkit": STANDING}, builder="buildkit")
    assert "buildah" in one.check()
    assert "buildkit" in other.check()

    before = objects(other)
    one.configure({"buildkit": STANDING}, builder="buildkit")
    assert {"statefulset.apps/shipway-buildkit", "service/shipway-buildkit"} <= objects(one)
    one.configure()
    without_pods(one)
    assert not any("buildkit" in name for name in objects(one))
    one.remove()
    assert objects(one) == ALWAYS_THERE
    assert objects(other) == before
    assert "buildkit" in other.check()
    other.remove()
    without_pods(other)
    assert objects(other) == ALWAYS_THERE


def test_builds_in_a_standing_builder(
    neighbours: tuple[Installation, Installation], installation: Installation, git: GitServer
) -> None:
    """The digest is that of a builder in the pod; the second build finds the first one's layers, also after a restart
    of nothing but the run; and no container of the run may have user namespaces."""
    step = "FROM shipway.local/busybox:static\nRUN echo layer > /layer\nCOPY text /text\n"
    repository = Repository(git.root / "app").write("Dockerfile", step).write("text", "one\n")
    repository.commit()
    arguments = {"repo": f"{git.url}/app", "revision": "main", "path": ".", "name": "standing"}
    installation.configure(builder="buildkit")
    in_pod = installation.run("clone-build-push", **arguments)
    assert in_pod.phase == "Succeeded", installation.story(in_pod)

    standing, _ = neighbours
    standing.configure({"buildkit": STANDING}, builder="buildkit")
    first = standing.run("clone-build-push", **arguments)
    assert first.phase == "Succeeded", standing.story(first)
    assert first.outputs["digest"] == in_pod.outputs["digest"]
    repository.write("text", "two\n").commit()
    second = standing.run("clone-build-push", **arguments)
    assert second.phase == "Succeeded", standing.story(second)
    (pod,) = standing.pods(second.name)
    assert "CACHED" in standing.log(pod["metadata"]["name"], "build")
    ours = [c["securityContext"] for c in pod["spec"]["containers"] if c["name"] != "wait"]
    assert [context["allowPrivilegeEscalation"] for context in ours] == [False] * 3


def allowed(namespace: str, account: str, *, of: str = "") -> Rights:
    """Return what the cluster lets an account do in a namespace."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    who = f"--as=system:serviceaccount:{of or namespace}:{account}"
    answer = json.loads(kubectl(namespace, "create", "-f", "-", "-o", "json", "--validate=false", who, given=review))
    return rights(answer["status"]["resourceRules"])


def objects(installation: Installation) -> set[str]:
    """Return every object of a namespace, but for pods, which end
    in their own time, and what the cluster writes about others.
    """
    kinds = subprocess.run(
        ["kubectl", "api-resources", "--namespaced", "--verbs=list", "--output=name"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    asked = ",".join(
        kind for kind in kinds if not kind.startswith(("pods", "events", "endpoint", "controllerrevisions"))
    )
    return set(kubectl(installation.namespace, "get", asked, "--output=name", "--ignore-not-found").split())


def is_there(document: Document, names: set[str]) -> bool:
    """Whether an object of this kind and name is among those of `objects`."""
    kind, name = document["kind"].lower(), document["metadata"]["name"]
    return any(there.partition("/")[0].partition(".")[0] == kind and there.endswith(f"/{name}") for there in names)


def without_pods(installation: Installation) -> None:
    """Wait until the pods that nobody wants any more have ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left := kubectl(installation.namespace, "get", "pods", "--output=name"):
        assert time.monotonic() < deadline, left
        time.sleep(1)
