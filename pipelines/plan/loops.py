"""Images that their own deployment would build again, and so on without end."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from pipelines.declared.finding import ERROR, Finding
from pipelines.plan.node import Node

RULE = "loop"


def find(nodes: Mapping[str, Node], deployed: Collection[str], written: Collection[str]) -> Iterator[Finding]:
    """Give a finding for each image that counts a file which deployments write, where it or a child of it is deployed."""
    matters, waiting = set(), [name for name in deployed if name in nodes]
    while waiting:
        name = waiting.pop()
        if name not in matters:
            matters.add(name)
            waiting += [edge.name for edge in nodes[name].parents if edge.name in nodes]
    for name in sorted(matters):
        node = nodes[name]
        counted = [path for path in node.context.counted if path in written] if node.context else []
        if counted:
            yield Finding(
                path=node.image.dockerfile,
                line=0,
                level=ERROR,
                rule=RULE,
                text=f"it names {', '.join(counted)}, which deployments of {name} write: each would build it again",
                todo="copy other files, or take that values file out of what is deployed",
            )
