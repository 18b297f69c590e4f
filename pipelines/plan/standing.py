"""The order in which images stand on each other, and what keeps some of them from having one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipelines.declared import order
from pipelines.declared.finding import ERROR, Finding
from pipelines.plan.node import MOST_WAVES, Node


def without_circles(nodes: Mapping[str, Node], findings: list[Finding]) -> dict[str, Node]:
    """Return the images in an order in which parents come first; those in a circle are blocked, each circle told once."""
    found: dict[str, Node] = {}
    waiting = {name: {edge.name for edge in node.parents if edge.name in nodes} for name, node in nodes.items()}
    children: dict[str, list[str]] = {}
    for name, parents in waiting.items():
        for parent in parents:
            children.setdefault(parent, []).append(name)
    ready = sorted(name for name, parents in waiting.items() if not parents)
    while waiting:
        if not ready:
            chain = order.circle(waiting)
            told_in = nodes[chain[0]]
            line = next(edge.line for edge in told_in.parents if edge.name == chain[1])
            text = f"images stand on each other in a circle: {' → '.join(chain)}"
            findings.append(finding(told_in.image.dockerfile, line, "cycle", text, "take one of the FROM lines out"))
            for name in chain[:-1]:
                nodes = {**nodes, name: replace(nodes[name], blocked=f"in a circle: {' → '.join(chain)}", parents=())}
            ready = sorted(set(chain))
        following: list[str] = []
        for name in ready:
            if name not in waiting:
                continue
            del waiting[name]
            found[name] = nodes[name]
            for child in children.get(name, ()):
                if child in waiting:
                    waiting[child].discard(name)
                    if not waiting[child]:
                        following.append(child)
        ready = sorted(following)
    return found


def without_depth(nodes: Mapping[str, Node], findings: list[Finding]) -> dict[str, Node]:
    """Block the images that stand on more images of the repository, one over the other, than there are waves."""
    chains: dict[str, tuple[str, ...]] = {}
    found = dict(nodes)
    for name, node in nodes.items():
        below = max((chains[edge.name] for edge in node.parents if edge.name in chains), key=len, default=())
        chains[name] = (*below, name)
        if len(chains[name]) > MOST_WAVES:
            chain = " → ".join(chains[name])
            if len(chains[name]) == MOST_WAVES + 1:
                line = next(edge.line for edge in node.parents if edge.name == below[-1])
                text = f"more than {MOST_WAVES} images stand on each other: {chain}"
                findings.append(finding(node.image.dockerfile, line, "depth", text, "let one stand on an earlier one"))
            found[name] = replace(node, blocked=f"more than {MOST_WAVES} images deep: {chain}")
    return found


def spread(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """Block every image that stands on a blocked one."""
    found: dict[str, Node] = {}
    for name, node in nodes.items():
        parent = next((edge.name for edge in node.parents if edge.name in found and found[edge.name].blocked), "")
        blocked = node.blocked or (f"parent image {parent} is blocked" if parent else "")
        found[name] = replace(node, blocked=blocked) if blocked != node.blocked else node
    return found


def finding(path: str, line: int, rule: str, text: str, todo: str = "", *, level: str = ERROR) -> Finding:
    """Return a finding of the graph."""
    return Finding(path=path, line=line, level=level, rule=rule, text=text, todo=todo)
