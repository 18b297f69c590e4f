"""The door through which a command's words leave: no control character of anybody's passes it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

from pipelines.errors import visible


class Door:
    """A stream of text that writes control characters as escapes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, and return its length."""
        self._stream.write(visible(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Return whatever else the stream has."""
        return getattr(self._stream, name)


@contextmanager
def closed() -> Iterator[None]:
    """Lead stdout and stderr through doors. JSON passes unchanged: it has no control characters."""
    with ExitStack() as doors:
        doors.enter_context(redirect_stdout(cast("TextIO", Door(sys.stdout))))
        doors.enter_context(redirect_stderr(cast("TextIO", Door(sys.stderr))))
        yield
