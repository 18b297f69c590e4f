"""The Secrets of runs on this machine: folders of files, and docker's own logins where none is given for registries."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from pipelines.errors import Misconfigured
from pipelines.tools.registry.credentials import FILES, Credentials

_OF_ONES_OWN = ("shipway-pull", "shipway-push")
"""Secrets that docker's own logins stand for; of checks, a Secret alone says what strangers may read."""
_OF_REGISTRIES = (*_OF_ONES_OWN, "shipway-check-pull")


def secret(settings: Mapping[str, str], name: str) -> Path:
    """Return the folder of a Secret of a local run, whether it exists or not."""
    given = Path(settings["secrets"]) / name
    if name in _OF_ONES_OWN and not _has_logins(given):
        return _docker() or given
    return given


def linked(settings: Mapping[str, str], folder: Path) -> Path:
    """Make a folder with links to every Secret of a run; where logins for registries lack, to the file to write."""
    folder.mkdir()
    given = Path(settings["secrets"])
    for name in {path.name for path in given.iterdir()} if given.is_dir() else ():
        (folder / name).symlink_to(given / name)
    for name in _OF_REGISTRIES:
        if not _has_logins(given / name):
            (folder / name).unlink(missing_ok=True)
            (folder / name).mkdir()
            (folder / name / FILES[0]).symlink_to(secret(settings, name) / FILES[0])
    return folder


def _has_logins(folder: Path) -> bool:
    return any((folder / name).exists() for name in FILES)


@functools.cache
def _docker() -> Path | None:
    """Return docker's own folder of logins, or None if there is none; one that cannot be used is told once."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker").absolute()
    if not (folder / FILES[0]).exists():
        return None
    try:
        helpers = Credentials.read(folder).programs
        why = ", ".join(f"no {program} on PATH" for program in helpers if not shutil.which(program))
    except Misconfigured as error:
        why = error.seen
    if why:
        sys.stderr.write(f"shipway: docker's logins in {folder / FILES[0]} are not used: {why}\n")
    return None if why else folder
