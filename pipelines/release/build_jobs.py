"""The builds of images that no plan asked for, with the keys that a plan would give them."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace

from pipelines.declared.finding import Finding
from pipelines.images import decide as image_decide
from pipelines.images import graph as image_graph
from pipelines.images import key as image_key
from pipelines.images import registry_reader
from pipelines.images.key import RebuildPolicy
from pipelines.images.node import BuildTarget, Graph
from pipelines.images.plan_model import ImageJob
from pipelines.images.registry_reader import RegistryReader


@dataclass(frozen=True, kw_only=True)
class BuildJobs:
    """What to build of a graph, and what not."""

    graph: Graph
    """With the images blocked whose bases do not exist, cannot be read, or are unknown for want of an answer."""
    findings: tuple[Finding, ...]
    """Of the first two."""
    jobs: dict[str, ImageJob]
    """By name, with what the Dockerfile's names stand for; images whose key is not known have none."""


def read(
    graph: Graph, target: BuildTarget, chosen: Collection[str], *, bases: RegistryReader, keys: RegistryReader, ref: str
) -> BuildJobs:
    """Return the builds of some images. `bases` and `keys` have the logins to read images and the names published to.

    An image has no key where it depends on one that is neither published nor built. Raises Misconfigured if the
    registry that is published to refuses the login.
    """
    needed: list[str] = []
    for name in reversed([*graph.nodes]):
        if name in chosen or any(name in graph.nodes[child].parent_names for child in needed):
            needed.append(name)
    part = replace(graph, nodes={name: node for name, node in graph.nodes.items() if name in needed})
    states = bases.bases(part, target.platform)
    known, findings = image_decide.known_bases(part, states)
    has_ages = not ref.startswith("refs/tags/")
    required = image_key.freshness(part, RebuildPolicy(now=int(time.time())), has_ages=has_ages)
    settled = registry_reader.settle_keys(part, target, known, required, keys)
    jobs: dict[str, ImageJob] = {}
    nodes = dict(graph.nodes)
    for name, node in part.nodes.items():
        if not node.blocked:
            nodes[name] = replace(node, blocked=next(iter(image_decide.base_faults(node, states)[1]), ""))
        is_known = name in settled.inputs and name in chosen
        if is_known and all(p in jobs or settled.keys[p].digest for p in node.parent_names):
            jobs[name] = image_decide.job(node, target, settled.inputs[name], ())
    return BuildJobs(graph=replace(graph, nodes=image_graph.spread(nodes)), findings=tuple(findings), jobs=jobs)
