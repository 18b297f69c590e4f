"""The commands for runs on a cluster, on a real one: with the chart's Role alone, and over connections that break."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.e2e.installation import Installation
from tests.e2e.place import kubectl
from tests.git_repositories import Repository
from tests.git_server import GitServer

SECONDS = 300.0


@pytest.fixture(scope="module")
def ada(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the kubeconfig of somebody who may do what the chart's Role for submitters says, and nothing else."""
    place = installation.namespace
    installation.configure(builder="buildah")  # its lines are those of the commands that it runs
    kubectl(place, "create", "serviceaccount", "ada")
    kubectl(place, "create", "rolebinding", "ada", "--role=shipway-submitter", f"--serviceaccount={place}:ada")
    config = _admin()
    user = config["contexts"][0]["context"]["user"]
    token = kubectl(place, "create", "token", "ada").strip()
    config["users"] = [{"name": user, "user": {"token": token}}]
    config["contexts"][0]["context"]["namespace"] = place
    return _written(tmp_path_factory.mktemp("ada") / "kubeconfig", config)


def test_a_repository_is_built_with_the_submitters_role_alone(ada: Path, git: GitServer, tmp_path: Path) -> None:
    """Parents first; each image is told with its digest, and the logs of its steps are here."""
    repository = Repository(git.root / "shop")
    repository.write("base/Dockerfile", "FROM scratch\nCOPY file /file\n").write("base/file", "1\n")
    repository.write("web/Dockerfile", "FROM base\nCOPY page /page\n").write("web/page", "2\n").commit()
    done = shipway(ada, tmp_path, "build", f"{git.url}/shop/.git", "--engine", "argo", "--json")
    assert done.returncode == 0, done.stderr
    images = json.loads(done.stdout)["images"]
    assert [(name, image["phase"]) for name, image in images.items()] == [("base", "Succeeded"), ("web", "Succeeded")]
    assert all("@sha256:" in image["reference"] for image in images.values())
    logs = "".join(path.read_text() for path in tmp_path.glob(".shipway/runs/*/run/logs/*"))
    assert all(image["digest"] in logs for image in images.values())
    listed = json.loads(shipway(ada, tmp_path, "runs", "--json").stdout)["runs"]
    assert [row["phase"] for row in listed if row["name"].startswith("build-")] == ["Succeeded"]


def test_a_step_that_refuses_gives_its_exit_code(ada: Path, git: GitServer, tmp_path: Path) -> None:
    """And its own words, from a log on the cluster."""
    Repository(git.root / "shop").write("Dockerfile", "FROM scratch\n").commit()
    repo = f"repo={git.url}/shop/.git"
    done = shipway(ada, tmp_path, "submit", "clone-build-push", "-p", repo, "-p", "path=../x", "--engine", "argo")
    assert done.returncode == 2, done.stderr
    assert "not a path inside the repository" in done.stderr
    assert not [line for line in done.stderr.splitlines() if line.startswith(("build |", "push |"))]


def test_a_run_is_left_stopped_and_submitted_again(ada: Path, git: GitServer, tmp_path: Path) -> None:
    """`logs` of a stopped run exits as an interrupted command does."""
    Repository(git.root / "slow").write("Dockerfile", _sleeping(60)).commit()
    words = ("submit", "clone-build-push", "-p", f"repo={git.url}/slow/.git", "--engine", "argo", "--detach")
    name = shipway(ada, tmp_path, *words).stdout.strip()
    stopped = shipway(ada, tmp_path, "stop", name)
    assert stopped.returncode == 0, stopped.stderr
    followed = shipway(ada, tmp_path, "logs", name)
    assert followed.returncode == 130, followed.stdout + followed.stderr
    again = shipway(ada, tmp_path, "retry", name, "--detach")
    assert again.returncode == 0, again.stderr
    document = json.loads(kubectl(_namespace(ada), "get", "workflow", again.stdout.strip(), "-o", "json"))
    assert "shutdown" not in document["spec"]
    shipway(ada, tmp_path, "stop", again.stdout.strip())


def test_broken_connections_cost_no_step_and_no_line(ada: Path, git: GitServer, tmp_path: Path) -> None:
    """Every connection to the API server is cut once the build runs; steps and logs come whole."""
    Repository(git.root / "cut").write("Dockerfile", _sleeping(6)).commit()
    with (
        proxy(ada, tmp_path / "cut.kubeconfig") as cut,
        subprocess.Popen(
            _command("submit", "clone-build-push", "-p", f"repo={git.url}/cut/.git", "--engine", "argo"),
            env=_environment(tmp_path / "cut.kubeconfig"),
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as child,
    ):
        assert child.stderr is not None
        told = ""
        for line in child.stderr:
            told += line
            if "build: Running" in line:
                cut()
        assert child.wait() == 0, told
    assert told.count("clone: Succeeded") == 1, told
    assert told.count("push: Succeeded") == 1, told
    assert told.count("build | slept\n") == 1, told
    assert told.count(" is published\n") == 1, told


def test_a_namespace_without_the_chart_is_one_clear_message(tmp_path: Path) -> None:
    """As the real API server tells it."""
    admin = _written(tmp_path / "admin", _admin())
    done = shipway(admin, tmp_path, "submit", "clone-build-push", "--engine", "argo", "--namespace", "kube-public")
    assert done.returncode == 78
    assert "namespace kube-public has no WorkflowTemplate clone-build-push" in done.stderr
    assert "helm install" in done.stderr


def test_no_right_is_one_clear_message(ada: Path, tmp_path: Path) -> None:
    """It names the Role that gives it."""
    done = shipway(ada, tmp_path, "runs", "--namespace", "kube-system")
    assert done.returncode == 78
    assert "not allowed to list workflows in namespace kube-system" in done.stderr
    assert "shipway-submitter" in done.stderr


def shipway(kubeconfig: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    return subprocess.run(
        _command(*words),
        env=_environment(kubeconfig),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


@contextmanager
def proxy(kubeconfig: Path, to: Path) -> Iterator[Any]:
    """Give a function that cuts every connection of a kubeconfig, written to `to`, that leads through here."""
    config = yaml.safe_load(kubeconfig.read_text())
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    live: set[socket.socket] = set()
    listener = socket.create_server(("127.0.0.1", 0))
    cluster = config["clusters"][0]["cluster"]
    cluster["server"] = f"{server.scheme}://127.0.0.1:{listener.getsockname()[1]}"
    cluster["tls-server-name"] = str(server.hostname)
    _written(to, config)

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                remote = socket.create_connection((str(server.hostname), server.port or 443))
                live.update((client, remote))
                threading.Thread(target=pump, args=(client, remote), daemon=True).start()
                threading.Thread(target=pump, args=(remote, client), daemon=True).start()

    def cut() -> None:
        for one in list(live):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield cut
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        cut()
        thread.join()
        for one in live:
            one.close()


def _sleeping(seconds: int) -> str:
    return f"FROM shipway.local/busybox:static\nRUN sleep {seconds}; echo slept\n"


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "pipelines", *words]


def _environment(kubeconfig: Path) -> dict[str, str]:
    return {**os.environ, "KUBECONFIG": str(kubeconfig)}


def _admin() -> dict[str, Any]:
    """Return what the environment's kubeconfig says, its current context alone and complete."""
    words = ["kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o", "json"]
    return dict(json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout))


def _written(path: Path, config: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def _namespace(kubeconfig: Path) -> str:
    return str(yaml.safe_load(kubeconfig.read_text())["contexts"][0]["context"]["namespace"])
