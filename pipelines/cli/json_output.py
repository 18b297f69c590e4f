"""What `--json` prints: one object, as pipelines/schemas/json-output.schema.json says for each command."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

VERSION = 1
"""Of the form: within one, fields are added, and none is taken away or means something else."""


def write(value: Mapping[str, Any]) -> None:
    """Print an object with the version of its form, on one line."""
    sys.stdout.write(json.dumps({"version": VERSION, **value}, default=vars) + "\n")
