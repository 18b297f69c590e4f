"""Mutexes of templates: who holds which name, all of a template's at once or none (Argo: sync_manager.go, tryAcquireImpl).

Names are those that a template's inputs made of them. Argo keeps them for a whole namespace; here they last as long as the run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipelines.local.stage import Stage

_LOOK_SECONDS = 0.2
"""How long a waiting node may overlook that its stage has ended."""

DUPLICATE = "requested configuration is invalid: duplicate synchronization item found"
"""What Argo says of a template that would wait for itself."""


class Mutexes:
    """The names that are held in a run."""

    def __init__(self) -> None:
        """Begin with nothing held."""
        self._changed = threading.Condition()
        self._held: set[str] = set()

    @contextmanager
    def hold(self, names: Sequence[str], stage: Stage) -> Iterator[None]:
        """Hold all the names within the block; waits for them, no longer than the stage lasts, after which nothing starts anyway."""
        wanted = set(names)
        with self._changed:
            while self._held & wanted and not stage.is_ended:
                self._changed.wait(_LOOK_SECONDS)
            taken = set() if self._held & wanted else wanted
            self._held |= taken
        try:
            yield
        finally:
            with self._changed:
                self._held -= taken
                self._changed.notify_all()
