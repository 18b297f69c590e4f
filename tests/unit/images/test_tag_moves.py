"""Tags under every meeting of runs: each run may be interrupted, or die, before each of its calls."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import Refused, Transient
from pipelines.images import tag_names
from pipelines.images.model import Checkout
from pipelines.images.push import publish
from pipelines.images.registry_state import RENEWAL, RENEWED_FOR, REVISION, VERSION
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.layout import MANIFEST, Descriptor, Layout
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Digest, Reference

TO = Reference(registry="r.example", repository="team/web")


class Killed(Exception):
    """The process ended here."""


@dataclass
class TagWorld:
    """What a registry holds, and what a remote's refs name."""

    shelf: dict[str, Manifest] = field(default_factory=dict)
    head: str = ""


@dataclass(frozen=True)
class Change:
    """A commit and the image built from it."""

    commit: str
    ref: str
    manifest: Manifest


def change(n: int, ref: str) -> Change:
    """Return the n-th commit; a ref with {} names a version each."""
    value = {"config": {}, "layers": [], "n": n, "annotations": {VERSION: f"1.0.{n}", REVISION: str(n)}}
    data = json.dumps(value).encode()
    descriptor = Descriptor(media_type=MANIFEST, digest=Digest.of(data), size=len(data))
    return Change(f"{n:040x}", ref.format(n), Manifest(descriptor=descriptor, data=data))


class Step(Registry):
    """One run of the step: its registry is a TagWorld, and before its call number `at` something else happens."""

    def __init__(
        self,
        world: TagWorld,
        what: Change,
        at: int = -1,
        event: Callable[[], None] = lambda: None,
        *,
        key: str = "",
        renewal: tuple[str, int] = ("", 0),
    ) -> None:
        super().__init__(Credentials())
        self._key, self._renewal = key, renewal
        self._world, self._what, self._at, self._event = world, what, at, event
        self.calls = 0

    def run(self) -> bool:
        """Run to the end; return whether the event came to pass."""
        checkout = Checkout(
            repo="", revision="", ref=self._what.ref, commit=self._what.commit, time=0, tree="", path="", dockerfile="",
            target="", build_args=(), platform="", bases=(),
        )  # fmt: skip
        publish(
            self, Layout(Path("none")), self._what.manifest.descriptor, TO,
            plan=tag_names.tag_plan(checkout.ref, checkout.commit), checkout=checkout, mounts={}, head=self._head,
            key=self._key, renewal=self._renewal,
        )  # fmt: skip
        return self.calls > self._at >= 0

    def _tick(self) -> None:
        self.calls += 1
        if self.calls == self._at + 1:
            self._event()

    def _head(self, ref: str) -> str:
        self._tick()
        return self._what.commit if ref.startswith("refs/tags/") else self._world.head

    def resolve(self, ref: Reference, *, mirrored: bool = False) -> Manifest | None:
        """Look on the shelf."""
        self._tick()
        return self._world.shelf.get(ref.digest or ref.tag)

    def tags(self, ref: Reference) -> tuple[str, ...]:
        """List the shelf."""
        self._tick()
        return tuple(tag for tag in self._world.shelf if not tag.startswith("sha256:"))

    def push(
        self, layout: Layout, descriptor: Descriptor, to: Reference, *, mounts: Mapping[Digest, str] | None = None
    ) -> bool:
        """Put the image on the shelf."""
        self._tick()
        self._world.shelf[descriptor.digest] = self._what.manifest
        return True

    def tag(self, to: Reference, tag: str) -> None:
        """Let a tag name what is there."""
        self._tick()
        assert to.digest
        self._world.shelf[tag] = self._world.shelf[to.digest]

    def annotate(self, to: Reference, tag: str, notes: Mapping[str, str]) -> None:
        """Let a tag name what is there, with more annotations."""
        self._tick()
        assert to.digest
        value = self._world.shelf[to.digest].json
        data = json.dumps({**value, "annotations": {**value["annotations"], **notes}}).encode()
        descriptor = Descriptor(media_type=MANIFEST, digest=Digest.of(data), size=len(data))
        self._world.shelf[tag] = self._world.shelf[descriptor.digest] = Manifest(descriptor=descriptor, data=data)

    def config(self, ref: Reference, manifest: Manifest) -> dict[str, Any]:
        """Nothing is asked here: the versions are annotations."""
        raise AssertionError("not asked")


def points() -> Iterator[int]:
    """Count up; the caller stops where a run has no such call any more."""
    yield from range(1000)


@pytest.mark.parametrize(("ref", "tag"), [("refs/heads/main", "main"), ("refs/tags/v1.0.{}", "latest")])
def test_the_last_change_wins_wherever_runs_interrupt_each_other(ref: str, tag: str) -> None:
    """Before each call of an old run a newer one may run as a whole, and before each call of that a third."""
    first, second, third = (change(n, ref) for n in range(3))
    cases = 0
    for outer in points():
        outer_happened = False
        for inner in points():
            world = TagWorld(head=first.commit)
            happened: list[bool] = []

            def run_third(world: TagWorld = world) -> None:
                world.head = third.commit
                Step(world, third).run()

            def run_second(world: TagWorld = world, inner: int = inner, happened: list[bool] = happened) -> None:
                world.head = second.commit
                happened.append(Step(world, second, inner, run_third).run())

            outer_happened = Step(world, first, outer, run_second).run()
            last = third if happened == [True] else second if happened else first
            assert world.shelf[tag] == last.manifest, f"interrupted before call {outer}, and that before call {inner}"
            cases += 1
            if not any(happened):
                break
        if not outer_happened:
            break
    assert cases > 30


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/tags/v1.0.{}"])
def test_a_new_change_after_its_own_run_was_killed(ref: str) -> None:
    """A run that dies before any of its calls leaves nothing
    that its rerun, or the run of a newer change, does not mend.
    """

    def die() -> None:
        raise Killed

    old, new = change(0, ref), change(1, ref)
    tag = "main" if "heads" in ref else "latest"
    for at in points():
        world = TagWorld(head=old.commit)

        def overtaken(world: TagWorld = world) -> None:
            world.head = new.commit
            Step(world, new).run()
            raise Killed

        try:
            Step(world, old, at, die).run()
            break
        except Killed:
            Step(world, old).run()
        assert world.shelf[tag] == old.manifest
        world.head = old.commit
        world.shelf.clear()
        with pytest.raises(Killed):
            Step(world, old, at, overtaken).run()
        Step(world, old).run()
        assert world.shelf[tag] == new.manifest, f"killed before call {at}"


def test_a_tag_that_never_rests_is_given_up() -> None:
    """When others move the branch for ever, the run ends and says so."""
    world = TagWorld(head=change(0, "").commit)
    step = Step(world, change(0, "refs/heads/main"))
    true_tag = step.tag

    def contested(to: Reference, tag: str) -> None:
        true_tag(to, tag)
        if tag == "main":
            world.shelf[tag] = change(7, "").manifest

    step.tag = contested  # type: ignore[method-assign]
    with pytest.raises(Transient, match="does not come to rest"):
        step.run()


def test_a_version_keeps_its_first_content() -> None:
    """A second content is refused wherever the first one's run comes in between, but for the one request that sets the
    tag.

    Registries have no request that sets a tag only where there is none, so that moment is theirs: a rule for immutable
    tags in the registry closes it.
    """
    one, other = change(0, "refs/tags/v9.0.0"), change(1, "refs/tags/v9.0.0")
    refused = overwritten = 0
    for at in points():
        world = TagWorld()

        def in_between(world: TagWorld = world) -> None:
            with contextlib.suppress(Refused):
                Step(world, one).run()

        try:
            happened = Step(world, other, at, in_between).run()
        except Refused:
            assert world.shelf["9.0.0"] == one.manifest
            refused += 1
            continue
        if not happened:
            break
        overwritten += at < calls_to_version(other)
    assert refused == calls_to_version(other) - 1
    assert overwritten == 1


def calls_to_version(what: Change) -> int:
    """Return how many calls an undisturbed run makes up to the one that sets the version's tag, that one with them."""
    world = TagWorld()
    counted: list[int] = []
    step = Step(world, what)
    true_tag = step.tag

    def noted(to: Reference, tag: str) -> None:
        true_tag(to, tag)
        if tag == "9.0.0":
            counted.append(step.calls)

    step.tag = noted  # type: ignore[method-assign]
    step.run()
    return counted[0]


@pytest.mark.parametrize("dies", [True, False])
def test_a_lasting_key_leads_to_the_latest_renewal(dies: bool) -> None:
    """Whatever meets whatever: of two renewals that which was asked
    for later stays, and who builds the lasting key once more takes it.
    """
    lasting, early, late = ("a" * 64, "b" * 64, "c" * 64)
    at = 0
    while True:
        world = TagWorld(head=f"{9:040x}")
        Step(world, change(0, "refs/heads/main"), key=lasting).run()
        first, second, third = (change(n, "refs/heads/main") for n in (1, 2, 3))
        newer = Step(world, second, key=late, renewal=(lasting, 200))

        def meet(newer: Step = newer) -> None:
            newer.run()
            if dies:
                raise Killed

        with contextlib.suppress(Killed):
            if not Step(world, first, at, meet, key=early, renewal=(lasting, 100)).run():
                break
        # Of two that write in the same moment the later writer's stays, as with every tag: the same run again puts it
        # right.
        Step(world, second, key=late, renewal=(lasting, 200)).run()
        Step(world, first, key=early, renewal=(lasting, 100)).run()
        there = world.shelf[f"key-{lasting}"].json["annotations"]
        assert (there[RENEWED_FOR], there[RENEWAL]) == ("200", second.manifest.descriptor.digest)
        Step(world, third, key=lasting).run()
        assert world.shelf[f"git-{third.commit}"].descriptor.digest == second.manifest.descriptor.digest
        at += 1
    assert at > 5
