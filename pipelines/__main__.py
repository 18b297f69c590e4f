"""`shipway` and `python -m pipelines`."""

from __future__ import annotations

import atexit
import gc
import sys

from pipelines.cli.main import main

__all__ = ["main"]

# A command makes many objects, YAML above all, and ends: looking for garbage less often saves time for little memory.
gc.set_threshold(50_000)
# As it ends, Python would go through all of them once more.
atexit.register(gc.freeze)

if __name__ == "__main__":
    sys.exit(main())
