"""What a run knows of others: by labels that are hashes, so that nothing from outside stands in them."""

from __future__ import annotations

from dataclasses import dataclass

REF_LABEL = "shipway-ref"
"""Written by the Sensor when it makes a run: a hash over forge, repository and ref, so that runs that have not begun are found."""
GROUP_LABEL = "shipway-group"
"""Written once a run's event was found to be true: the hash over repository, lane and ref that `decode` gives."""
BY_ANNOTATION = "shipway/superseded-by"
"""The run for whose sake one was stopped."""


@dataclass(frozen=True, kw_only=True)
class Superseded:
    """Which run of a branch or pull request goes on."""

    newest: str
    """Its name."""
    stopped: tuple[str, ...]
    """Runs that were asked to stop for it."""
