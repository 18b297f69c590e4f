"""Runs templates: inputs, mutexes, retries, and then a pod or a DAG (Argo: operator.go, executeTemplate)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipelines.engines.local import retries, substitution
from pipelines.engines.local.dag import DagRun
from pipelines.engines.local.definition import Container, Parameter, Pod, Retry, Template, TemplateName
from pipelines.engines.local.mutexes import DUPLICATE
from pipelines.engines.local.names import RETRIES
from pipelines.engines.local.nodes import Node, NodeKind, Phase, Spot
from pipelines.engines.local.plan import value_of
from pipelines.engines.local.pod_folder import PodFolder
from pipelines.engines.local.pods import PodRun
from pipelines.engines.local.run_context import RunContext
from pipelines.engines.local.run_control import RunControl
from pipelines.engines.local.substitution import Scope, Unresolvable
from pipelines.report.run import step_of


@dataclass(frozen=True)
class _ResolvedTemplate:
    """A template with the values of its inputs, and its pod with these values in it."""

    template: Template
    pod: Pod | None
    scope: Scope


class Runner:
    """Runs templates within one stage."""

    def __init__(self, context: RunContext, stage: RunControl, names: Mapping[str, str]) -> None:
        """`names` holds the workflow's own names and values, such as `workflow.name`."""
        self.context = context
        self.nodes = context.nodes
        self.stage = stage
        self.names = names

    def execute(self, name: TemplateName, arguments: Mapping[str, str], spot: Spot) -> Node:
        """Run a template and return its finished node."""
        template = self.context.plan.templates[name]
        try:
            scope = {**self.names, **self._inputs(template, arguments)}
            resolved = _ResolvedTemplate(template, _resolved_pod(template, scope, 0), scope)
            mutexes = [substitution.resolve(mutex, scope) for mutex in template.mutexes]
        except Unresolvable as error:
            return self.nodes.never_started(spot, name, Phase.ERROR, str(error))
        if len(set(mutexes)) != len(mutexes):
            return self.nodes.never_started(spot, name, Phase.ERROR, DUPLICATE)
        with self.context.mutexes.hold(mutexes, self.stage):
            if template.retry is None:
                return self._attempt(resolved, spot, None)
            return self._retry(resolved, template.retry, spot)

    def _inputs(self, template: Template, arguments: Mapping[str, str]) -> dict[str, str]:
        return {
            f"inputs.parameters.{parameter.name}": self._input(parameter, arguments.get(parameter.name))
            for parameter in template.inputs
        }

    def _input(self, parameter: Parameter, argument: str | None) -> str:
        if argument is not None:
            return argument
        value = value_of(parameter.config_map, self.context.plan.config_maps) if parameter.config_map else None
        if value is None and parameter.value is not None:
            value = substitution.resolve(parameter.value, self.names)
        if value is None:
            raise Unresolvable(
                f"inputs.parameters.{parameter.name}: its argument is the output of a task that never ran"
            )
        return value

    def _retry(self, resolved: _ResolvedTemplate, retry: Retry, spot: Spot) -> Node:
        node = self.nodes.create(spot, NodeKind.RETRY, resolved.template.id)
        self.nodes.start(node)
        while True:
            end_at = None
            if retry.max_duration is not None and node.children:
                end_at = node.children[0].started + retry.max_duration
            number = len(node.children)
            if number:
                resolved = replace(resolved, pod=_resolved_pod(resolved.template, resolved.scope, number))
            last = self._attempt(resolved, spot.attempt(number, node), end_at)
            node.outputs, node.exit_code = last.outputs, last.exit_code
            if not last.phase.is_bad:
                self.nodes.finish(node, last.phase)
                return node
            if self.stage.is_ended:
                self.nodes.finish(node, last.phase, self.stage.message)
                return node
            decision = retries.decide(retry, node.children, now=time.time())
            if isinstance(decision, retries.Enough):
                self.nodes.finish(node, decision.phase, decision.message)
                return node
            self.nodes.reporter.note(f"{node.short_name}: {last.reason}; again in {decision.seconds:.1f} s")
            self.stage.sleep(decision.seconds)

    def _attempt(self, resolved: _ResolvedTemplate, spot: Spot, end_at: float | None) -> Node:
        template = resolved.template
        node = self.nodes.create(spot, NodeKind.POD if resolved.pod else NodeKind.DAG, template.id)
        if resolved.pod is None:
            DagRun(template, resolved.scope, node, self.context, self.stage, execute=self.execute).run()
        else:
            with self.context.slots:
                self._run_pod(template, resolved.pod, node, end_at)
        return node

    def _run_pod(self, template: Template, pod: Pod, node: Node, end_at: float | None) -> None:
        if self.stage.is_ended:
            self.nodes.finish(node, Phase.FAILED, self.stage.message)
            return
        self.nodes.start(node)
        containers = {
            container.name: self.nodes.create(
                Spot(f"{node.name}.{container.name}", container.name, node, step_of(container.name, container.command)),
                NodeKind.CONTAINER,
                template.id,
            )
            if pod.is_set
            else node
            for container in pod.containers
        }
        folder = PodFolder(self.nodes.new_pod_folder(), pod, self.context.plan)
        try:
            bounds = [pod.deadline_seconds, None if end_at is None else max(0.0, end_at - time.time())]
            limit = min((bound for bound in bounds if bound is not None), default=None)
            PodRun(pod, folder, containers, self.context, self.stage).run(node, template.outputs, limit)
        finally:
            if not self.context.keep:
                folder.remove()


def _resolved_pod(template: Template, scope: Scope, retries: int) -> Pod | None:
    """Return a template's pod with every `{{…}}` of its commands and variables replaced; raises Unresolvable."""
    if template.pod is None:
        return None
    if template.retry is not None:
        scope = {**scope, RETRIES: str(retries)}

    def resolved(container: Container) -> Container:
        return replace(
            container,
            command=tuple(substitution.resolve(word, scope) for word in container.command),
            env=tuple(replace(entry, value=substitution.resolve(entry.value, scope)) for entry in container.env),
        )

    return replace(template.pod, containers=tuple(map(resolved, template.pod.containers)))
