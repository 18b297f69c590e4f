"""What separates RUN steps from the machine that buildah runs on: a container of a real runtime, or only a chroot.

A runtime that is installed may still not work, in a pod above all, so it has to start one process before it is
believed: a program of a few bytes that ends at once. That it did is remembered until the machine starts anew.
"""

from __future__ import annotations

import os
import platform
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import Misconfigured, Refused
from pipelines.images.builders import builder
from pipelines.tools.processes.process import Completed

SANDBOX = "sandbox"
CHROOT = "chroot"
ISOLATIONS = (SANDBOX, CHROOT)
PROGRAM = "end"
"""The name of the program that a runtime has to run."""
_RUNTIMES = ("crun", "runc")
_MORE_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where runtimes are, beside PATH: an ordinary user's has no sbin."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_OWN_PROCESSES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--")
_MACHINES = {
    "x86_64": (62, bytes.fromhex("b83c000000 31ff 0f05")),
    "aarch64": (183, bytes.fromhex("a80b8052 000080d2 010000d4")),
}
"""For a machine: its number in an ELF header, and code that calls exit(0)."""


def check(isolation: str) -> None:
    """Raise Misconfigured if there is no such isolation."""
    if isolation not in ISOLATIONS:
        raise Misconfigured(
            "the setting isolation is not known", seen=repr(isolation), todo=f"use {' or '.join(ISOLATIONS)}"
        )


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """How buildah is to run RUN steps."""

    flags: tuple[str, ...]
    """Of `buildah build`."""
    has_container: bool = False
    """Whether a runtime starts a container for each of them."""

    def prefix(self, program: str) -> tuple[str, ...]:
        """Return what buildah is started by, where `program` is buildah.

        A container is no child of buildah's and would outlive a killed build, so that both get a process list of their
        own, which ends with buildah.
        """
        if not self.has_container:
            return builder.own_mounts()
        return _OWN_PROCESSES if os.geteuid() == 0 else (program, "unshare", "--", *_OWN_PROCESSES)


def choose(isolation: str, *, has_steps: bool, attempt: Callable[[Isolation], Completed], known: Path) -> Isolation:
    """Return the strongest isolation that works here.

    `attempt` runs `PROGRAM` in a RUN step with a runtime; the file `known` keeps which one did it. Raises Refused if
    none does, unless `isolation` accepts a chroot or the build has no RUN step. It is no chroot unless that was
    accepted, also where the build is said to have no RUN step.
    """
    check(isolation)
    # The runtime sets up no network: a RUN step has that of the machine, as in a chroot.
    real = ("--isolation=oci" if os.geteuid() == 0 else "--isolation=rootless", "--network=host")
    if not has_steps:
        return Isolation(flags=real)
    known_machine = platform.machine() in _MACHINES
    runtimes = {runtime: _fact(runtime) for runtime in _runtimes() if known_machine}
    proven = known.read_text(encoding="utf-8") if known.is_file() else ""
    failures = []
    for runtime in sorted(runtimes, key=lambda one: runtimes[one] != proven):
        chosen = Isolation(flags=(*real, f"--runtime={runtime}"), has_container=True)
        done = None if runtimes[runtime] == proven else attempt(chosen)
        if done is None or done.code == 0:
            known.write_text(runtimes[runtime], encoding="utf-8")
            return chosen
        failures.append(f"{runtime}: {builder.tail(done.stderr, lines=3)}")
    if isolation == CHROOT:
        return Isolation(flags=("--isolation=chroot",))
    if not known_machine:
        failures.append(f"no sandbox of buildah's is known to work on {platform.machine()}")
    raise Refused(
        "the RUN steps are not run outside a sandbox",
        seen="\n".join(failures) or f"no {' and no '.join(_RUNTIMES)} on this machine, which buildah needs for one",
        todo="install runc, or build with BuildKit (setting builder: buildkit); or let them reach whatever you can "
        "reach, with --isolation chroot (on a cluster: the setting isolation)",
    )


def program() -> bytes:
    """Return a program for this processor, without libraries, that ends at once with 0."""
    number, code = _MACHINES[platform.machine()]
    base, header, segment = 0x400000, 64, 56
    size = header + segment + len(code)
    identity = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)  # 64 bits, little-endian, version 1
    entry = base + header + segment
    elf = struct.pack("<HHIQQQIHHHHHH", 2, number, 1, entry, header, 0, 0, header, segment, 1, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)  # PT_LOAD, readable and executable
    return identity + elf + load + code


def _runtimes() -> list[str]:
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_MORE_FOLDERS))
    return [found for name in _RUNTIMES if (found := shutil.which(name, path=path))]


def _fact(runtime: str) -> str:
    """Return what a success stands for: this boot, this user, this file."""
    about = Path(runtime).stat()
    boot = _BOOT.read_text(encoding="ascii").strip()
    return f"{boot} {os.geteuid()} {runtime} {about.st_size} {about.st_mtime_ns}\n"
