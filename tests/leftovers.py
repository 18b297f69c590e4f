"""What is still there of something that should have ended."""

from __future__ import annotations

import os
from pathlib import Path


def _above() -> set[int]:
    """Return this process and those that started it: their command lines may name any folder."""
    found, pid = set(), os.getpid()
    while pid:
        found.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def processes(folder: Path) -> dict[int, str]:
    """Return the processes that work in or below a folder, by their id, with their command lines.

    They name something below it in their arguments or their first environment, stand in it, or see mounts in it that
    nobody else sees.
    """
    found = {}
    above = _above()
    own = Path("/proc/self/mountinfo").read_bytes()
    needle = os.fsencode(folder) + b"/"
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            seen = (entry / "mountinfo").read_bytes()
            texts = (command, (entry / "environ").read_bytes(), os.fsencode((entry / "cwd").readlink()) + b"/")
        except (OSError, ValueError):
            continue
        if int(entry.name) not in above and (any(needle in text for text in texts) or (seen != own and needle in seen)):
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


def mounts(folder: Path) -> list[str]:
    """Return the mounts below a folder that this process sees."""
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if f" {folder}/" in line]
