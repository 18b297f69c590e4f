"""Work side by side, whose errors reach the one who asked for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial


def run_all(works: Sequence[Callable[[], object]]) -> None:
    """Do every piece of work at the same time, and return when all are done; raises the first error."""
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
    """Begin a piece of work that raises nothing, and return its thread."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
