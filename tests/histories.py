"""What may happen to a repository while it is released: a few moves, from which sequences of any length are drawn.

After any of them, one more run at each ref must give what runs from scratch give into an empty registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.errors import ShipwayError
from pipelines.images import tag_names
from tests.git_history import History
from tests.release_runs import Releases, Run

BRANCHES = ("refs/heads/main", "refs/heads/next", "refs/heads/feature/a+b")
NAMES = ("i0", "i1", "i2", "i3")
PLACES = ("apps", "lib/deep")
CHARTS = ("c0", "c1")


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image of a commit."""

    place: str
    content: int
    on: str = ""
    """An image that it depends on where the commit has it."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What a commit declares."""

    images: Mapping[str, Image] = field(default_factory=dict)
    charts: Mapping[str, int] = field(default_factory=dict)
    """A number for each, which decides content and version: another content always has another version."""

    def files(self) -> dict[str, str]:
        """Return the commit's tree."""
        found = {"README.md": "read me"}
        for name, image in self.images.items():
            folder = f"{image.place}/{name}"
            found[f"{folder}/Dockerfile"] = f"FROM {image.on if image.on in self.images else 'scratch'}\nCOPY f /\n"
            found[f"{folder}/f"] = f"{name} {image.content}\n"
        for name, number in self.charts.items():
            found[f"charts/{name}/Chart.yaml"] = f"apiVersion: v2\nname: {name}\nversion: 1.0.{number}\n"
            found[f"charts/{name}/values.yaml"] = f"number: {number}\n"
        return found


Move = tuple[str, int, int]
"""A name, and two numbers that choose among whatever there is."""


class HistoryWorld:
    """A repository, what happened to it that nobody has heard of yet, and runs that are under way."""

    def __init__(self, history: History, releases: Releases) -> None:
        """Begin with two images and a chart on main."""
        self.history, self.releases = history, releases
        self.declared: dict[str, Declared] = {}
        self.events: list[tuple[str, str]] = []
        self.runs: list[Run] = []
        self.counter = 0
        images = {"i0": Image(place="apps", content=0), "i1": Image(place="apps", content=0, on="i0")}
        self._push(BRANCHES[0], self._commit(Declared(images=images, charts={"c0": 0})))

    def move(self, move: Move) -> None:
        """Let one thing happen; nothing does where there is nothing that it could happen to."""
        name, one, other = move
        MOVES[name](self, one, other)

    def change(self, one: int, other: int) -> None:
        """Push one commit, or several at once of which the last is told."""
        ref, commit = self._branch(one)
        for number in range(1 + other % 2):
            commit = self._commit(self._changed(self.declared[commit], one + number, other), commit)
        self._push(ref, commit)

    def empty(self, one: int, _: int) -> None:
        """Push a commit that changes nothing."""
        ref, commit = self._branch(one)
        self._push(ref, self._commit(self.declared[commit], commit))

    def remove(self, one: int, other: int) -> None:
        """Delete an image's folder, or a chart's."""
        ref, commit = self._branch(one)
        now = self.declared[commit]
        keep = {name: image for name, image in now.images.items() if name != NAMES[other % len(NAMES)]}
        charts = {name: number for name, number in now.charts.items() if name != CHARTS[other % len(CHARTS)]}
        left = Declared(images=keep, charts=now.charts) if other % 2 else Declared(images=now.images, charts=charts)
        self._push(ref, self._commit(left, commit))

    def rename(self, one: int, other: int) -> None:
        """Move an image's folder to another place, which keeps its name, or give it another name."""
        ref, commit = self._branch(one)
        images = dict(self.declared[commit].images)
        if images:
            name = sorted(images)[other % len(images)]
            image = images.pop(name)
            free = [another for another in NAMES if another not in images]
            images[free[one % len(free)]] = replace(image, place=PLACES[other % len(PLACES)], on="")
            self._push(ref, self._commit(replace(self.declared[commit], images=images), commit))

    def back(self, one: int, other: int) -> None:
        """Push a branch back by force to an older commit, as it is or with another change."""
        ref, commit = self._branch(one)
        for _ in range(1 + other % 3):
            commit = next(iter(self.history.parents[commit]), commit)
        if other % 2:
            commit = self._commit(self._changed(self.declared[commit], one, other), commit)
        self._push(ref, commit)

    def rebase(self, one: int, other: int) -> None:
        """Push a branch by force on top of another one, with its own images."""
        ref, commit = self._branch(one)
        _, onto = self._branch(other)
        mine, theirs = self.declared[commit], self.declared[onto]
        self._push(ref, self._commit(replace(theirs, images={**theirs.images, **mine.images}), onto))

    def merge(self, one: int, other: int) -> None:
        """Merge a branch into another one."""
        ref, commit = self._branch(one)
        _, second = self._branch(other)
        mine, theirs = self.declared[commit], self.declared[second]
        if commit != second:
            both = Declared(images={**mine.images, **theirs.images}, charts={**theirs.charts, **mine.charts})
            self._push(ref, self._commit(both, commit, second))

    def branch(self, one: int, other: int) -> None:
        """Make a branch of another one, or push it there by force."""
        self._push(BRANCHES[other % len(BRANCHES)], self._branch(one)[1])

    def delete(self, one: int, _: int) -> None:
        """Delete a branch that is not main."""
        ref = self._branch(one)[0]
        if ref != BRANCHES[0]:
            self._push(ref, "")

    def version(self, one: int, other: int) -> None:
        """Tag a branch's head with a version, which may be lower than others."""
        self.counter += 1
        self._push(f"refs/tags/v{1 + other % 3}.0.{self.counter}", self._branch(one)[1])

    def start(self, one: int, other: int) -> None:
        """Let an event start a run: an old one, one that did before, or a new one before those that came earlier."""
        ref, commit = self.events[-1 - one % len(self.events)]
        run = self.releases.run(commit, ref)
        self.runs.append(run)
        self._go(run, 1 + other % 9)

    def go(self, one: int, other: int) -> None:
        """Let a run do some more pieces, or all that it has."""
        if self.runs:
            self._go(self.runs[one % len(self.runs)], other if other % 3 else 99)

    def kill(self, one: int, _: int) -> None:
        """End a run where it is."""
        if self.runs:
            self.runs.pop(one % len(self.runs)).close()

    def end(self) -> None:
        """End all runs where they are."""
        while self.runs:
            self.kill(0, 0)

    def _go(self, run: Run, pieces: int) -> None:
        for _ in range(pieces):
            try:
                next(run)
            except StopIteration:
                break
            except ShipwayError:
                break  # Its commit or its branch is gone, or its verdict names what another run did not do.

    def _branch(self, number: int) -> tuple[str, str]:
        found = sorted((ref, commit) for ref, commit in self.history.refs().items() if ref in BRANCHES)
        return found[number % len(found)]

    def _changed(self, now: Declared, one: int, other: int) -> Declared:
        self.counter += 1
        if other % 4 == 0:
            return replace(now, charts={**now.charts, CHARTS[one % len(CHARTS)]: self.counter})
        number = one % len(NAMES)
        on = NAMES[other % number] if number and other % 3 else ""
        image = Image(place=PLACES[0], content=self.counter if other % 5 else 0, on=on)
        return replace(now, images={**now.images, NAMES[number]: image})

    def _commit(self, declared: Declared, *parents: str) -> str:
        commit = self.history.commit(declared.files(), *parents)
        self.declared[commit] = declared
        return commit

    def _push(self, ref: str, commit: str) -> None:
        self.history.push(ref, commit)
        if commit:
            self.events.append((ref, commit))


MOVES: dict[str, Callable[[HistoryWorld, int, int], None]] = {
    move.__name__: move
    for move in (
        HistoryWorld.change,
        HistoryWorld.empty,
        HistoryWorld.remove,
        HistoryWorld.rename,
        HistoryWorld.back,
        HistoryWorld.rebase,
        HistoryWorld.merge,
        HistoryWorld.branch,
        HistoryWorld.delete,
        HistoryWorld.version,
        HistoryWorld.start,
        HistoryWorld.go,
        HistoryWorld.kill,
    )
}


def check(folder: Path, address: str, moves: Sequence[Move]) -> None:
    """Let these things happen in a new repository, and hold its registry against one that only knows the end."""
    history = History(folder / "shop")
    releases = Releases(repo=history.path, address=address, project=f"p{folder.name}", folder=folder / "runs")
    world = HistoryWorld(history, releases)
    for move in moves:
        world.move(move)
    world.end()
    release_every_ref(history, releases)
    assert not any(to_do(history, releases).values()), "a second run would do something"
    scratch = replace(releases, project=f"{releases.project}/scratch")
    release_every_ref(history, scratch)
    assert state(world, releases) == state(world, scratch)


def release_every_ref(history: History, releases: Releases) -> None:
    """Run once at the head of each ref; raises what a verdict raises."""
    for ref, commit in sorted(history.refs().items()):
        releases.finish(commit, ref)


def to_do(history: History, releases: Releases) -> dict[str, int]:
    """Return how much is left for each ref."""
    left = {ref: releases.plan(commit, ref) for ref, commit in history.refs().items()}
    return {ref: plan.to_do + plan.blocked + plan.unknown for ref, plan in left.items()}


def state(world: HistoryWorld, releases: Releases) -> dict[str, object]:
    """Return what people see of what the refs declare: the keys
    that each tag stands for, and the content of each chart.
    """
    found: dict[str, object] = {}
    seen: dict[str, dict[str, str]] = {}
    for ref, commit in world.history.refs().items():
        declared = world.declared[commit]
        for name in declared.images:
            there = seen.setdefault(name, releases.images.tags(name))
            wanted = tag_names.tag_plan(ref, commit)
            # A commit's own tag tells that its run built the image, so it depends on what ran.
            for tag in filter(None, (wanted.branch, wanted.version, wanted.version and tag_names.LATEST)):
                found[f"{name}:{tag}"] = _keys(there, tag)
        for name, number in declared.charts.items():
            images = releases.images
            manifest = images.client.resolve(images.reference(f"charts/{name}", f"1.0.{number}"))
            assert manifest is not None, f"{name} 1.0.{number} is not published"
            found[f"{name} 1.0.{number}"] = [str(layer.digest) for layer in manifest.layers]
    return found


def _keys(there: Mapping[str, str], tag: str) -> list[str]:
    """Return the keys whose image a tag names: as good as the
    digest, which tells the commit of the first build, too.
    """
    return sorted(key for key, digest in there.items() if key.startswith("key-") and digest == there.get(tag))
