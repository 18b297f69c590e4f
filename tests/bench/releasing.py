"""`release` on this machine against the builder's own commands over the same images, with the same registry."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import yaml

from pipelines.engines.embedded import deployment
from tests.bench.clone_build_push import GIT
from tests.bench.measure import command

AT_ONCE = 2
"""Builds side by side, on both sides."""
_LINES = 40_000
"""Of the texts that images hold, about a megabyte."""


class Releasing:
    """A repository of images that depend on each other, and both ways to build all of them."""

    def __init__(
        self,
        folder: Path,
        registry: str,
        *,
        levels: Sequence[int],
        megabytes: float,
        builder: str = "buildah",
        buildkit_host: str = "",
    ) -> None:
        """Make the repository: so many images on each level, each of which depends on one of the level below.

        `megabytes` are those that a build writes, once, twice or three times.
        """
        self.folder, self.registry = folder, registry
        self.builder, self.buildkit_host = builder, buildkit_host
        self.levels = [[f"l{level}-{number}" for number in range(count)] for level, count in enumerate(levels)]
        self.parent = {
            name: below[number % len(below)]
            for below, above in itertools.pairwise(self.levels)
            for number, name in enumerate(above)
        }
        self.repository = folder / "repository"
        self.counter = 0
        deployment.publish_base(registry)
        self._make_repository(megabytes)
        if builder == "buildah":
            command([*self._program(), "pull", "-q", "--tls-verify=false", f"{registry}/{deployment.BASE}"])

    def change(self) -> None:
        """Commit a change of the lowest images, so that each image must be built, and let the side by hand have it."""
        self.counter += 1
        for name in self.levels[0]:
            (self.repository / name / "source.txt").write_text(f"change {self.counter}\n" * 100)
        command(["git", "-C", self.repository, "commit", "-qam", f"change {self.counter}"], env=GIT)

    def ours(self) -> None:
        """Release with Shipway."""
        command(self.argv())

    def argv(self) -> list[str | Path]:
        """Return the command that releases with Shipway."""
        state = self.folder / "ours"
        state.mkdir(exist_ok=True)
        settings = {
            "registry": self.registry,
            "project": f"ours/{self.folder.name}",
            "plain-http": self.registry,
            "mirrors": f"{deployment.BASE_HOST}={self.registry}",
            "builder": self.builder,
            "buildkit-host": self.buildkit_host,
            "cache": str(state / "cache"),
        }
        (state / "settings.yaml").write_text(yaml.safe_dump(settings))
        words = ["submit", "release", "--quiet", "--jobs", str(AT_ONCE), "-p", f"repo={self.repository}"]
        return ["shipway", *words, "--settings", state / "settings.yaml", "--state", state]

    def in_levels(self) -> None:
        """Clone, build and push by hand, a level after the other."""
        clone = self._clone()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for level in self.levels:
                list(pool.map(lambda name: self._build(clone, name, push=True), level))

    def without_levels(self) -> None:
        """Do the same, each image as soon as the one that it depends on is there."""
        clone = self._clone()
        with ThreadPoolExecutor(AT_ONCE) as pool:

            def start(name: str) -> Future[str]:
                return pool.submit(self._build, clone, name, push=True)

            under_way = {start(name) for name in self.levels[0]}
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                ended = {future.result() for future in done}
                under_way |= {start(name) for name, parent in self.parent.items() if parent in ended}

    def cached(self) -> None:
        """Run the builder over the same files once more, image by image; nothing is cloned and nothing pushed."""
        for name in itertools.chain(*self.levels):
            self._build(self.repository, name, push=False)

    def _clone(self) -> Path:
        clone = self.folder / "clone"
        shutil.rmtree(clone, ignore_errors=True)
        command(["git", "clone", "-q", "--depth=1", f"file://{self.repository}", clone])
        return clone

    def _build(self, folder: Path, name: str, *, push: bool) -> str:
        build: Callable[[Path, str, bool], None] = self._buildah if self.builder == "buildah" else self._buildctl
        build(folder / name, name, push)
        return name

    def _buildah(self, context: Path, name: str, push: bool) -> None:
        program = self._program()
        to = f"{self.registry}/theirs/{self.folder.name}/{name}:latest"
        build = ["build", "-q", "--layers", "--isolation", "chroot", "--tls-verify=false", "--pull=never", "-t", to]
        command([*program, *build, "--build-arg", f"ON={self._on(name)}", context])
        if push:
            command([*program, "push", "-q", "--tls-verify=false", to])

    def _program(self) -> list[str | Path]:
        state = self.folder / "theirs"
        return ["buildah", "--root", state / "root", "--runroot", state / "run", "--storage-driver", "overlay"]

    def _buildctl(self, context: Path, name: str, push: bool) -> None:
        local = [f"--local=context={context}", f"--local=dockerfile={context}", f"--opt=build-arg:ON={self._on(name)}"]
        to = f"{self.registry}/theirs/{self.folder.name}/{name}:latest"
        output = [f"--output=type=image,name={to},push=true,registry.insecure=true"] if push else []
        argv = ["buildctl", "--addr", self.buildkit_host, "build", "--frontend", "dockerfile.v0"]
        command([*argv, *local, *output])

    def _on(self, name: str) -> str:
        parent = self.parent.get(name)
        return f"{self.registry}/" + (f"theirs/{self.folder.name}/{parent}:latest" if parent else deployment.BASE)

    def _make_repository(self, megabytes: float) -> None:
        for number, name in enumerate(itertools.chain(*self.levels)):
            on = self.parent.get(name) or f"{deployment.BASE_HOST}/{deployment.BASE}"
            folder = self.repository / name
            folder.mkdir(parents=True)
            # Some take longer than others, so that a level waits for its slowest.
            rounds = " ".join(str(one) for one in range(1 + number % 3))
            lines = (
                f'for (i = 0; i < {int(megabytes * _LINES)}; i++) printf "%010d {name} %d\\n", i * 2654435761 '
                "% 4294967296, i"
            )
            (folder / "Dockerfile").write_text(
                f"ARG ON={on}\nFROM ${{ON}}\nCOPY source.txt /srv/{name}.source\n"
                f"RUN for n in {rounds}; do awk 'BEGIN {{ {lines} }}' > /srv/{name}.$n; done\n"
            )
            (folder / "source.txt").write_text("first\n")
        command(["git", "init", "-q", "-b", "main", self.repository])
        command(["git", "-C", self.repository, "add", "-A"])
        command(["git", "-C", self.repository, "commit", "-qm", "first"], env=GIT)
