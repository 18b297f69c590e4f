"""Dependency order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pipelines.errors import Refused


def waves(parents: Mapping[str, Iterable[str]], *, what: str, todo: str) -> tuple[tuple[str, ...], ...]:
    """Return names in waves, each sorted and dependent on earlier ones alone.

    `parents` maps each name to its dependencies; those that are no keys do not count. Raises Refused saying
    `what`, with the chain of a circle.
    """
    waiting = {name: set(on) & parents.keys() for name, on in parents.items()}
    done: list[tuple[str, ...]] = []
    while waiting:
        ready = tuple(sorted(name for name, on in waiting.items() if not on & waiting.keys()))
        if not ready:
            raise Refused(what, seen=" → ".join(circle(waiting)), todo=todo)
        done.append(ready)
        for name in ready:
            del waiting[name]
    return tuple(done)


def circle(waiting: Mapping[str, Collection[str]]) -> list[str]:
    """Return one circle, its first name last, too; every key depends on at least one other key."""
    chain = [min(waiting)]
    while True:
        following = min(name for name in waiting[chain[-1]] if name in waiting)
        if following in chain:
            names = chain[chain.index(following) :]
            start = names.index(min(names))
            return [*names[start:], *names[:start], names[start]]
        chain.append(following)
