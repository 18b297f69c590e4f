"""The folder in which this machine keeps logs, caches, logins and the embedded registry: no part of any commit."""

from __future__ import annotations

import contextlib
from pathlib import Path

NAME = ".shipway"
_IGNORE = ".gitignore"


def make(state: Path) -> Path:
    """Make the folder, if there is none, and let Git leave out all of it; return it.

    A folder of another name that was there before may be a part of somebody's repository, and stays as it is.
    """
    is_own = state.name == NAME or not state.exists()
    state.mkdir(parents=True, exist_ok=True)
    if is_own and not (state / _IGNORE).exists():
        (state / _IGNORE).write_text("*\n", encoding="utf-8")
    return state


def remove(state: Path) -> None:
    """Remove the folder if nothing else is in it."""
    with contextlib.suppress(OSError):
        if [path.name for path in state.iterdir()] == [_IGNORE]:
            (state / _IGNORE).unlink()
        state.rmdir()
