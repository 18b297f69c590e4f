"""Mutexes of templates; a template gets all of its own at once or none (Argo: sync_manager.go, tryAcquireImpl).

A name may hold the template's inputs. Argo keeps mutexes for a whole namespace; here they last as long as the run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipelines.engines.local.run_control import RunControl

_POLL_SECONDS = 0.2
"""How long a waiting node may take to notice that its stage has ended."""
DUPLICATE = "requested configuration is invalid: duplicate synchronization item found"
"""Argo's message for a template that would wait for itself."""


class Mutexes:
    """The names that are held in a run."""

    def __init__(self) -> None:
        """Begin with nothing held."""
        self._changed = threading.Condition()
        self._held: set[str] = set()

    @contextmanager
    def hold(self, names: Sequence[str], stage: RunControl) -> Iterator[None]:
        """Hold all the names within the block; wait for them until the stage ends, since nothing starts after that."""
        requested = set(names)
        with self._changed:
            while self._held & requested and not stage.is_ended:
                self._changed.wait(_POLL_SECONDS)
            taken = set() if self._held & requested else requested
            self._held |= taken
        try:
            yield
        finally:
            with self._changed:
                self._held -= taken
                self._changed.notify_all()
