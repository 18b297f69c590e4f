"""Runs a DAG: which tasks run, when, with what arguments, and what they make of the whole (Argo: dag.go).

The phase of a DAG comes from its leaves. A leaf that was skipped or omitted takes over the phases of what it waited for, so that a
failure nobody handled fails the DAG. failFast does not keep tasks from starting, in Argo as here: it decides which failed leaf
gives the DAG its phase, the first or the last.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from pipelines.engines.local import expressions, items, substitution
from pipelines.engines.local.definition import Dag, Task, Template
from pipelines.engines.local.expressions import Dialect, Unfit
from pipelines.engines.local.items import Item, NoList
from pipelines.engines.local.names import ITEM
from pipelines.engines.local.nodes import Node, NodeKind, Phase, Spot
from pipelines.engines.local.substitution import Absent, Scope, Unresolvable
from pipelines.engines.local.threads import run_all, start

if TYPE_CHECKING:
    from pipelines.engines.local.runner import Runner


class DagRun:
    """One DAG, from its first task to its outputs."""

    def __init__(self, runner: Runner, template: Template, scope: Scope, node: Node) -> None:
        """Prepare a run; `scope` holds the workflow's names and the template's inputs."""
        assert template.dag is not None
        self.runner = runner
        self.template = template
        self.dag: Dag = template.dag
        self.values: dict[str, str | None] = dict(scope)
        """Grows as tasks finish. A task reads only what finished before it: pipelines.engines.local.names checks that."""
        self.node = node
        self.nodes: dict[str, Node] = {}
        self.slots = threading.Semaphore(self.dag.parallelism) if self.dag.parallelism else None

    def run(self) -> None:
        """Run every task whose time comes, and finish the node."""
        self.runner.begin(self.node)
        self._run_tasks()
        phase, message = self._phase(), ""
        if self.runner.stage.is_stopped:
            phase = Phase.FAILED
        if phase is Phase.SUCCEEDED:
            try:
                self.node.outputs = self._outputs()
            except Unresolvable as error:
                phase, message = Phase.ERROR, str(error)
        self.runner.finish(self.node, phase, message)

    def _run_tasks(self) -> None:
        waits_for = {task.name: len(task.ancestors) for task in self.dag.tasks}
        behind: dict[str, list[Task]] = {task.name: [] for task in self.dag.tasks}
        for task in self.dag.tasks:
            for name in task.ancestors:
                behind[name].append(task)
        ready = deque(task for task in self.dag.tasks if not task.ancestors)
        done: queue.SimpleQueue[Task] = queue.SimpleQueue()
        errors: list[BaseException] = []
        running = 0
        while ready or running:
            while ready:
                task = ready.popleft()
                if self.runner.stage.is_stopped or errors:
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
            for next_task in behind[task.name]:
                waits_for[next_task.name] -= 1
                if not waits_for[next_task.name]:
                    ready.append(next_task)
        if errors:
            raise errors[0]

    def _omitted(self, task: Task) -> Node | None:
        if task.depends is None or expressions.holds(task.depends, self.nodes):
            return None
        return self._decided(task, Phase.OMITTED, "omitted: depends condition not met")

    def _run_task(self, task: Task, done: queue.SimpleQueue[Task], errors: list[BaseException]) -> None:
        try:
            self.nodes[task.name] = self._task_node(task)
        except BaseException as error:  # noqa: BLE001  # raised again by the thread of the DAG
            errors.append(error)
            self.runner.stage.end("the engine failed", is_stop=True)
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
                return self._decided(task, Phase.SKIPPED, self._skipped(task, self.values))
            arguments = self._arguments(task, self.values)
        except (Unresolvable, Unfit, NoList) as error:
            return self._decided(task, Phase.ERROR, str(error))
        with self._slot():
            return self.runner.execute(task.template, arguments, self._spot(task))

    def _group(self, task: Task, *, runs: bool) -> Node:
        try:
            found = self._items(task)
        except (NoList, Unresolvable):
            # Argo leaves a list alone that it cannot read when `when` says no anyway (dag.go, expandTask).
            if runs:
                raise
            found = ()
        if not found:
            return self._decided(task, Phase.SKIPPED, "Skipped, empty params")
        group = self.runner.node(self._spot(task), NodeKind.TASK_GROUP, self.runner.template(task.template))
        self.runner.begin(group)
        run_all([partial(self._item, task, item, group, runs=runs) for item in found])
        order = {self._name(task) + item.label: index for index, item in enumerate(found)}
        group.children.sort(key=lambda child: order[child.name])
        phase = Phase.SUCCEEDED
        for child in group.children:
            phase = child.phase if child.phase.is_bad else phase
        passed_on = (child.passes_on or {phase} for child in group.children)
        group.passes_on = frozenset().union(*passed_on)
        self.runner.finish(group, phase)
        return group

    def _item(self, task: Task, item: Item, group: Node, *, runs: bool) -> None:
        spot = Spot(self._name(task) + item.label, task.name + item.label, group)
        template = self.runner.template(task.template)
        scope = {**self.values, **item.values}
        try:
            if not runs or (task.when and not self._when(task, scope)):
                self.runner.decided(spot, template, Phase.SKIPPED, self._skipped(task, scope))
                return
            arguments = self._arguments(task, scope)
        except (Unresolvable, Unfit) as error:
            self.runner.decided(spot, template, Phase.ERROR, str(error))
            return
        with self._slot():
            self.runner.execute(task.template, arguments, spot)

    def _items(self, task: Task) -> tuple[Item, ...]:
        if task.with_items is not None:
            return items.of_values(task.with_items)
        return items.of_param(substitution.resolve(task.with_param or "", self.values))

    def _when(self, task: Task, scope: Scope) -> bool:
        text = substitution.resolve(task.when, scope)
        try:
            return expressions.evaluate(expressions.parse(text, Dialect.WHEN), {})
        except Unfit as error:
            raise Unfit(f"Invalid 'when' expression '{text}': {error}") from error

    def _skipped(self, task: Task, scope: Scope) -> str:
        return f"when '{substitution.resolve(task.when, scope)}' evaluated false"

    def _arguments(self, task: Task, scope: Scope) -> dict[str, str]:
        found = {}
        for name, text in task.arguments.items():
            try:
                found[name] = substitution.resolve(text, scope)
            except Absent:
                continue
        return found

    def _values(self, task: Task, node: Node) -> dict[str, str | None]:
        prefix = f"tasks.{task.name}"
        names = self.runner.template(task.template).outputs
        found: dict[str, str | None] = {f"{prefix}.status": str(node.phase)}
        if node.phase in (Phase.SKIPPED, Phase.OMITTED):
            # A default that reads the template's inputs has no value where the template never ran.
            defaults = {output.name: None if "{{" in (output.default or "") else output.default for output in names}
            found |= {f"{prefix}.outputs.parameters.{name}": default for name, default in defaults.items()}
        elif node.kind is NodeKind.TASK_GROUP:
            found |= items.gathered(task.name, [output.name for output in names], node.children)
        else:
            found |= {f"{prefix}.outputs.parameters.{name}": value for name, value in node.outputs.items()}
        return found

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
        bad = [phase for name in leaves if (phase := self._leaf_phase(name, incoming[name])).is_bad]
        if not bad:
            return Phase.SUCCEEDED
        return bad[0] if self.dag.fail_fast else bad[-1]

    def _leaf_phase(self, name: str, incoming: frozenset[Phase]) -> Phase:
        phase = self.nodes[name].phase
        if phase.is_completed:
            return phase
        return next((bad for bad in (Phase.FAILED, Phase.ERROR) if bad in incoming), Phase.SUCCEEDED)

    def _outputs(self) -> dict[str, str]:
        found = {}
        for output in self.template.outputs:
            value = self.values.get(output.reference)
            if value is None and output.default is not None:
                value = substitution.resolve(output.default, self.values)
            if value is None:
                raise Unresolvable(f"output parameter {output.name!r}: {{{{{output.reference}}}}} has no value")
            found[output.name] = value
        return found

    def _spot(self, task: Task) -> Spot:
        return Spot(self._name(task), task.name, self.node)

    def _name(self, task: Task) -> str:
        return f"{self.node.name}.{task.name}"

    def _decided(self, task: Task, phase: Phase, message: str) -> Node:
        template = self.runner.template(task.template)
        return self.runner.decided(self._spot(task), template, phase, message)

    def _slot(self) -> AbstractContextManager[object]:
        return self.slots or nullcontext()
