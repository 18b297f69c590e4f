"""Ages over random histories: what was just built is never too old, and what is released stays as it is."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipelines.events.decode import LaneSettings
from pipelines.release.model import Plan
from pipelines.step import signature
from pipelines.tools.registry.connection import Timing
from tests.plan_world import DAY, NOW, PlanWorld, plan_world

AGE: str = signature.from_settings(LaneSettings, {}).max_age
"""What the nightly run asks for."""
WEEK = 7 * DAY
PATIENT = Timing(attempts=2, backoff_seconds=0.001)
_NUMBER = itertools.count()


@dataclass
class Ages:
    """A repository that is released now and then, and when each of its images was last built."""

    world: PlanWorld
    now: int = NOW
    counter: int = 0
    built: dict[str, int] = field(default_factory=dict)
    """By name, for the images of main."""
    released: list[str] = field(default_factory=list)
    """Versions that were released as a whole."""

    def change(self, number: int) -> None:
        """Push a commit that changes one image, or none."""
        self.counter += 1
        file = ("alone__x", "base__motd", "web__page", "docs__x")[number % 4]
        self.world.commit(**{file: f"{self.counter}"})

    def base(self, _: int) -> None:
        """Let the image from outside move."""
        self.counter += 1
        self.world.base("public/debian:12", f"moved {self.counter}")

    def wait(self, number: int) -> None:
        """Let time pass."""
        self.now += (DAY, 3 * DAY, WEEK, WEEK - 1)[number % 4]

    def release(self, _: int) -> None:
        """Release main, as a push does."""
        self._run("main")

    def rebuild(self, number: int) -> None:
        """Release main, and ask for one image anew."""
        self._run("main", rebuild=("alone", "base", "web", "shop")[number % 4])

    def version(self, _: int) -> None:
        """Tag main's head with a new version, and release it."""
        name = f"v1.0.{len(self.released)}"
        self.world.repository.git("tag", name)
        self._run(name)
        self.released.append(name)

    def night(self, _: int) -> None:
        """Do what the night does for main, and for each version."""
        for ref in ("main", *self.released):
            self._run(ref, max_age=AGE)
            assert _open(self.world.plan(ref, max_age=AGE, now=self.now)) == set(), ref

    def cut(self, number: int) -> None:
        """Begin to release main, and be killed after some images."""
        plan = self.world.plan("main", now=self.now, max_age=AGE if number % 2 else "")
        self._note(self.world.build(plan, at=self.now, most=number % 4))

    def _run(self, ref: str, *, rebuild: str = "", max_age: str = "") -> None:
        """Carry a plan out; afterwards the night finds nothing to do but for what is really old."""
        self.now += 60
        done = self.world.build(self.world.plan(ref, rebuild=rebuild, max_age=max_age, now=self.now), at=self.now)
        assert not (done and ref in self.released), "a version was built again"
        self._note(done)
        old = {name for name, at in self.built.items() if self.now - at >= WEEK}
        due = _open(self.world.plan(ref, max_age=AGE, now=self.now))
        assert due <= (_above(old) if ref == "main" else set()), f"{due} of {ref}, while {old} is old"

    def _note(self, names: list[str]) -> None:
        self.built.update(dict.fromkeys(names, self.now))


def _above(names: set[str]) -> set[str]:
    """Return images with those that depend on them."""
    order = ("base", "web", "shop")
    first = min((order.index(name) for name in names if name in order), default=len(order))
    return names | set(order[first:])


def _open(plan: Plan) -> set[str]:
    """Return the images that something is to be done for, or that block the plan."""
    assert not plan.blocked, [image for image in plan.images if image.state != "published"]
    return {image.name for image in plan.images if image.action != "nothing" or image.state != "published"}


MOVES = (Ages.change, Ages.base, Ages.wait, Ages.release, Ages.rebuild, Ages.version, Ages.night, Ages.cut)


# Each takes seconds. A failing one is not shrunk, which would take minutes.
@settings(
    max_examples=settings().max_examples // 10,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(moves=st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 3)), min_size=8, max_size=16))
def test_after_any_release_the_night_finds_nothing_to_do(tmp_path: Path, moves: list[tuple[object, int]]) -> None:
    """But what nobody has built for a week; and at a version nothing is ever built again, nor blocked."""
    with plan_world(tmp_path / str(next(_NUMBER)), PATIENT) as world:
        ages = Ages(world)
        ages.release(0)
        for move, number in moves:
            move(ages, number)  # type: ignore[operator]
        ages.night(0)
