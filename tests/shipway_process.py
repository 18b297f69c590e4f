"""`shipway` as its users run it: a process of its own, its folder, its logs, and what of it still runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.images import platforms
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.reference import Digest, Reference
from tests import leftovers

PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Shipway:
    """The command with a state folder and a temporary folder of its own, both in `folder`."""

    folder: Path

    @property
    def state(self) -> Path:
        """What --state names."""
        return self.folder / "state"

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        with self.start(*words) as child:
            out, err = child.communicate(timeout=PATIENCE_SECONDS)
        return subprocess.CompletedProcess(words, child.returncode, out, err)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start it in a session of its own, with the signals that a terminal's programs have."""
        temporary = self.folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        state = [] if words[0] == "simulate" else ["--state", str(self.state)]
        argv = [sys.executable, "-m", "pipelines", words[0], *state, *words[1:]]
        return subprocess.Popen(
            ["env", "--default-signal=INT,HUP,QUIT", *argv],
            cwd=self.folder,
            env={**os.environ, "TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wrote(self, step: str, text: str) -> bool:
        """Whether a step of a run, `clone`, `build` or `push`, has written this line or a line that begins with it."""
        logs = (self.state / "runs").glob(f"*/run/logs/*.{step}.log")
        return any(line.startswith(text) for log in logs for line in log.read_text().splitlines())

    def processes(self) -> dict[int, str]:
        """Return the processes that have to do with this folder, by their id, with their command lines."""
        return leftovers.processes(self.folder)


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


@dataclass(frozen=True)
class Images:
    """What a registry holds below a project."""

    address: str
    project: str

    @property
    def client(self) -> Registry:
        """A client that remembers nothing."""
        return Registry(Credentials(), plain_http=frozenset({self.address}))

    def reference(self, name: str, tag: str = "", digest: str = "") -> Reference:
        """Return an image's reference."""
        known = Digest(digest) if digest else None
        return Reference(registry=self.address, repository=f"{self.project}/{name}", tag=tag, digest=known)

    def tags(self, name: str) -> dict[str, str]:
        """Return what each tag of an image names."""
        found = {}
        for tag in self.client.tags(self.reference(name)):
            manifest = self.client.resolve(self.reference(name, tag))
            assert manifest is not None, f"the tag {tag} names nothing"
            found[tag] = str(manifest.descriptor.digest)
        return found

    def pull(self, name: str, digest: str, folder: Path) -> Layout:
        """Fetch an image by digest, whole and checked."""
        layout = Layout.create(folder)
        self.client.pull(self.reference(name, digest=digest), layout, platform=platforms.this_platform())
        return layout

    def adopt(self, name: str, other: Images, digest: str, folder: Path, *tags: str) -> None:
        """Publish another project's image here, under these tags."""
        layout = other.pull(name, digest, folder)
        to = self.reference(name, digest=digest)
        client = self.client
        client.push(layout, layout.named(digest), to)
        for tag in tags:
            client.tag(to, tag)
