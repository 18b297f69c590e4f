"""The platform that an image is for, as registries and builders write it: linux/amd64, linux/arm64, linux/arm/v7."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable

from pipelines.errors import Misuse

_PLATFORM = re.compile(r"[a-z0-9_.-]+(?:/[a-z0-9_.-]+){0,2}")
# The kernel's names, and those that people use for what the OCI image specification has (Go's GOARCH).
_MACHINES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386"}
_MACHINES |= {"armhf": "arm/v7", "armv7l": "arm/v7", "armel": "arm/v6", "armv6l": "arm/v6"}
_KNOWN = {*_MACHINES, *"386 amd64 arm arm64 loong64 mips64le ppc64le riscv64 s390x wasm".split()}
_SYSTEMS = {"linux", "windows", "darwin", "freebsd"}
_VARIANTS = {"amd64/v1": "amd64", "arm": "arm/v7", "arm64/8": "arm64", "arm64/v8": "arm64", "arm64/v8.0": "arm64"}
_VARIANTS |= {f"arm/{number}": f"arm/v{number}" for number in (5, 6, 7, 8)}


NO_BUILDER = "build it on a machine of that platform, or with BuildKit and an emulator: buildkit-qemu-aarch64 on PATH"
"""What to do about a platform that has no builder."""


def no_builder(platform: str) -> str:
    """Return in words that nothing here runs the RUN steps of a platform."""
    return f"there is no builder for {platform} here"


def this_platform() -> str:
    """Return the platform of this machine's containers."""
    return normalized(f"linux/{platform.machine()}", "")


def normalized(text: str, where: str) -> str:
    """Return the platform that a text names in one of the forms that docker takes: amd64, linux, linux/arm64/v8.

    Raises Misuse if it names none.
    """
    system, slash, machine = text.lower().partition("/")
    if not slash and system in _KNOWN:
        system, machine = "linux", system
    elif not slash and system in _SYSTEMS:
        return this_platform().replace("linux", system, 1)
    if not machine or not _PLATFORM.fullmatch(f"{system}/{machine}"):
        todo = "give system/architecture, like linux/amd64"
        raise Misuse(f"{where}: not a platform".removeprefix(": "), seen=repr(text[:200]), todo=todo)
    name, _, variant = machine.partition("/")
    name = _MACHINES.get(name, name)
    machine = f"{name}/{variant}" if variant and "/" not in name else name
    return f"{system}/{_VARIANTS.get(machine, machine)}"


def read_platforms(texts: Iterable[str], where: str = "") -> tuple[str, ...]:
    """Return the platforms that some texts name, each once, sorted; raises Misuse."""
    return tuple(sorted({normalized(text.strip(), where) for text in texts if text.strip()}))


def are_several(text: str) -> bool:
    """Whether a text names several platforms, separated by spaces: those of an index."""
    return " " in text


def wanted(platform: str, setting: str) -> tuple[str, ...]:
    """Return the platform that is asked for, else those of the setting `platforms`, else this machine's; raises
    Misuse.
    """
    return read_platforms([platform] if platform else setting.split(",")) or (this_platform(),)


def read_platform(text: str) -> str:
    """Return the platform that `text` names, or this machine's if it is empty; raises Misuse."""
    return normalized(text, "") if text else this_platform()
