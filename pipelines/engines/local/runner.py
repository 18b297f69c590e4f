"""Runs templates: inputs, mutexes, retries, and then a pod or a DAG (Argo: operator.go, executeTemplate)."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.engines.local import retries, substitution
from pipelines.engines.local.dag import DagRun
from pipelines.engines.local.definition import Container, Parameter, Pod, Retry, Template, TemplateName
from pipelines.engines.local.mutexes import DUPLICATE, Mutexes, RunControl
from pipelines.engines.local.names import RETRIES
from pipelines.engines.local.nodes import Node, NodeKind, Phase, Spot, step_of
from pipelines.engines.local.plan import WorkflowPlan, value_of
from pipelines.engines.local.pod_folder import PodFolder
from pipelines.engines.local.pods import PodRun, Setting
from pipelines.engines.local.substitution import Scope, Unresolvable

_NOT_IN_A_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_FILE_NAME = 80


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What both stages of a run have in common."""

    plan: WorkflowPlan
    folder: Path
    keep: bool
    slots: threading.Semaphore
    counter: itertools.count[int]
    mutexes: Mutexes


@dataclass(frozen=True)
class _Ready:
    """A template whose inputs have their values."""

    template: Template
    pod: Pod | None
    scope: Scope


class Runner:
    """Runs templates within one stage."""

    def __init__(self, shared: Shared, setting: Setting, names: Mapping[str, str]) -> None:
        """`names` are the workflow's own names and values, `workflow.name` and such."""
        self.shared = shared
        self.setting = setting
        self.names = names
        self.reporter = setting.reporter

    @property
    def stage(self) -> RunControl:
        """The stage that all of this runner's nodes belong to."""
        return self.setting.stage

    def template(self, name: TemplateName) -> Template:
        """Return a template in reach."""
        return self.shared.plan.templates[name]

    def execute(self, name: TemplateName, arguments: Mapping[str, str], spot: Spot) -> Node:
        """Run a template and return its finished node."""
        template = self.template(name)
        try:
            scope = {**self.names, **self._inputs(template, arguments)}
            ready = _Ready(template, _resolved(template, scope, 0), scope)
            mutexes = [substitution.resolve(mutex, scope) for mutex in template.mutexes]
        except Unresolvable as error:
            return self.decided(spot, template, Phase.ERROR, str(error))
        if len(set(mutexes)) != len(mutexes):
            return self.decided(spot, template, Phase.ERROR, DUPLICATE)
        with self.shared.mutexes.hold(mutexes, self.stage):
            if template.retry is None:
                return self._attempt(ready, spot, None)
            return self._try(ready, template.retry, spot)

    def decided(self, spot: Spot, template: Template, phase: Phase, message: str) -> Node:
        """Return the finished node of something that never ran."""
        node = self.node(spot, NodeKind.SKIPPED, template)
        self.finish(node, phase, message)
        return node

    def node(self, spot: Spot, kind: NodeKind, template: Template) -> Node:
        """Return a new node under its parent."""
        node = Node(
            name=spot.name,
            display_name=spot.label,
            kind=kind,
            step=spot.step,
            template=str(template.id),
            parent=spot.parent,
        )
        if spot.parent is not None:
            spot.parent.children.append(node)
        return node

    def begin(self, node: Node) -> None:
        """Let a node run."""
        node.phase = Phase.RUNNING
        node.started = time.time()
        self.reporter.node_started(node)

    def finish(self, node: Node, phase: Phase, message: str = "") -> None:
        """Give a node its last phase."""
        node.finished = time.time()
        node.started = node.started or node.finished
        node.phase, node.message = phase, message
        if not node.passes_on and phase.is_completed:
            node.passes_on = frozenset({phase})
        self.reporter.node_finished(node)

    def log(self, node: Node) -> Path:
        """Return a new file for what a node writes."""
        name = _NOT_IN_A_FILE_NAME.sub("_", node.short_name)[-_MAX_FILE_NAME:]
        return self.shared.folder / "logs" / f"{next(self.shared.counter):03d}-{name}.log"

    def _inputs(self, template: Template, arguments: Mapping[str, str]) -> dict[str, str]:
        return {
            f"inputs.parameters.{parameter.name}": self._input(parameter, arguments.get(parameter.name))
            for parameter in template.inputs
        }

    def _input(self, parameter: Parameter, given: str | None) -> str:
        if given is not None:
            return given
        found = value_of(parameter.config_map, self.shared.plan.config_maps) if parameter.config_map else None
        if found is None and parameter.value is not None:
            found = substitution.resolve(parameter.value, self.names)
        if found is None:
            raise Unresolvable(
                f"inputs.parameters.{parameter.name}: its argument is the output of a task that never ran"
            )
        return found

    def _try(self, ready: _Ready, retry: Retry, spot: Spot) -> Node:
        node = self.node(spot, NodeKind.RETRY, ready.template)
        self.begin(node)
        while True:
            end_at = None
            if retry.max_duration is not None and node.children:
                end_at = node.children[0].started + retry.max_duration
            number = len(node.children)
            if number:
                ready = replace(ready, pod=_resolved(ready.template, ready.scope, number))
            last = self._attempt(ready, spot.attempt(number, node), end_at)
            node.outputs, node.exit_code = last.outputs, last.exit_code
            if not last.phase.is_bad:
                self.finish(node, last.phase)
                return node
            if self.stage.is_ended:
                self.finish(node, last.phase, self.stage.message)
                return node
            decision = retries.decide(retry, node.children, now=time.time())
            if isinstance(decision, retries.Enough):
                self.finish(node, decision.phase, decision.message)
                return node
            self.reporter.note(f"{node.short_name}: {last.reason}; again in {decision.seconds:.1f} s")
            self.stage.sleep(decision.seconds)

    def _attempt(self, ready: _Ready, spot: Spot, end_at: float | None) -> Node:
        if ready.pod is None:
            node = self.node(spot, NodeKind.DAG, ready.template)
            DagRun(self, ready.template, ready.scope, node).run()
            return node
        node = self.node(spot, NodeKind.POD, ready.template)
        with self.shared.slots:
            self._run_pod(ready.template, ready.pod, node, end_at)
        return node

    def _run_pod(self, template: Template, pod: Pod, node: Node, end_at: float | None) -> None:
        if self.stage.is_ended:
            self.finish(node, Phase.FAILED, self.stage.message)
            return
        self.begin(node)
        containers = {
            container.name: self.node(
                Spot(f"{node.name}.{container.name}", container.name, node, step_of(container.name, container.command)),
                NodeKind.CONTAINER,
                template,
            )
            if pod.is_set
            else node
            for container in pod.containers
        }
        folder = PodFolder(self.shared.folder / "pods" / str(next(self.shared.counter)), pod, self.shared.plan)
        try:
            bounds = [pod.deadline_seconds, None if end_at is None else max(0.0, end_at - time.time())]
            limit = min((bound for bound in bounds if bound is not None), default=None)
            PodRun(pod, folder, containers, self, self.setting).run(node, template.outputs, limit)
        finally:
            if not self.shared.keep:
                folder.remove()


def _resolved(template: Template, scope: Scope, retries: int) -> Pod | None:
    """Return a template's pod with every `{{…}}` of its commands and variables replaced; raises Unresolvable."""
    if template.pod is None:
        return None
    if template.retry is not None:
        scope = {**scope, RETRIES: str(retries)}

    def container(one: Container) -> Container:
        return replace(
            one,
            command=tuple(substitution.resolve(word, scope) for word in one.command),
            env=tuple(replace(variable, value=substitution.resolve(variable.value, scope)) for variable in one.env),
        )

    return replace(template.pod, containers=tuple(map(container, template.pod.containers)))
