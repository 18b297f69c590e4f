"""Files in a folder that is nobody else's, which several threads ask for at once."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path


def keep(folder: Path, name: str, data: bytes) -> Path:
    """Return a file with a content, which nobody else can read; it is written once, and there as a whole or not at all."""
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:32]}"
    if not path.exists():
        partial = folder / f"{name}-{secrets.token_hex(8)}"
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        partial.replace(path)
    return path
