"""Records a run's nodes: creates them, gives them their phases, and tells the reporter."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.engines.local.definition import TemplateName
from pipelines.engines.local.nodes import Node, NodeKind, Phase, Spot
from pipelines.engines.local.reporter import Reporter

_NOT_IN_A_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_FILE_NAME = 80


@dataclass(frozen=True)
class NodeRecorder:
    """The nodes of one run; any thread may call it."""

    reporter: Reporter
    folder: Path
    """The folder of the run."""
    counter: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    """Numbers the run's logs and the folders of its pods."""

    def create(self, spot: Spot, kind: NodeKind, template: TemplateName) -> Node:
        """Return a new node, added to its parent."""
        node = Node(
            name=spot.name,
            display_name=spot.label,
            kind=kind,
            step=spot.step,
            template=str(template),
            parent=spot.parent,
        )
        if spot.parent is not None:
            spot.parent.children.append(node)
        return node

    def start(self, node: Node) -> None:
        """Set a node running."""
        node.phase = Phase.RUNNING
        node.started = time.time()
        self.reporter.node_started(node)

    def finish(self, node: Node, phase: Phase, message: str = "") -> None:
        """Give a node its final phase."""
        node.finished = time.time()
        node.started = node.started or node.finished
        node.phase, node.message = phase, message
        if not node.passes_on and phase.is_completed:
            node.passes_on = frozenset({phase})
        self.reporter.node_finished(node)

    def never_started(self, spot: Spot, template: TemplateName, phase: Phase, message: str) -> Node:
        """Return the finished node of a template that was not started."""
        node = self.create(spot, NodeKind.SKIPPED, template)
        self.finish(node, phase, message)
        return node

    def new_log(self, node: Node) -> Path:
        """Return the path of a new log for a node's output."""
        name = _NOT_IN_A_FILE_NAME.sub("_", node.short_name)[-_MAX_FILE_NAME:]
        return self.folder / "logs" / f"{next(self.counter):03d}-{name}.log"

    def new_pod_folder(self) -> Path:
        """Return the path of a new folder for a pod."""
        return self.folder / "pods" / str(next(self.counter))
