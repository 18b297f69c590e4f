"""A text as an argument: packed and short enough for one, or not at all."""

from __future__ import annotations

import base64
import binascii
import zlib

from pipelines.errors import Misuse

MOST_CHARACTERS = 24_000
"""Of a packed text, which is the plan of some hundred images; a Workflow has 1 MB for everything, and holds an argument several times."""


def pack(text: str) -> str:
    """Return a text packed, or an empty one where it does not get short enough."""
    packed = base64.b64encode(zlib.compress(text.encode())).decode()
    return packed if len(packed) <= MOST_CHARACTERS else ""


def unpack(packed: str) -> str:
    """Return what was packed; raises Misuse for anything else."""
    try:
        return zlib.decompress(base64.b64decode(packed, validate=True)).decode()
    except (binascii.Error, zlib.error, ValueError) as error:
        raise Misuse("not a packed text", seen=str(error), todo="pass on what the step before gave") from error
