"""Images for several platforms: a node and a key for each, and for the index of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pipelines.images import key as image_key
from pipelines.images.node import BuildTarget, Graph
from tests import trees
from tests.trees import TARGET

AMD64, ARM64 = "linux/amd64", "linux/arm64"
BOTH = replace(TARGET, platforms=(AMD64, ARM64))
LAPTOP = replace(BOTH, here=AMD64)


def read(files: Mapping[str, str], declared: str = "", target: BuildTarget = BOTH) -> Graph:
    """Return the graph of some Dockerfiles by folder, and of a shipway.yaml."""
    dockerfiles = {f"{folder}/Dockerfile": text for folder, text in files.items()}
    return trees.read({**dockerfiles, "shipway.yaml": declared}, target=target)


def keys(graph: Graph, target: BuildTarget = BOTH, **digests: str) -> dict[str, str]:
    """Return the keys; a base has the digest that is given for its name and architecture, else its name's."""
    bases = {
        (external.name, platform): digests.get(f"{external.name}_{platform[6:]}", f"{external.name} {platform}")
        for node in graph.nodes.values()
        for external in node.externals
        for platform in (AMD64, ARM64)
    }
    return {name: item.key for name, item in image_key.key_inputs(graph, target, bases).items()}


def test_each_platform_is_an_image_of_its_own_and_the_index_lists_them() -> None:
    """A child is based on its parent's image of the same platform; what declares one platform is as it always was."""
    graph = read(
        {"base": "FROM scratch\n", "web": "FROM base\n", "one": "FROM scratch\n"},
        "images: {one: {platforms: [linux/amd64]}}\n",
    )
    assert {name: node.parent_names for name, node in graph.nodes.items()} == {
        f"base {AMD64}": (), f"base {ARM64}": (), "base": (f"base {AMD64}", f"base {ARM64}"),
        f"web {AMD64}": (f"base {AMD64}",), f"web {ARM64}": (f"base {ARM64}",),
        "web": (f"web {AMD64}", f"web {ARM64}"), "one": (),
    }  # fmt: skip
    alone = keys(read({"one": "FROM scratch\n"}, target=TARGET), TARGET)
    assert keys(graph)["one"] == alone["one"], "an installation that declares platforms rebuilds nothing of the others"
    before = keys(read({"base": "FROM scratch\n", "web": "FROM base\n"}, target=TARGET), TARGET)
    for name in ("base", "web"):
        assert keys(graph)[f"{name} {AMD64}"] == before[name], "another platform beside it rebuilds nothing of this one"


def test_a_base_that_moved_for_one_platform_is_built_again_for_it_alone() -> None:
    """Twenty images, of which five are based on it: five builds, and five indexes that list another image now."""
    files = {f"i{number}": f"FROM {'moving' if number < 5 else 'still'}\n" for number in range(20)}
    graph = read(files)
    before, after = keys(graph), keys(graph, moving_arm64="sha256:moved")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for number in range(5) for name in (f"i{number}", f"i{number} {ARM64}")}


def test_a_parent_that_lacks_the_platform_is_named_with_the_line() -> None:
    """And blocks that platform and the index alone."""
    graph = read({"base": "FROM scratch\n", "web": "FROM base\n"}, "images: {base: {platforms: [linux/amd64]}}\n")
    [finding] = graph.findings
    assert str(finding.location) == "web/Dockerfile:1"
    assert finding.text == f"the image base is not built for {ARM64}: it is built for {AMD64}"
    assert {name for name, node in graph.nodes.items() if node.blocked} == {f"web {ARM64}", "web"}


CROSS = "FROM --platform=$BUILDPLATFORM golang AS build\nRUN true\nFROM debian\nCOPY --from=build /x /\n"


def test_a_stage_for_the_builder_s_platform_counts_where_it_is_reached() -> None:
    """Where arm64 has no builder of its own it is cross-compiled here, and the base of here counts in its key."""
    graph = read({"web": CROSS, "only": f"{CROSS}FROM scratch AS none\n"}, "images: {only: {target: none}}\n", LAPTOP)
    assert not [node.blocked for node in graph.nodes.values() if node.blocked]
    before, after = keys(graph, LAPTOP), keys(graph, LAPTOP, golang_amd64="sha256:moved")
    assert {name for name in before if before[name] != after[name]} == {f"web {AMD64}", f"web {ARM64}", "web"}
    native = replace(LAPTOP, native=frozenset({AMD64, ARM64}))
    there = read({"web": CROSS}, target=native)
    before, after = keys(there, native), keys(there, native, golang_amd64="sha256:moved")
    assert {name for name in before if before[name] != after[name]} == {f"web {AMD64}", "web"}


@pytest.mark.parametrize(
    ("target", "level"),
    [(LAPTOP, "error"), (replace(LAPTOP, emulated=frozenset({"arm64"})), "warning"),
     (replace(LAPTOP, native=frozenset({AMD64, ARM64})), "")],
)  # fmt: skip
def test_a_plan_says_whether_steps_run_emulated_or_not_at_all(target: BuildTarget, level: str) -> None:
    """RUN steps need a builder of their platform; what has none is built anywhere."""
    graph = read(
        {"run": "FROM debian AS not\nCOPY x /\nFROM debian\nRUN true\nRUN false\n", "copy": "FROM debian\nCOPY x /\n"},
        target=target,
    )
    assert [(str(one.location), one.rule, one.level) for one in graph.findings] == (
        [("run/Dockerfile:4", "platform", level)] if level else []
    )
    blocked = {f"run {ARM64}", "run"} if level == "error" else set()
    assert {name for name, node in graph.nodes.items() if node.blocked} == blocked


def test_a_third_platform_is_refused() -> None:
    """One build makes the image of one platform, on the machine of one."""
    [finding] = trees.read(
        {"web/Dockerfile": "FROM --platform=linux/s390x scratch\nCOPY x /\n"}, target=TARGET
    ).findings
    assert "linux/s390x, where this build is for linux/amd64" in finding.text
