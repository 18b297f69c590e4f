"""Runs a DAG: which tasks run, when, with what arguments, and the phase of the whole (Argo: dag.go).

The phase of a DAG comes from its leaves. A leaf that was skipped or omitted takes over the phases of the tasks that it
depends on, so that a failure nobody handled fails the DAG. As in Argo, failFast does not keep tasks from starting: it
decides which failed leaf gives the DAG its phase, the first or the last.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial

from pipelines.engines.local import expressions, items, substitution
from pipelines.engines.local.definition import Dag, Task, Template, TemplateName
from pipelines.engines.local.expressions import Dialect, ExpressionError
from pipelines.engines.local.items import Item, NotAList
from pipelines.engines.local.names import ITEM
from pipelines.engines.local.nodes import Node, NodeKind, Phase, Spot
from pipelines.engines.local.run_context import RunContext
from pipelines.engines.local.run_control import RunControl
from pipelines.engines.local.substitution import Absent, Scope, Unresolvable
from pipelines.engines.local.threads import run_all, start

Execute = Callable[[TemplateName, Mapping[str, str], Spot], Node]
"""Runs a template with its arguments and returns its finished node."""


class DagRun:
    """One DAG, from its first task to its outputs."""

    def __init__(
        self, template: Template, scope: Scope, node: Node, context: RunContext, stage: RunControl, *, execute: Execute
    ) -> None:
        """Prepare a run; `scope` holds the workflow's names and the template's inputs, and `execute` runs the tasks."""
        assert template.dag is not None
        self.recorder = context.nodes
        self.templates = context.plan.templates
        self.stage = stage
        self.execute = execute
        self.template = template
        self.dag: Dag = template.dag
        self.values: dict[str, str | None] = dict(scope)
        """Grows as tasks finish; pipelines.engines.local.names checks that a task reads only earlier tasks."""
        self.node = node
        self.nodes: dict[str, Node] = {}
        self.slots = threading.Semaphore(self.dag.parallelism) if self.dag.parallelism else None

    def run(self) -> None:
        """Run every task whose dependencies allow it, and finish the node."""
        self.recorder.start(self.node)
        self._run_tasks()
        phase, message = self._phase(), ""
        if self.stage.is_stopped:
            phase = Phase.FAILED
        if phase is Phase.SUCCEEDED:
            try:
                self.node.outputs = self._outputs()
            except Unresolvable as error:
                phase, message = Phase.ERROR, str(error)
        self.recorder.finish(self.node, phase, message)

    def _run_tasks(self) -> None:
        unfinished = {task.name: len(task.ancestors) for task in self.dag.tasks}
        dependents: dict[str, list[Task]] = {task.name: [] for task in self.dag.tasks}
        for task in self.dag.tasks:
            for name in task.ancestors:
                dependents[name].append(task)
        ready = deque(task for task in self.dag.tasks if not task.ancestors)
        done: queue.SimpleQueue[Task] = queue.SimpleQueue()
        errors: list[BaseException] = []
        running = 0
        while ready or running:
            while ready:
                task = ready.popleft()
                if self.stage.is_stopped or errors:
                    continue
                running += 1
                if (omitted := self._omitted(task)) is not None:
                    self.nodes[task.name] = omitted
                    done.put(task)
                else:
                    start(partial(self._run_task, task, done, errors))
            if not running:
                break
            task = done.get()
            running -= 1
            if task.name not in self.nodes:
                continue
            self.values.update(self._values(task, self.nodes[task.name]))
            for dependent in dependents[task.name]:
                unfinished[dependent.name] -= 1
                if not unfinished[dependent.name]:
                    ready.append(dependent)
        if errors:
            raise errors[0]

    def _omitted(self, task: Task) -> Node | None:
        if task.depends is None or expressions.is_met(task.depends, self.nodes):
            return None
        return self._never_started(task, Phase.OMITTED, "omitted: depends condition not met")

    def _run_task(self, task: Task, done: queue.SimpleQueue[Task], errors: list[BaseException]) -> None:
        try:
            self.nodes[task.name] = self._task_node(task)
        except BaseException as error:  # noqa: BLE001  # raised again by the thread of the DAG
            errors.append(error)
            self.stage.end("the engine failed", is_stop=True)
        finally:
            done.put(task)

    def _task_node(self, task: Task) -> Node:
        reads_item = any(name == ITEM or name.startswith(f"{ITEM}.") for name in substitution.names(task.when))
        runs = True
        try:
            if task.when and not reads_item:
                runs = self._when(task, self.values)
            if task.fans_out:
                return self._group(task, runs=runs)
            if not runs:
                return self._never_started(task, Phase.SKIPPED, self._skipped(task, self.values))
            arguments = self._arguments(task, self.values)
        except (Unresolvable, ExpressionError, NotAList) as error:
            return self._never_started(task, Phase.ERROR, str(error))
        with self._slot():
            return self.execute(task.template, arguments, self._spot(task))

    def _group(self, task: Task, *, runs: bool) -> Node:
        try:
            all_items = self._items(task)
        except (NotAList, Unresolvable):
            # Argo does not report an unreadable list if `when` is false anyway (dag.go, expandTask).
            if runs:
                raise
            all_items = ()
        if not all_items:
            return self._never_started(task, Phase.SKIPPED, "Skipped, empty params")
        group = self.recorder.create(self._spot(task), NodeKind.TASK_GROUP, task.template)
        self.recorder.start(group)
        run_all([partial(self._item, task, item, group, runs=runs) for item in all_items])
        order = {self._name(task) + item.label: index for index, item in enumerate(all_items)}
        group.children.sort(key=lambda child: order[child.name])
        phase = Phase.SUCCEEDED
        for child in group.children:
            phase = child.phase if child.phase.is_bad else phase
        passed_on = (child.passes_on or {phase} for child in group.children)
        group.passes_on = frozenset().union(*passed_on)
        self.recorder.finish(group, phase)
        return group

    def _item(self, task: Task, item: Item, group: Node, *, runs: bool) -> None:
        spot = Spot(self._name(task) + item.label, task.name + item.label, group)
        scope = {**self.values, **item.values}
        try:
            if not runs or (task.when and not self._when(task, scope)):
                self.recorder.never_started(spot, task.template, Phase.SKIPPED, self._skipped(task, scope))
                return
            arguments = self._arguments(task, scope)
        except (Unresolvable, ExpressionError) as error:
            self.recorder.never_started(spot, task.template, Phase.ERROR, str(error))
            return
        with self._slot():
            self.execute(task.template, arguments, spot)

    def _items(self, task: Task) -> tuple[Item, ...]:
        if task.with_items is not None:
            return items.of_values(task.with_items)
        return items.of_param(substitution.resolve(task.with_param or "", self.values))

    def _when(self, task: Task, scope: Scope) -> bool:
        text = substitution.resolve(task.when, scope)
        try:
            return expressions.evaluate(expressions.parse(text, Dialect.WHEN), {})
        except ExpressionError as error:
            raise ExpressionError(f"Invalid 'when' expression '{text}': {error}") from error

    def _skipped(self, task: Task, scope: Scope) -> str:
        return f"when '{substitution.resolve(task.when, scope)}' evaluated false"

    def _arguments(self, task: Task, scope: Scope) -> dict[str, str]:
        arguments = {}
        for name, text in task.arguments.items():
            with suppress(Absent):
                arguments[name] = substitution.resolve(text, scope)
        return arguments

    def _values(self, task: Task, node: Node) -> dict[str, str | None]:
        prefix = f"tasks.{task.name}"
        outputs = self.templates[task.template].outputs
        values: dict[str, str | None] = {f"{prefix}.status": str(node.phase)}
        if node.phase in (Phase.SKIPPED, Phase.OMITTED):
            # A default that reads the template's inputs has no value if the template never ran.
            defaults = {output.name: None if "{{" in (output.default or "") else output.default for output in outputs}
            values |= {f"{prefix}.outputs.parameters.{name}": default for name, default in defaults.items()}
        elif node.kind is NodeKind.TASK_GROUP:
            values |= items.gathered(task.name, [output.name for output in outputs], node.children)
        else:
            values |= {f"{prefix}.outputs.parameters.{name}": value for name, value in node.outputs.items()}
        return values

    def _phase(self) -> Phase:
        incoming: dict[str, frozenset[Phase]] = {}
        outgoing: dict[str, frozenset[Phase]] = {}
        waiting = [task for task in self.dag.tasks if task.name in self.nodes]
        while waiting:
            for task in [one for one in waiting if all(name in outgoing for name in one.ancestors)]:
                before = (outgoing[name] for name in task.ancestors)
                incoming[task.name] = frozenset().union(*before) if task.ancestors else frozenset({Phase.SUCCEEDED})
                outgoing[task.name] = self.nodes[task.name].passes_on or incoming[task.name]
            waiting = [task for task in waiting if task.name not in outgoing]
        needed = {name for task in self.dag.tasks for name in task.ancestors}
        leaves = sorted(name for name in self.nodes if name not in needed)
        self.node.passes_on = frozenset().union(*(outgoing[name] for name in leaves))
        goes_on = {task.name: task.goes_on for task in self.dag.tasks}
        phases = ((name, self._leaf_phase(name, incoming[name])) for name in leaves)
        bad = [phase for name, phase in phases if phase.is_bad and phase not in goes_on[name]]
        if not bad:
            return Phase.SUCCEEDED
        return bad[0] if self.dag.fail_fast else bad[-1]

    def _leaf_phase(self, name: str, incoming: frozenset[Phase]) -> Phase:
        phase = self.nodes[name].phase
        if phase.is_completed:
            return phase
        return next((bad for bad in (Phase.FAILED, Phase.ERROR) if bad in incoming), Phase.SUCCEEDED)

    def _outputs(self) -> dict[str, str]:
        outputs = {}
        for output in self.template.outputs:
            value = self.values.get(output.reference)
            if value is None and output.default is not None:
                value = substitution.resolve(output.default, self.values)
            if value is None:
                raise Unresolvable(f"output parameter {output.name!r}: {{{{{output.reference}}}}} has no value")
            outputs[output.name] = value
        return outputs

    def _spot(self, task: Task) -> Spot:
        return Spot(self._name(task), task.name, self.node)

    def _name(self, task: Task) -> str:
        return f"{self.node.name}.{task.name}"

    def _never_started(self, task: Task, phase: Phase, message: str) -> Node:
        return self.recorder.never_started(self._spot(task), task.template, phase, message)

    def _slot(self) -> AbstractContextManager[object]:
        return self.slots or nullcontext()
