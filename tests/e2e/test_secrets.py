"""Secrets of an installation on the real controller: private
repositories, a registry with login and authority, build secrets.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.engines.embedded import base_image, deployment
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.reference import Reference
from tests import git_server, registry_process, ssh_server
from tests.build_workspace import each_builder
from tests.e2e.installation import Installation
from tests.e2e.place import kubectl
from tests.git_repositories import Repository

LOGIN = ("robot", "s3cret-of-git")
PUSHER = ("pusher", "s3cret-of-the-registry")
NPM = "s3cret-of-npm"
DOCKERFILE = "FROM shipway.local/busybox:static\nRUN echo built > /built\n"


def test_a_private_repository_by_token(installation: Installation, tmp_path: Path) -> None:
    """The login reaches the server from `clone` and `main`
    alone, and no log; without it the run fails, telling of it.
    """
    installation.configure()
    with git_server.serving(tmp_path, host=installation.where.host) as git:
        Repository(git.root / "app").write("Dockerfile", DOCKERFILE).commit()
        git.login = LOGIN
        arguments = {"repo": f"{git.url}/app", "revision": "main", "path": ".", "name": "by-token"}
        refused = installation.run("clone-build-push", **arguments)
        assert refused.phase == "Failed"
        assert "no login was used" in installation.log(installation.pods(refused.name)[0]["metadata"]["name"], "clone")
        with secret(installation, "shipway-git", username=LOGIN[0], password=LOGIN[1]):
            run = installation.run("clone-build-push", **arguments)
        assert run.phase == "Succeeded", installation.story(run)
        assert run.outputs["tags"].endswith('"main"]')
    assert not told(installation, run.name, LOGIN[1])


def test_a_private_repository_by_key(installation: Installation, tmp_path: Path) -> None:
    """By SSH, with the server's own key known; with another one known, nothing is fetched."""
    installation.configure()
    repository = Repository(tmp_path / "app").write("Dockerfile", DOCKERFILE)
    repository.commit()
    with ssh_server.serving(tmp_path / "ssh", host=installation.where.host) as ssh:
        arguments = {"repo": f"{ssh.url}{repository.path}", "revision": "main", "path": ".", "name": "by-key"}
        key = ssh.key.read_text()
        with secret(installation, "shipway-git", **{"ssh-privatekey": key, "known_hosts": ssh.known_hosts}):
            run = installation.run("clone-build-push", **arguments)
        assert run.phase == "Succeeded", installation.story(run)
        other = ssh.known_hosts.split()[0] + " " + (tmp_path / "ssh/user.pub").read_text()
        with secret(installation, "shipway-git", **{"ssh-privatekey": key, "known_hosts": other}):
            refused = installation.run("clone-build-push", **arguments)
        assert refused.phase == "Failed", installation.story(refused)
        assert len(refused.attempts) == 1


def test_a_registry_with_login_and_authority(installation: Installation, tmp_path: Path) -> None:
    """A base is pulled with one login, the image pushed with
    another; nobody trusts the registry but by `authorities`.
    """
    certificate = authority(tmp_path, installation.where.host)
    users = {"puller": "p", PUSHER[0]: PUSHER[1]}
    with (
        git_server.serving(tmp_path, host=installation.where.host) as git,
        registry_process.registry(tmp_path, users, host=installation.where.host, certificate=certificate) as private,
    ):
        push_base(private, tmp_path, certificate[0])
        Repository(git.root / "app").write("Dockerfile", DOCKERFILE.replace("shipway.local", private)).commit()
        arguments = {"repo": f"{git.url}/app", "revision": "main", "path": ".", "name": "private"}
        with (
            secret(installation, "shipway-pull", **{"config.json": docker_config(private, "puller", "p")}),
            secret(installation, "shipway-push", **{".dockerconfigjson": docker_config(private, *PUSHER)}),
        ):
            installation.configure(registry=private, plain_http="", mirrors="")
            refused = installation.run("clone-build-push", **arguments)
            assert refused.phase == "Failed", installation.story(refused)
            assert "certificate" in installation.story(refused)
            installation.configure(
                {"authorities": certificate[0].read_text()}, registry=private, plain_http="", mirrors=""
            )
            run = installation.run("clone-build-push", **arguments)
            assert run.phase == "Succeeded", installation.story(run)
            assert run.outputs["reference"].startswith(f"{private}/")
            installation.check()
        assert not told(installation, run.name, PUSHER[1])
    installation.configure()


@each_builder
def test_build_secrets_reach_their_step_alone(builder: str, installation: Installation, tmp_path: Path) -> None:
    """A key of the Secret is a file of the RUN step that asks
    for it, of the repositories that values.yaml allows it to.
    """
    with (
        git_server.serving(tmp_path, host=installation.where.host) as git,
        secret(installation, "shipway-build-secrets", npm=NPM, other="not asked for"),
    ):
        there = f'test "$(cat /run/secrets/npm)" = {NPM} && test ! -e /run/secrets/other'
        step = f"RUN --mount=type=secret,id=npm {there}\\n"
        Repository(git.root / "app").write("Dockerfile", f"FROM shipway.local/busybox:static\n{step}").commit()
        arguments = {"repo": f"{git.url}/app", "revision": "main", "path": ".", "name": "secrets"}
        installation.configure({"buildSecrets": {"npm": [f"{git.url}/other"]}}, builder=builder)
        refused = installation.run("clone-build-push", **arguments, secret_ids='["npm"]')
        assert ["build: Error (exit code 3)" in message for message in refused.attempts] == [True]
        installation.configure({"buildSecrets": {"npm": [f"{git.url}/app.git"]}}, builder=builder)
        run = installation.run("clone-build-push", **arguments, secret_ids='["npm"]')
    assert run.phase == "Succeeded", installation.story(run)


@contextmanager
def secret(installation: Installation, name: str, **content: str) -> Iterator[None]:
    """Have a Secret for the length of a block."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
    document = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
    kubectl(installation.namespace, "apply", "-f", "-", given=document)
    try:
        yield
    finally:
        kubectl(installation.namespace, "delete", "secret", name)


def told(installation: Installation, run: str, secret: str) -> list[str]:
    """Return the containers of a run whose log has a text."""
    return [
        container["name"]
        for pod in installation.pods(run)
        for container in pod["spec"]["containers"]
        if secret in installation.log(pod["metadata"]["name"], container["name"])
    ]


def authority(folder: Path, host: str) -> tuple[Path, Path]:
    """Return a certificate for an address, which is its own authority, and its key."""
    certificate, key = folder / "registry.crt", folder / "registry.key"
    words = (
        "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=e2e -addext "
        f"subjectAltName=IP:{host}"
    )
    subprocess.run(
        ["openssl", "req", *words.split(), "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return certificate, key


def push_base(address: str, folder: Path, authorities: Path) -> None:
    """Bring the base of the examples into a registry that wants a login."""
    (folder / "config.json").write_text(docker_config(address, *PUSHER))
    client = Registry(Credentials.read(folder), ca_file=authorities)
    layout = Layout.create(folder / "base")
    descriptor = base_image.write(layout, base_image.find_busybox())
    to = Reference.parse(f"{address}/{deployment.BASE}")
    client.push(layout, descriptor, to)
    client.tag(to.with_digest(descriptor.digest), to.tag)


def docker_config(registry: str, user: str, password: str) -> str:
    """Return Docker's configuration with one login."""
    return json.dumps({"auths": {registry: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}}})
