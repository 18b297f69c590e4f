"""The platform that an image is for, as registries and builders write it: linux/amd64, linux/arm64, linux/arm/v7."""

from __future__ import annotations

import platform
import re

from pipelines.errors import Misuse

_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9]+)?")
# The kernel's names and those of the OCI image specification (Go's GOARCH).
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "armv6l": "arm/v6", "i686": "386"}


def this_platform() -> str:
    """Return the platform of this machine's containers."""
    machine = platform.machine()
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


def read_platform(text: str) -> str:
    """Return the platform that `text` names, or this machine's if it is empty; raises Misuse."""
    if text and not _PLATFORM.fullmatch(text):
        raise Misuse("not a platform", seen=repr(text[:200]), todo="give system/architecture, like linux/amd64")
    return text or this_platform()
