"""The order of things that stand on each other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pipelines.errors import Refused


def waves(parents: Mapping[str, Iterable[str]], *, what: str, todo: str) -> tuple[tuple[str, ...], ...]:
    """Return names in waves, each sorted and standing on earlier ones alone.

    `parents` maps each name to those that it stands on; others than its own keys do not count. Raises Refused saying
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
    """Return one circle, its first name last, too; every key stands on at least one other key."""
    chain = [min(waiting)]
    while True:
        following = min(name for name in waiting[chain[-1]] if name in waiting)
        if following in chain:
            found = chain[chain.index(following) :]
            start = found.index(min(found))
            return [*found[start:], *found[:start], found[start]]
        chain.append(following)
