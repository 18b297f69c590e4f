"""What the first pod of a run puts out: what the run is about and, where it may publish, what is to be done."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.model.event import Decoded
from pipelines.release.model import Planned


@dataclass(frozen=True, kw_only=True)
class Arrived(Decoded, Planned):
    """An event with the plan of its commit; of another lane than the trusted one, without.

    `ref` is the one that the plan found, where there is a plan: a person may ask for HEAD.
    """
