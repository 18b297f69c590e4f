"""An image's key changes with everything that can change its
bytes, and with nothing else: over generated repositories.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.declared import shipway_yaml
from pipelines.images import graph as image_graph
from pipelines.images import key as image_key
from pipelines.images.key import Freshness, RebuildPolicy
from pipelines.images.node import BuildTarget, Graph
from pipelines.tools.git.tree import File, GitTree
from tests import trees

EXTERNALS = ("debian:12", "busybox:1", "golang:1.22")
DAY = 86400
NOW = 1_700_000_000


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A commit, and the world around it."""

    parents: Mapping[str, tuple[str, ...]]
    """For each image, the images and externals that its Dockerfile names."""
    files: Mapping[str, str]
    executable: frozenset[str] = frozenset()
    links: Mapping[str, str] = field(default_factory=dict)
    comments: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)
    """Lines of shipway.yaml for an image."""
    bases: Mapping[str, str] = field(default_factory=lambda: {name: f"sha256:{name}" for name in EXTERNALS})
    target: BuildTarget = trees.TARGET
    rebuilds: RebuildPolicy = field(default_factory=lambda: RebuildPolicy(now=NOW))
    backwards: bool = False

    def graph(self) -> Graph:
        """Return its graph."""
        files = dict(self.files) | {"core/tool": self.files.get("core/tool", "tool")}
        for name, named in self.parents.items():
            copies = "".join(f"COPY --from={other} /x /x\n" for other in named[1:])
            text = f"ARG USED=1\nFROM {named[0]} AS one\n{copies}FROM one AS two\nCOPY . /\n"
            files[f"{name}/Dockerfile"] = self.comments.get(name, "") + text
            files[f"{name}/.dockerignore"] = "ignored\n**/*.log\n"
        yaml = "".join(f"  {name}: {{{self.more.get(name, '')}}}\n" for name in self.parents)
        files[shipway_yaml.NAME] = f"images:\n{yaml}"
        made = trees.tree(files, self.links)
        entries = [
            (path, File("100755" if path in self.executable else file.mode, file.id))
            for path, file in made.files.items()
        ]
        tree = GitTree(files=dict(reversed(entries) if self.backwards else entries), contents=made.contents)
        configuration, findings = shipway_yaml.read(files[shipway_yaml.NAME].encode())
        assert findings == ()
        return image_graph.read(
            tree, configuration, self.target, root_name="shop", registry=trees.REGISTRY, project=trees.PROJECT
        )

    def keys(self) -> dict[str, str]:
        """Return every image's key."""
        found = self.graph()
        assert not any(node.blocked for node in found.nodes.values()), found.findings
        moments = {name: item.moment(0, 0) for name, item in image_key.freshness(found, self.rebuilds).items()}
        bases = {(name, platform): digest for name, digest in self.bases.items() for platform in self.target.platforms}
        return {name: made.key for name, made in image_key.key_inputs(found, self.target, bases, moments).items()}

    def above(self, *names: str) -> set[str]:
        """Return images with all that depend on them."""
        found = set(names)
        while more := {name for name, on in self.parents.items() if name not in found and found & set(on)}:
            found |= more
        return found

    def with_file(self, path: str, text: str) -> Repository:
        """Return the same with another file."""
        return replace(self, files={**self.files, path: text})

    def with_more(self, name: str, more: str) -> Repository:
        """Return the same with something said of an image."""
        return replace(self, more={**self.more, name: more})


PARTS = st.sets(st.sampled_from("abc"))


@cache
def named(number: int) -> st.SearchStrategy[tuple[str, ...]]:
    """Give what the Dockerfile of the image of that number names: images of lower numbers, and externals."""
    choice = [*(f"i{lower}" for lower in range(number)), *EXTERNALS[:2]]
    return st.lists(st.sampled_from(choice), min_size=1, max_size=3, unique=True).map(tuple)


@st.composite
def repositories(draw: st.DrawFn) -> tuple[Repository, str]:
    """Draw a repository of some images, and one of them."""
    names = [f"i{number}" for number in range(draw(st.integers(1, 5)))]
    parents: dict[str, tuple[str, ...]] = {}
    for number, name in enumerate(names):
        parents[name] = draw(named(number))
    files = {f"{name}/src/{part}": f"{name} {part}" for name in names for part in draw(PARTS)}
    files |= {f"{name}/src/main": name for name in names} | {"README.md": "read me"}
    return Repository(parents=parents, files=files), draw(st.sampled_from(names))


CHANGES: dict[str, Callable[[Repository, str], Repository]] = {
    "a file's content": lambda r, n: r.with_file(f"{n}/src/main", "other"),
    "a new file": lambda r, n: r.with_file(f"{n}/src/new", ""),
    "a file's name": lambda r, n: replace(
        r, files={path.replace(f"{n}/src/main", f"{n}/src/moved"): text for path, text in r.files.items()}
    ),
    "a file that is gone": lambda r, n: replace(
        r, files={path: text for path, text in r.files.items() if path != f"{n}/src/main"}
    ),
    "a file's mode": lambda r, n: replace(r, executable=frozenset({f"{n}/src/main"})),
    "a link": lambda r, n: replace(r, links={f"{n}/link": "src/main"}),
    "its Dockerfile": lambda r, n: replace(r, comments={n: "# another\n"}),
    "a build argument": lambda r, n: r.with_more(n, "build-args: {USED: 2}"),
    "its target": lambda r, n: r.with_more(n, "target: one"),
    "its version": lambda r, n: r.with_more(n, "version: 1.0"),
    "a text that asks for it": lambda r, n: r.with_more(n, "rebuild: now"),
    "--rebuild": lambda r, n: replace(r, rebuilds=RebuildPolicy(now=NOW, rebuild={n})),
    "an age": lambda r, n: r.with_more(n, "max-age: 7d"),
    "a shared folder": lambda r, n: r.with_more(n, "shared: [core]"),
}
FOR_ALL: dict[str, Callable[[Repository], Repository]] = {
    "the platform": lambda r: replace(r, target=replace(r.target, platforms=("linux/arm64",))),
    "the builder": lambda r: replace(r, target=replace(r.target, builder="buildah", builder_version="1.40.0")),
    "its version": lambda r: replace(r, target=replace(r.target, builder_version="0.99.0")),
    "the compression": lambda r: replace(r, target=replace(r.target, compression="gzip")),
    "an argument for all": lambda r: replace(r, target=replace(r.target, build_args=("USED=3",))),
    "an age for all": lambda r: replace(r, rebuilds=RebuildPolicy(now=NOW, max_age="7d")),
}
FOR_NONE: dict[str, Callable[[Repository, str], Repository]] = {
    "a file outside of every context": lambda r, _: r.with_file("docs/x", "other"),
    "an ignored file": lambda r, n: r.with_file(f"{n}/ignored/x", "other").with_file(f"{n}/a.log", ""),
    "the order of files": lambda r, _: replace(r, backwards=True),
    "the clock": lambda r, _: replace(r, rebuilds=RebuildPolicy(now=2_000_000_000)),
    "an argument that nothing declares": lambda r, n: r.with_more(n, "build-args: {OTHER: 2}"),
    "a secret that nothing mounts": lambda r, n: r.with_more(n, "secrets: [token]"),
    "an image that nothing depends on": lambda r, _: replace(r, bases={**r.bases, "golang:1.22": "sha256:other"}),
    "a shared folder that nobody has": lambda r, _: r.with_file("core/tool", "other"),
    "--rebuild of an image that is not there": lambda r, _: replace(
        r, rebuilds=RebuildPolicy(now=NOW, rebuild={"other"})
    ),
}


def test_a_secret_that_is_mounted_and_not_declared() -> None:
    """An image that is built without it is another one than with it."""
    mount = "FROM golang:1.22\nRUN --mount=type=secret,id=token true\n"
    repository = Repository(parents={"i0": ("golang:1.22",)}, files={"i0/src/main": ""}, comments={"i0": mount})
    assert repository.graph().nodes["i0"].without == ("token",)
    assert changed(repository, repository.with_more("i0", "secrets: [token]")) == {"i0"}
    assert not changed(repository, repository.with_more("i0", "secrets: [other]"))


def changed(one: Repository, other: Repository) -> set[str]:
    """Return the images whose keys differ."""
    first, second = one.keys(), other.keys()
    assert first.keys() == second.keys()
    return {name for name in first if first[name] != second[name]}


@pytest.mark.parametrize("kind", CHANGES)
@settings(max_examples=12)
@given(drawn=repositories())
def test_what_changes_an_image_changes_its_key(kind: str, drawn: tuple[Repository, str]) -> None:
    """And that of each image above it, and no other."""
    repository, name = drawn
    assert changed(repository, CHANGES[kind](repository, name)) == repository.above(name)


@pytest.mark.parametrize("kind", FOR_ALL)
@settings(max_examples=8)
@given(drawn=repositories())
def test_what_changes_every_image_changes_every_key(kind: str, drawn: tuple[Repository, str]) -> None:
    """Platform, builder, compression, and what a caller asks of all."""
    assert changed(drawn[0], FOR_ALL[kind](drawn[0])) == set(drawn[0].parents)


@pytest.mark.parametrize("kind", FOR_NONE)
@settings(max_examples=8)
@given(drawn=repositories())
def test_what_changes_no_image_changes_no_key(kind: str, drawn: tuple[Repository, str]) -> None:
    """Another machine, at another time, with other files beside it, comes to the same keys."""
    assert changed(drawn[0], FOR_NONE[kind](*drawn)) == set()


@settings(max_examples=20)
@given(drawn=repositories())
def test_a_base_that_moved_changes_what_stands_on_it(drawn: tuple[Repository, str]) -> None:
    """The digest counts, not the name."""
    repository, _ = drawn
    moved = replace(repository, bases={**repository.bases, "debian:12": "sha256:other"})
    using = [name for name, on in repository.parents.items() if "debian:12" in on]
    assert changed(repository, moved) == repository.above(*using)


def test_a_shared_folder_counts_for_those_that_have_it() -> None:
    """It is laid into their context, and their .dockerignore holds for it, too."""
    repository = Repository(parents={"a": ("debian:12",), "b": ("debian:12",)}, files={}).with_more(
        "a", "shared: [core]"
    )
    assert changed(repository, repository.with_file("core/tool", "other")) == {"a"}
    assert changed(repository, repository.with_file("core/a.log", "")) == set()


@given(
    age=st.integers(1, 100),
    last=st.sampled_from([0, NOW - 50, NOW]),
    built=st.integers(NOW - 60, NOW + 60),
    waits=st.lists(st.integers(0, 250), min_size=1, max_size=4),
)
def test_an_age_counts_from_the_last_build(age: int, last: int, built: int, waits: list[int]) -> None:
    """An image is due once it is that old and no second earlier, whether it was renewed before or not.

    While it waits for its build, every run asks for the same one. The build is of a later moment than the last, and
    the age counts anew from when it was done.
    """
    for wait in waits:
        since = max(last, built)
        required = Freshness(at=since + wait, age=age, why="")
        moment = required.moment(last, built)
        assert (moment > last) is (wait >= age)
        if moment == last:
            continue
        assert since < moment <= required.at
        until = moment + age - 1
        assert replace(required, at=until).moment(last, built) == moment
        assert replace(required, at=until + 1).moment(last, built) > moment
        last, built = moment, required.at + wait % 7


def test_an_age_is_not_asked_of_what_a_tag_names() -> None:
    """It does not move; what is asked for by name is built."""
    repository = Repository(parents={"a": (EXTERNALS[0],), "b": ("a",)}, files={}).with_more("a", "max-age: 12h")
    policy = RebuildPolicy(now=NOW, max_age="7d", rebuild={"b"})
    found = image_key.freshness(repository.graph(), policy)
    assert {name: item.age for name, item in found.items()} == {"a": DAY // 2, "b": 0}
    assert image_key.freshness(repository.graph(), policy, has_ages=False).keys() == {"b"}


def test_an_image_whose_base_is_unknown_has_no_key() -> None:
    """Nor has any that depends on it; the others have."""
    repository = Repository(parents={"a": ("debian:12",), "b": ("a",), "c": ("busybox:1",)}, files={})
    known = {name: digest for name, digest in repository.bases.items() if name != "debian:12"}
    assert replace(repository, bases=known).keys().keys() == {"c"}
