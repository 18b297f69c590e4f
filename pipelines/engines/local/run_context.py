"""What all templates of a run share."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.engines.local.mutexes import Mutexes
from pipelines.engines.local.node_recorder import NodeRecorder
from pipelines.engines.local.plan import WorkflowPlan
from pipelines.tools.processes.child_process import Reaper, StartProgram


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """One run: its plan, its nodes, and how its containers start."""

    plan: WorkflowPlan
    nodes: NodeRecorder
    slots: threading.Semaphore
    """Bounds the pods that run at the same time."""
    keep: bool
    """Whether the pods' folders stay."""
    reaper: Reaper
    start: StartProgram
    environment: Mapping[str, str]
    """The variables of every container; its own are added."""
    grace_seconds: float
    """The time between SIGTERM and SIGKILL."""
    mutexes: Mutexes = field(default_factory=Mutexes)
