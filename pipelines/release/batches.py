"""Images to build in a few pods that publish nothing: what stands on each other stays together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipelines.images.model import ImageJob

MOST_BATCHES = 4
"""Pods that one check builds in, whatever a stranger's commit asks for."""


def batches(waves: Iterable[Sequence[ImageJob]], most: int = MOST_BATCHES) -> tuple[tuple[str, ...], ...]:
    """Return the names of a plan's builds in at most so many batches of about the same size, parents first in each.

    No image has a parent to build in another batch, so that a batch needs nothing that is not published.
    """
    jobs = [job for wave in waves for job in wave]
    chains: dict[str, list[str]] = {}
    for job in jobs:
        joined = [chains[parent] for parent in job.parents]
        chain = joined[0] if joined else []
        for other in joined[1:]:
            if other is not chain:
                chain += other
                chains |= dict.fromkeys(other, chain)
        chain.append(job.name)
        chains[job.name] = chain
    distinct = {id(chain): chain for chain in chains.values()}.values()
    packed: list[list[str]] = [[] for _ in range(min(most, len(distinct)))]
    for chain in sorted(distinct, key=len, reverse=True):
        min(packed, key=len).extend(chain)
    place = {job.name: number for number, job in enumerate(jobs)}
    return tuple(tuple(sorted(batch, key=place.__getitem__)) for batch in packed)


def closed(jobs: Sequence[ImageJob], names: Iterable[str]) -> tuple[ImageJob, ...]:
    """Return the jobs of some names and of whatever of the jobs these stand on, parents first."""
    wanted = set(names)
    for job in reversed(jobs):
        if job.name in wanted:
            wanted.update(job.parents)
    return tuple(job for job in jobs if job.name in wanted)
