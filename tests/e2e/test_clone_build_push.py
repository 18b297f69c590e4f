"""The compiled clone-build-push on the real controller: its digests, its retries, and what its containers see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import yaml

from pipelines.engines.embedded.deployment import publish_example
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.reference import Reference
from tests import git_server
from tests.build_workspace import each_builder
from tests.e2e.installation import PATIENCE_SECONDS, Installation, Run
from tests.e2e.place import kubectl
from tests.git_repositories import Repository
from tests.git_server import GitServer

EXAMPLES = Path(__file__).parents[2] / "examples"
BUSYBOX = "FROM shipway.local/busybox:static\n"
CLONE_FAILED = "non-zero code: 75"
# Kills the builder, and leaves the step that started it alone.
KILL = """
import os, pathlib
for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    if b"--layers" in path.read_bytes().split(b"\\0"):
        os.kill(int(path.parent.name), 9)
"""

LOOKS = (
    "/var/run/argo /run/argo /shipway /var/run/secrets/kubernetes.io"
    " /proc/[0-9]*/root/var/run/argo /proc/[0-9]*/root/shipway /proc/[0-9]*/root/var/run/secrets/kubernetes.io"
    " /proc/[0-9]*/cwd/out /proc/[0-9]*/cwd/../clone"
)
# What a step would do that broke out of its builder: tell the containers that wait that the build has ended well.
FALSE_EXIT = 'import pathlib; pathlib.Path("/var/run/argo/ctr/build/exitcode").write_text("0")'


@each_builder
def test_digests_are_those_of_a_laptop(
    builder: str, installation: Installation, git: GitServer, tmp_path: Path
) -> None:
    """Each builder gives every image of the examples the digest that it gives on this machine."""
    publish_example(EXAMPLES, git.root / "examples.git")
    repo = f"{git.url}/examples.git"
    here = local(installation, repo, builder, tmp_path)
    installation.configure(builder=builder)
    there = {path: installation.run("clone-build-push", repo=repo, revision="main", path=path) for path in here}
    for run in there.values():
        assert run.phase == "Succeeded", installation.story(run)
    assert {path: run.outputs["digest"] for path, run in there.items()} == here


def local(installation: Installation, repo: str, builder: str, folder: Path) -> dict[str, str]:
    """Build a repository on this machine, as another project of the same registry, and return digests by folder."""
    settings = {**installation.settings, "builder": builder, "project": f"{installation.namespace}-{builder}"}
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pipelines", "build", repo, "--revision=main", "--json", "--quiet"]
    done = subprocess.run(
        [*command, f"--settings={file}", f"--state={folder / 'state'}"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
    )
    return {name: image["digest"] for name, image in json.loads(done.stdout)["images"].items()}


def test_what_is_transient_is_retried_in_every_container(
    installation: Installation, git: GitServer, tmp_path: Path
) -> None:
    """A Git server that is away in `clone` and in `main`, and a builder that is killed: each is tried again."""
    installation.configure()
    with git_server.serving(tmp_path, host=installation.where.host) as gate:
        repository(git, f"{BUSYBOX}RUN wget -q -O /dev/null {gate.url}/pass || true\n")
        git.status = 503
        run = installation.start("clone-build-push", repo=f"{git.url}/app", revision="main", path=".")
        assert CLONE_FAILED in installation.until(run, lambda seen: ended(seen, 0)).attempts[0]

        closed(gate)
        git.status = 0
        assert gate.held.wait(PATIENCE_SECONDS)
        kubectl(installation.namespace, "exec", pods(installation, run)[1], "-c", "build", "--", "python3", "-c", KILL)
        assert "build: Error (exit code 75)" in installation.until(run, lambda seen: ended(seen, 1)).attempts[1]

        opened = gate.hold
        closed(gate)
        assert opened
        opened.set()
        assert gate.held.wait(PATIENCE_SECONDS)
        git.status = 503
        assert gate.hold
        gate.hold.set()
        assert "main: Error (exit code 75)" in installation.until(run, lambda seen: ended(seen, 2)).attempts[2]

        git.status = 0
        done = installation.finished(run)
    assert done.phase == "Succeeded", installation.story(done)
    assert done.attempts[3:] == [""]
    assert done.outputs["tags"].endswith('"main"]')


def test_what_is_final_is_not_retried(installation: Installation, git: GitServer) -> None:
    """A revision that does not exist, an instruction that
    fails, a version that is another image's: one attempt each.
    """
    installation.configure()
    made = repository(git, f"{BUSYBOX}RUN false\n")
    made.write("good/Dockerfile", f"{BUSYBOX}RUN echo one > /one\n").commit()
    made.git("tag", "v1.0.0")
    arguments = {"repo": f"{git.url}/app", "name": "final"}
    first = installation.run("clone-build-push", **arguments, revision="v1.0.0", path="good")
    assert first.phase == "Succeeded", installation.story(first)
    made.write("good/Dockerfile", f"{BUSYBOX}RUN echo two > /two\n").commit()
    made.git("tag", "--force", "v1.0.0")
    runs = {
        "non-zero code: 1": installation.start("clone-build-push", **arguments, revision="nowhere", path="good"),
        "build: Error (exit code 1)": installation.start("clone-build-push", **arguments, revision="main", path="."),
        "main: Error (exit code 3)": installation.start(
            "clone-build-push", **arguments, revision="v1.0.0", path="good"
        ),
    }
    for said, name in runs.items():
        run = installation.finished(name)
        assert run.phase == "Failed", installation.story(run)
        assert [said in message for message in run.attempts] == [True], run.attempts


def test_no_container_of_ours_has_a_token(installation: Installation, git: GitServer) -> None:
    """Only Argo's own containers find the token of a service account, and no process is root or privileged."""
    installation.configure()
    repository(git, f"{BUSYBOX}RUN true\n")
    run = installation.run("clone-build-push", repo=f"{git.url}/app", revision="main", path=".", name="token")
    assert run.phase == "Succeeded", installation.story(run)
    (pod,) = installation.pods(run.name)
    tokens = {
        volume["name"]
        for volume in pod["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", [volume])
        if "serviceAccountToken" in source or "token" in source.get("secret", {}).get("secretName", "")
    }
    holders = {
        container["name"]
        for container in (*pod["spec"]["containers"], *pod["spec"]["initContainers"])
        if any(mount["name"] in tokens for mount in container["volumeMounts"])
    }
    assert tokens
    assert holders <= {"wait", "init"}
    assert "wait" in holders
    for container in pod["spec"]["containers"]:
        assert not container.get("securityContext", {}).get("privileged")
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True


def test_a_run_step_reaches_nothing_of_its_pod(installation: Installation, git: GitServer) -> None:
    """Neither Argo's folder nor another container's nor a token, also not through /proc; the API answers it nothing."""
    installation.configure(builder="buildkit")
    api = "https://kubernetes.default.svc/api/v1/secrets"
    repository(
        git,
        f"{BUSYBOX}RUN ! ls -d {LOOKS} 2>/dev/null\n"
        f"RUN ! wget -q -T 10 --no-check-certificate -O - {api}\n"
        'RUN for one in /proc/[0-9]*/root; do echo 0 > "$one/var/run/argo/ctr/main/exitcode" || true; done\n',
    )
    run = installation.run("clone-build-push", repo=f"{git.url}/app", revision="main", path=".", name="reach")
    assert run.phase == "Succeeded", installation.story(run)
    assert json.loads(run.outputs["tags"])[-1] == "main"


def test_an_early_start_of_the_push_publishes_nothing(
    installation: Installation, git: GitServer, tmp_path: Path
) -> None:
    """A false exit code in Argo's own folder starts it while the build is at work: it finds no image, and refuses."""
    installation.configure(builder="buildkit")
    with git_server.serving(tmp_path, host=installation.where.host) as gate:
        repository(git, f"{BUSYBOX}RUN wget -q -O /dev/null {gate.url}/pass || true\n")
        closed(gate)
        run = installation.start("clone-build-push", repo=f"{git.url}/app", revision="main", path=".", name="early")
        assert gate.held.wait(PATIENCE_SECONDS)
        (pod,) = pods(installation, run)
        kubectl(installation.namespace, "exec", pod, "-c", "build", "--", "python3", "-c", FALSE_EXIT)
        installation.until(run, lambda seen: ended(seen, 0))
        assert "does not hold the image that was built" in installation.log(pod, "main")
        kubectl(
            installation.namespace, "patch", "workflow", run, "--type=merge", "-p", '{"spec":{"shutdown":"Terminate"}}'
        )
        opened = gate.hold
        assert opened
        opened.set()
        installation.finished(run)
    client = Registry(Credentials(), plain_http=frozenset({installation.where.registry}))
    image = Reference.under(installation.where.registry, installation.settings["project"], "early")
    assert client.tags(image) == ()


def repository(git: GitServer, dockerfile: str) -> Repository:
    """Make the repository `app` on the server, with a Dockerfile at its root."""
    made = Repository(git.root / "app")
    made.write("Dockerfile", dockerfile).commit()
    return made


def closed(gate: GitServer) -> None:
    """Have the next request wait."""
    gate.held.clear()
    gate.hold = threading.Event()


def ended(run: Run, attempt: int) -> bool:
    """Whether an attempt has a message, which it has when it failed."""
    return len(run.attempts) > attempt and "exit" in run.attempts[attempt]


def pods(installation: Installation, run: str) -> list[str]:
    """Return the names of a run's pods, the oldest first."""
    found = sorted(installation.pods(run), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    return [pod["metadata"]["name"] for pod in found]
