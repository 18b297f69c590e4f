"""Stops one stage of a run: the nodes of the entrypoint, or those of the exit handler."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.tools.processes.child_process import ChildProcess

STOPPED = "workflow shutdown with strategy:  Stop"
EXPIRED = "Step exceeded its deadline"


class RunControl:
    """Whether new processes may start, and the processes that run."""

    def __init__(self) -> None:
        """Begin with nothing running."""
        self._lock = threading.Lock()
        self._children: set[ChildProcess] = set()
        self._ended = threading.Event()
        self.message = ""
        self.is_stopped = False
        """Whether somebody stopped it, so that no node starts; after a deadline, nodes start and fail at once."""

    @property
    def is_ended(self) -> bool:
        """Whether no new process starts."""
        return self._ended.is_set()

    def end(self, message: str, *, is_stop: bool) -> None:
        """Start no more processes, and ask those that run to end."""
        with self._lock:
            self.message = message
            self.is_stopped = self.is_stopped or is_stop
            self._ended.set()
            children = list(self._children)
        for child in children:
            child.stop()

    def sleep(self, seconds: float) -> None:
        """Wait so many seconds, or until the stage ends."""
        self._ended.wait(seconds)

    @contextmanager
    def running(self, child: ChildProcess) -> Iterator[None]:
        """Stop a child process if the stage ends within the block."""
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
