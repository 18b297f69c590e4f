"""The interface between the step `build` and the programs that build: a request and its output.

A builder gets a Dockerfile in which every image has an alias, and an image layout with the images of the aliases. It
resolves no names and has no credential; `pipelines.images.finalize` makes the final image of its output.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from pipelines.errors import ShipwayError
from pipelines.tools.processes import process
from pipelines.tools.registry.layout import Json, Layout
from pipelines.tools.registry.reference import Digest

TIMEOUT_SECONDS = 4 * 3600.0
"""A build that takes longer hangs; templates have shorter deadlines of their own."""
_NONE = re.compile(r"(?!)")
_CAP_SYS_ADMIN = 21  # linux/capability.h
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "ftp_proxy", "all_proxy")


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """One image to build; every path is absolute."""

    context: Path
    dockerfile: str
    ignore: str
    """The text of the .dockerignore that applies."""
    bases: Layout
    images: Mapping[str, Digest]
    """The manifest in `bases` of each alias in the Dockerfile."""
    build_args: tuple[str, ...]
    has_steps: bool
    """Whether a RUN instruction may run, the bases' triggers included."""
    secrets: Mapping[str, Path]
    """The file of each secret, by id."""
    platform: str
    layer_time: int
    at_hand: frozenset[Digest]
    """Blobs that the caller already has: layers of bases as they are stored, and plain tars of layers."""
    keep: Callable[[Digest, IO[bytes]], object]
    """Stores a layer's plain tar by its digest, for a builder that can stream it; the layer is at hand then."""
    work: Path
    """An empty folder for this build alone, on the workspace's disk; removed by the caller."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """An image in the builder's form: one descriptor in `layers` for each of the configuration's diff_ids.

    The layout lacks the layers that were at hand or went to `keep`.
    """

    layout: Layout
    config: Json
    layers: tuple[Json, ...]


class Builder(Protocol):
    """A program that builds images."""

    kind: str

    def version(self) -> str:
        """Return the program's version; raises Misconfigured if it is missing."""

    def emulated(self) -> frozenset[str]:
        """Return the architectures, other than this machine's, whose programs RUN steps can start."""

    def build(self, request: BuildRequest) -> Output:
        """Build the image; raises StepFailed if an instruction fails, Transient if the builder itself does."""


class StepFailed(ShipwayError):
    """An instruction of the Dockerfile failed, identified as far as the builder reported it."""

    def __init__(self, what: str, *, line: int = 0, instructions: Sequence[str] = (), seen: str = "") -> None:
        super().__init__(what, seen=seen)
        self.line = line
        """In the Dockerfile that the builder got; 0 if it reported none."""
        self.instructions = tuple(instructions)
        """Texts, of which one is the instruction."""


def environment(home: Path, temporary: Path) -> dict[str, str]:
    """Return the environment of a builder, with only the search path and the proxies of this process."""
    kept = {name: os.environ[name] for p in _PROXIES for name in (p, p.upper()) if name in os.environ}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "TMPDIR": str(temporary),
        "LC_ALL": "C.UTF-8",
        **kept,
    }


def make_folder(path: Path) -> Path:
    """Make a folder for a builder's state and return it.

    A pod's volume has the setgid bit (fsGroup), and so would everything that is made in it, new directories of the
    image included.
    """
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    return path


def remove_folder(path: Path) -> None:
    """Remove a folder of builders' state; parts of it may belong to the user ids that an ordinary user builds with."""
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        argv = ["unshare", "--user", "--map-auto", "--map-root-user", "rm", "-rf", "--", str(path)]
        process.run(argv, timeout_seconds=TIMEOUT_SECONDS)


def name_layers(config: Json) -> None:
    """Give the configuration of an image without layers an empty list of them; builders write null or nothing."""
    config["rootfs"]["diff_ids"] = config["rootfs"].get("diff_ids") or []


def own_mounts() -> tuple[str, ...]:
    """Return the command's prefix that gives a privileged builder mounts of its own, as an unprivileged one has anyway.

    They end with the process: a killed build leaves none, and its storage can be removed at once.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    match = re.search(r"^CapEff:\s*(\w+)$", status, re.MULTILINE)
    privileged = match is not None and int(match[1], 16) >> _CAP_SYS_ADMIN & 1
    return ("unshare", "--mount", "--") if os.geteuid() == 0 and privileged else ()


def tail(*outputs: str, lines: int = 12, progress: re.Pattern[str] = _NONE) -> str:
    """Return the last lines of each output that are not empty and do not begin as progress does."""
    kept = [
        [line for line in text.splitlines() if line.strip() and not progress.match(line)][-lines:] for text in outputs
    ]
    return "\n".join(line for part in kept for line in part)
