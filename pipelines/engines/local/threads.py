"""Threads whose errors reach the caller."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial


def run_all(works: Sequence[Callable[[], object]]) -> None:
    """Call all functions at the same time and return when all have returned; raises the first error."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # raised below, in the thread that waits
            errors.append(error)

    threads = [start(partial(guarded, work)) for work in works]
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def start(work: Callable[[], object]) -> threading.Thread:
    """Call a function that raises nothing in a new thread, and return the thread."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
