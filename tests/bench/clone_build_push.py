"""`clone-build-push` on this machine against the bare tools
typed by hand, with the same builder and the same registry.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from pipelines.engines.embedded import base_image
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.reference import Reference
from tests.bench.measure import command

DOCKERFILE = """\
FROM {registry}/library/busybox:static
COPY data /srv/data
RUN for i in 1 2 3 4; do sort -r /srv/data/text > /srv/sorted.$i; done
RUN cat /srv/sorted.* | md5sum > /srv/sum
COPY source.txt /srv/source.txt
RUN wc /srv/source.txt > /srv/count
CMD ["cat", "/srv/count"]
"""
GIT = {
    "GIT_AUTHOR_NAME": "b",
    "GIT_AUTHOR_EMAIL": "b@example.invalid",
    "GIT_COMMITTER_NAME": "b",
    "GIT_COMMITTER_EMAIL": "b@example.invalid",
}


class Scenario:
    """A repository of one image, a registry with its base, and both ways to build it."""

    def __init__(
        self, folder: Path, registry: str, *, builder: str, buildkit_host: str = "", megabytes: int = 30
    ) -> None:
        """Make the repository; `megabytes` are those of the image's own layers, unpacked."""
        self.folder = folder
        self.registry = registry
        self.builder = builder
        self.buildkit_host = buildkit_host
        self.repository = folder / "repository"
        self.megabytes = megabytes
        self.counter = self.pushed_to = 0
        self._publish_base()
        self._make_repository()

    def change(self) -> None:
        """Commit a change of one line."""
        self.counter += 1
        (self.repository / "source.txt").write_text(f"change {self.counter}\n" * 100)
        command(["git", "-C", self.repository, "commit", "-qam", f"change {self.counter}"], env=GIT)

    def forget(self) -> None:
        """Commit a change, empty both sides' caches, and push to repositories that the registry does not have yet."""
        self.change()
        self.pushed_to += 1
        for name in ("ours", "theirs"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        if self.buildkit_host:
            command(["buildctl", "--addr", self.buildkit_host, "prune", "--all"])

    def ours(self) -> None:
        """Build with Shipway."""
        state = self.folder / "ours"
        state.mkdir(exist_ok=True)
        settings = {
            "registry": self.registry,
            "project": f"ours/{self.megabytes}-{self.pushed_to}",
            "plain-http": self.registry,
            "builder": self.builder,
            "buildkit-host": self.buildkit_host,
            "cache": str(state / "cache"),
        }
        (state / "settings.yaml").write_text(yaml.safe_dump(settings))
        command(self.ours_argv(state))

    def ours_argv(self, state: Path) -> list[str | Path]:
        """Return the command that builds with Shipway."""
        return [
            "shipway",
            "submit",
            "clone-build-push",
            "--settings",
            state / "settings.yaml",
            "--state",
            state,
            "-p",
            f"repo={self.repository}",
            "--quiet",
        ]

    def theirs(self) -> None:
        """Build by hand."""
        state = self.folder / "theirs"
        shutil.rmtree(state / "clone", ignore_errors=True)
        state.mkdir(exist_ok=True)
        command(["git", "clone", "-q", "--depth", "1", f"file://{self.repository}", state / "clone"])
        name = f"{self.registry}/theirs/{self.megabytes}-{self.pushed_to}/image:latest"
        if self.builder == "buildah":
            buildah: list[str | Path] = [
                "buildah",
                "--root",
                state / "root",
                "--runroot",
                state / "run",
                "--storage-driver",
                "overlay",
            ]
            build = ["build", "-q", "--layers", "--isolation", "chroot", "--tls-verify=false", "-t", name]
            command([*buildah, *build, state / "clone"])
            command([*buildah, "push", "-q", "--tls-verify=false", name])
        else:
            local = [f"--local=context={state / 'clone'}", f"--local=dockerfile={state / 'clone'}"]
            output = f"--output=type=image,name={name},push=true,registry.insecure=true"
            build = ["build", "--frontend", "dockerfile.v0", *local, output]
            command(["buildctl", "--addr", self.buildkit_host, *build])

    def _publish_base(self) -> None:
        layout = Layout.create(self.folder / "base")
        descriptor = base_image.write(layout, base_image.find_busybox())
        to = Reference.parse(f"{self.registry}/library/busybox:static")
        client = Registry(Credentials(), plain_http=frozenset({self.registry}))
        client.push(layout, descriptor, to)
        client.tag(to.with_digest(descriptor.digest), to.tag)

    def _make_repository(self) -> None:
        (self.repository / "data").mkdir(parents=True)
        (self.repository / "Dockerfile").write_text(DOCKERFILE.format(registry=self.registry))
        text = "".join(f"{n * 2654435761 % 2**32:010d} line {n}\n" for n in range(self.megabytes * 8_600))
        (self.repository / "data" / "text").write_text(text)
        (self.repository / "source.txt").write_text("first\n")
        command(["git", "init", "-q", "-b", "main", self.repository])
        command(["git", "-C", self.repository, "add", "-A"])
        command(["git", "-C", self.repository, "commit", "-qm", "first"], env=GIT)
