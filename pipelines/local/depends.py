"""What a task waits for: the `depends` of a DAG (Argo: workflow/common/ancestry.go, docs/enhanced-depends-logic.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pipelines.local import expressions
from pipelines.local.expressions import Dialect, Expression, Name, Operation, Unfit, Value
from pipelines.local.nodes import Node, Phase

RESULTS: Mapping[str, Callable[[Node], bool]] = {
    "Succeeded": lambda node: node.phase is Phase.SUCCEEDED,
    "Failed": lambda node: node.phase is Phase.FAILED,
    "Errored": lambda node: node.phase is Phase.ERROR,
    "Skipped": lambda node: node.phase is Phase.SKIPPED,
    "Omitted": lambda node: node.phase is Phase.OMITTED,
    "AnySucceeded": lambda node: any(item.phase is Phase.SUCCEEDED for item in node.items),
    "AllFailed": lambda node: bool(node.items) and all(item.phase is Phase.FAILED for item in node.items),
}
OF_ITEMS = frozenset({"AnySucceeded", "AllFailed"})


def parse(text: str) -> Expression:
    """Return what `depends` says, each bare task written out as Argo does; raises Unfit."""
    return _written_out(expressions.parse(text, Dialect.DEPENDS))


def of_dependencies(tasks: Sequence[str]) -> Expression | None:
    """Return what a plain list of `dependencies` says."""
    whole: Expression | None = None
    for task in tasks:
        one = _written_out(Name(task))
        whole = one if whole is None else Operation("&&", (whole, one))
    return whole


def tasks(expression: Expression) -> tuple[str, ...]:
    """Return the tasks that are waited for, each once."""
    return tuple(dict.fromkeys(name.partition(".")[0] for name in expressions.names(expression)))


def holds(expression: Expression, nodes: Mapping[str, Node]) -> bool:
    """Return whether a task runs, given the nodes of everything it waits for."""

    def result(name: str) -> Value:
        task, _, wanted = name.partition(".")
        return RESULTS[wanted](nodes[task])

    return expressions.evaluate(expression, result)


def _written_out(expression: Expression) -> Expression:
    match expression:
        case Name(name):
            task, _, wanted = name.partition(".")
            if not wanted:
                # Argo adds `|| task.Daemoned`; no task is a daemon here.
                return Operation("||", (Name(f"{task}.Succeeded"), Name(f"{task}.Skipped")))
            if wanted not in RESULTS:
                raise Unfit(f"{name!r} is no result of a task; there are {', '.join(RESULTS)}")
            return expression
        case Operation(operator, operands):
            return Operation(operator, tuple(map(_written_out, operands)))
        case _:
            return expression
