"""Batches of images that a check builds in a few pods: an image is in one batch with those that it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipelines.images.plan_model import ImageJob

MOST_BATCHES = 4
"""Pods that one check builds in, whatever a stranger's commit asks for."""


def split(waves: Iterable[Sequence[ImageJob]], most: int = MOST_BATCHES) -> tuple[tuple[str, ...], ...]:
    """Return the names of a plan's builds in at most `most` batches of about the same size, parents first in each.

    No image has a parent in another batch, so each batch can be built alone.
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
    order = {job.name: number for number, job in enumerate(jobs)}
    return tuple(tuple(sorted(batch, key=order.__getitem__)) for batch in packed)


def with_parents(jobs: Sequence[ImageJob], names: Iterable[str]) -> tuple[ImageJob, ...]:
    """Return the jobs of some names and those that they depend on, parents first."""
    chosen = set(names)
    for job in reversed(jobs):
        if job.name in chosen:
            chosen.update(job.parents)
    return tuple(job for job in jobs if job.name in chosen)
