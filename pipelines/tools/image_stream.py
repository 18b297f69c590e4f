"""An image's layers, read from the archive that a builder writes into a pipe, while it writes.

The archive is that of `docker save`: each layer is a plain tar, named by its digest. Nothing of it lands on the disk.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO

from pipelines.errors import ShipwayError
from pipelines.tools.registry.reference import Digest

_CHUNK = 1 << 16  # what a pipe holds


@contextlib.contextmanager
def reading(pipe: Path, wanted: Collection[Digest], keep: Callable[[Digest, IO[bytes]], object]) -> Iterator[None]:
    """Make a named pipe into which the block has an archive written, and hand each wanted layer to `keep` as it comes.

    When the block has ended, all is read. Raises what `keep` raises, ShipwayError for what is no archive.
    """
    os.mkfifo(pipe, 0o600)
    read_end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # else it would wait here for a writer
    os.set_blocking(read_end, True)
    # Held open, the pipe has no end before the block has one, even if nobody ever writes.
    write_end = os.open(pipe, os.O_WRONLY)
    errors: list[BaseException] = []

    def read() -> None:
        # Closed after an error, so that the writer fails instead of waiting.
        with os.fdopen(read_end, "rb", buffering=0) as file:
            try:
                _read(file, wanted, keep)
            except BaseException as error:  # noqa: BLE001  # raised below, in the thread that waits
                errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    causes: list[BaseException] = []
    try:
        try:
            yield
        finally:
            causes += errors
            os.close(write_end)
            thread.join()
    except ShipwayError:
        # Who stopped reading made the writer fail; an archive cut short is only what the writer's failure leaves.
        if causes:
            raise causes[0] from None
        raise
    if errors:
        raise errors[0]


def _read(file: IO[bytes], wanted: Collection[Digest], keep: Callable[[Digest, IO[bytes]], object]) -> None:
    lacking = set(wanted)
    try:
        with tarfile.open(fileobj=file, mode="r|", bufsize=_CHUNK) as archive:
            for member in archive:
                digest = f"sha256:{member.name.removesuffix('.tar')}"
                content = archive.extractfile(member) if member.isfile() and digest in lacking else None
                if content is not None:
                    keep(Digest(digest), content)
                    lacking.discard(Digest(digest))
        while file.read(_CHUNK):
            pass
    except tarfile.TarError as error:
        raise ShipwayError("the builder's archive of the image cannot be read", seen=str(error)) from error
    if lacking:
        raise ShipwayError(
            "the builder's archive of the image is not whole", seen=f"without {', '.join(sorted(lacking))}"
        )
