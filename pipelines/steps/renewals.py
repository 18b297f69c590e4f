"""Which build of the same ingredients counts: the newest one, whoever asked for it, unless a newer one is asked for now.

What an image's lasting key names is its first build, or leads to its last renewal and says for which moment that was made. An
image's own key holds the moment, and so do those of the images that stand on it: they are asked for in turn, parents first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipelines.plan import key
from pipelines.plan.key import Asked, Ingredients
from pipelines.plan.node import Graph, Target
from pipelines.plan.observed import NOT_ASKED, RENEWAL, Answer
from pipelines.steps.observe import Observer


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What decides each image, and what its key names."""

    made: Mapping[str, Ingredients]
    keys: Mapping[str, Answer]
    behind: Mapping[str, str]
    """What lasting keys name of images that are wanted fresher, or an empty string."""


def settle(
    graph: Graph, target: Target, bases: Mapping[str, str], asked: Mapping[str, Asked], observer: Observer
) -> Settled:
    """Return each image's ingredients with the moment that it was, or is to be, renewed for; raises Misconfigured."""
    answers: dict[tuple[str, str], Answer] = {}
    moments: dict[str, int] = {}
    while True:
        made = key.keys(graph, target, bases, moments)
        questions = [(name, item.lasting_key) for name, item in made.items()]
        new = [question for question in questions if question not in answers]
        answers |= dict(zip(new, observer.keys(new), strict=True))
        there = {name: answers[name, lasting] for name, lasting in questions}
        # A renewal changes the keys of what stands on it, so that these have to be asked for again.
        found = {name: max(there[name].moment, asked[name].at if name in asked else 0) for name in made}
        if found == {name: moments.get(name, 0) for name in made}:
            break
        moments = found
    wanted = [name for name, item in made.items() if item.moment > there[name].moment]
    fresh = dict(zip(wanted, observer.keys([(name, made[name].key) for name in wanted]), strict=True))
    return Settled(
        made=made,
        keys={name: fresh.get(name) or _led(there.get(name, NOT_ASKED)) for name in made},
        behind={name: _led(there[name]).digest for name in wanted},
    )


def _led(answer: Answer) -> Answer:
    """Return what a lasting key's answer leads to."""
    return replace(answer, digest=answer.notes[RENEWAL]) if answer.moment else answer
