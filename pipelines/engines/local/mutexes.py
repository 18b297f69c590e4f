"""Mutexes of templates: who holds which name, all of a template's at once or none (Argo: sync_manager.go, tryAcquireImpl).

Names are those that a template's inputs made of them. Argo keeps them for a whole namespace; here they last as long as the run.

The part of a run that one stop ends: the nodes of the entrypoint, or those of the exit handler.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipelines.tools.processes.child import Child

STOPPED = "workflow shutdown with strategy:  Stop"
EXPIRED = "Step exceeded its deadline"


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
    def hold(self, names: Sequence[str], stage: RunControl) -> Iterator[None]:
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


class RunControl:
    """Whether work goes on, and the processes that are at it."""

    def __init__(self) -> None:
        """Begin with nothing running."""
        self._lock = threading.Lock()
        self._children: set[Child] = set()
        self._ended = threading.Event()
        self.message = ""
        self.is_stopped = False
        """Whether somebody stopped it, so that no new node begins; after a deadline, nodes begin and fail at once."""

    @property
    def is_ended(self) -> bool:
        """Whether no new process starts."""
        return self._ended.is_set()

    def end(self, message: str, *, is_stop: bool) -> None:
        """Start nothing more, and ask what runs to end."""
        with self._lock:
            self.message = message
            self.is_stopped = self.is_stopped or is_stop
            self._ended.set()
            children = list(self._children)
        for child in children:
            child.stop()

    def sleep(self, seconds: float) -> None:
        """Wait, no longer than the stage lasts."""
        self._ended.wait(seconds)

    @contextmanager
    def running(self, child: Child) -> Iterator[None]:
        """Have a child stopped when the stage ends within the block."""
        with self._lock:
            self._children.add(child)
            is_ended = self._ended.is_set()
        if is_ended:
            child.stop()
        try:
            yield
        finally:
            with self._lock:
                self._children.discard(child)
