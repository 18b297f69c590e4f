"""Argo's own folder in the pods of a check: what a container writes that a stranger's program took over.

It is started in the container, as after a break out of the builder or of Helm: tests/e2e/attack.py. `main` of the pod,
which passes on the results, starts before anything was built or rendered, and reads what the attack put there.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipelines.release.result import GOOD
from pipelines.step.texts import decode, encode
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.reference import Reference
from tests import chart_trees, git_server
from tests.e2e.installation import PATIENCE_SECONDS, Installation
from tests.e2e.test_argo_folder import ATTACK, ENCODED, PASSWORD, TOKEN, USER
from tests.e2e.test_clone_build_push import closed
from tests.e2e.test_secrets import docker_config, secret
from tests.git_repositories import Repository
from tests.git_server import GitServer

REPORT = json.dumps([["web", "site", "victim"], []])
PAGE = "{{=1+1}} {{workflow.uid}} <script>"
LIES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "try-images": ("build", {"report": encode(REPORT), "built": "7", "failed": "0"}),
    "try-charts": ("check", {"report": encode(REPORT), "errors": "0", "warnings": "0"}),
    "impact": ("render", {"markdown": encode(PAGE), "changed": "1", "broken": "0"}),
}
"""For each pod that runs a stranger's files: the container that does, and what it may put out."""


@pytest.mark.parametrize(("mode", "ends"), [("links", "3"), ("raw", "2"), ("lies", "0")])
def test_a_check_shows_nothing_and_believes_nothing_of_others(
    mode: str, ends: str, installation: Installation, git: GitServer, tmp_path: Path
) -> None:
    """No token, no login and no text that Argo evaluates; the verdict is about what was planned, nothing is published.

    Links and texts of another form are refused by `main`, and the verdict says that nothing was tried.
    """
    installation.configure(project=f"{installation.namespace}/checks-{mode}")
    repository = Repository(git.root / mode)
    repository.write("web/Dockerfile", "FROM shipway.local/busybox:static\nRUN true\n")
    chart_trees.add(repository, "site")
    repository.commit()
    logins = {"config.json": docker_config("registry.example.org", USER, PASSWORD)}
    with (
        git_server.serving(tmp_path, host=installation.where.host) as told,
        secret(installation, "shipway-check-pull", **logins),
    ):
        name = installation.start("check", repo=f"{git.url}/{mode}", revision="main", ref="")
        installation.until(name, lambda run: any(node["phase"] == "Succeeded" for node in run.pods("plan")))
        closed(git)  # so that whatever comes before the containers waits
        assert git.hold
        attacks = [attack(installation, name, template, mode, told) for template in LIES]
        assert [each.wait(PATIENCE_SECONDS) for each in attacks] == [0] * len(LIES)
        git.hold.set()
        run = installation.finished(name)

    containers = [container for container, _ in LIES.values()]
    assert {request.rpartition("/attack/")[2] for request in told.requests} == {
        f"{each}-{mode}/{what}" for each in containers for what in ("begun", f"main-{ends}")
    }
    shown = json.dumps(run.document) + installation.story(run)
    assert not [text for text in (PASSWORD, ENCODED, TOKEN, "victim: ") if text in shown]
    [verdict] = run.pods("verdict")
    summary = json.loads(decode(outputs(verdict)["summary"]))
    assert {part["name"]: part["result"] in GOOD for part in summary["parts"]} == dict.fromkeys(
        ("web", "site"), mode == "lies"
    )
    if mode == "lies":
        [impact] = run.pods("impact")
        assert outputs(impact)["markdown"] == encode(PAGE)
    else:
        assert run.phase == "Failed"
    client = Registry(Credentials(), plain_http=frozenset({installation.where.registry}))
    for image in ("web", "charts/site", "victim"):
        to = Reference.under(installation.where.registry, f"{installation.namespace}/checks-{mode}", image)
        assert client.tags(to) == ()


def attack(installation: Installation, run: str, template: str, mode: str, to: GitServer) -> subprocess.Popen[str]:
    """Start the attack in a pod of a run, once its container is there."""
    container, lies = LIES[template]
    told = dict.fromkeys(lies, "{{workflow.uid}}") if mode == "raw" else lies
    [pod] = running(installation, run, container)
    words = ["exec", "-i", pod, "-c", container, "--", "python3", "-"]
    command = ["kubectl", "-n", installation.namespace, *words, to.url, container, mode, json.dumps(told)]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    assert started.stdin
    started.stdin.write(ATTACK.read_text())
    started.stdin.close()
    return started


def running(installation: Installation, run: str, container: str) -> list[str]:
    """Return the names of a run's pods that have a container, once all containers of one are running."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found = [
            pod["metadata"]["name"]
            for pod in installation.pods(run)
            if container in {each["name"] for each in pod["spec"]["containers"]}
            and all("running" in each["state"] for each in pod["status"].get("containerStatuses", ({"state": {}},)))
        ]
        if found:
            return found
        time.sleep(0.3)
    return []


def outputs(node: Mapping[str, object]) -> dict[str, str]:
    """Return a node's outputs."""
    found = node.get("outputs")
    assert isinstance(found, dict)
    return {parameter["name"]: parameter["value"] for parameter in found["parameters"]}
