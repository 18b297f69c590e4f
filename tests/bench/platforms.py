"""An image for two platforms on a builder for each, against `buildctl` typed to the same two at once.

Both platforms are variants that one machine runs, and each builder has a processor of its own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from pipelines.engines.embedded import deployment
from tests.bench.clone_build_push import GIT
from tests.bench.measure import command

PLATFORMS = ("linux/amd64", "linux/amd64/v2")
_STEPS = 18_000_000
"""Of a shell that counts: some forty seconds."""


class Platforms:
    """A repository with one image, and both ways to build it for two platforms."""

    def __init__(self, folder: Path, registry: str, hosts: tuple[str, str]) -> None:
        """Make the repository; each of the `hosts` is the buildkitd of a platform."""
        self.folder, self.registry, self.repository = folder, registry, folder / "repository"
        self.hosts = dict(zip(PLATFORMS, hosts, strict=True))
        self.counter = 0
        deployment.publish_base(registry)
        self.repository.mkdir(parents=True)
        base = f"{registry}/{deployment.BASE}"
        work = f'i=0; while [ "$i" -lt {_STEPS} ]; do i=$((i+1)); done; cp /source.txt /result'
        (self.repository / "Dockerfile").write_text(f"FROM {base}\nCOPY source.txt /\nRUN {work}\n")
        (self.repository / "source.txt").write_text("0\n")
        settings = {
            "registry": registry,
            "project": "ours",
            "plain-http": registry,
            "builder": "buildkit",
            "buildkit-host": ",".join(f"{platform}={host}" for platform, host in self.hosts.items()),
            "platforms": ",".join(PLATFORMS),
        }
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
        command(["git", "-C", self.repository, "init", "-q", "-b", "main"])
        command(["git", "-C", self.repository, "add", "--all"])
        self.change()

    def change(self) -> None:
        """Commit a change that both platforms' images are built for."""
        self.counter += 1
        (self.repository / "source.txt").write_text(f"change {self.counter}\n")
        command(["git", "-C", self.repository, "commit", "-qam", f"change {self.counter}"], env=GIT)

    def ours(self) -> None:
        """Release with Shipway."""
        own: list[str | Path] = ["--settings", self.folder / "settings.yaml", "--state", self.folder / "state"]
        command(["shipway", "release", str(self.repository), "--quiet", *own])

    def by_hand(self) -> None:
        """Build and push for both platforms at once; there is no index."""
        with ThreadPoolExecutor(len(PLATFORMS)) as pool:
            list(pool.map(self._build, PLATFORMS))

    def slower_alone(self) -> None:
        """Build and push for the second platform."""
        self._build(PLATFORMS[1])

    def _build(self, platform: str) -> None:
        name = f"{self.registry}/theirs/image:{platform.replace('/', '-')}"
        local = [f"--local=context={self.repository}", f"--local=dockerfile={self.repository}"]
        output = f"--output=type=image,name={name},push=true,registry.insecure=true"
        argv = ["buildctl", "--addr", self.hosts[platform], "build", "--frontend", "dockerfile.v0"]
        command([*argv, f"--opt=platform={platform}", *local, output])
