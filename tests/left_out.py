"""The tools that somebody chose to do without: `make tools`
builds none of them, and tests that need one are deselected.
"""

from __future__ import annotations

import os

VARIABLES = {"buildkit": "SHIPWAY_WITHOUT_BUILDKIT", "helm": "SHIPWAY_WITHOUT_HELM"}
"""For each tool, which is also a marker, the variable that is 1 where it is left out."""


def is_left_out(tool: str) -> bool:
    """Whether tests do without a tool."""
    return os.environ.get(VARIABLES[tool]) == "1"
