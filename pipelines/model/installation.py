"""What is known of an installation that was tried."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Checked:
    """An installation whose parts all answered."""

    registry: str
    """Where its images go: registry and project."""
    builder: str
    """The builder's kind and version, after it ran a Dockerfile."""
