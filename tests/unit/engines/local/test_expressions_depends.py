"""Whether a task runs follows from the phases of what it waits for, as Argo's table says."""

from __future__ import annotations

import pytest

from pipelines.engines.local import expressions
from pipelines.engines.local.expressions import ExpressionError
from pipelines.engines.local.nodes import Node, NodeKind, Phase

FINAL = [Phase.SUCCEEDED, Phase.FAILED, Phase.ERROR, Phase.SKIPPED, Phase.OMITTED]
RESULT_OF = dict(zip(["Succeeded", "Failed", "Errored", "Skipped", "Omitted"], FINAL, strict=True))


def node(phase: Phase, kind: NodeKind = NodeKind.POD, items: tuple[Phase, ...] = ()) -> Node:
    """Return a finished node."""
    return Node(name="n", display_name="n", kind=kind, phase=phase, children=[node(item) for item in items])


@pytest.mark.parametrize("phase", FINAL)
@pytest.mark.parametrize("result", RESULT_OF)
def test_each_result_holds_for_its_phase_alone(phase: Phase, result: str) -> None:
    """`a.Failed` and its like hold for one phase and no other."""
    assert expressions.is_met(expressions.parse_depends(f"a.{result}"), {"a": node(phase)}) is (
        RESULT_OF[result] is phase
    )


@pytest.mark.parametrize("phase", FINAL)
def test_a_bare_task_counts_when_it_succeeded_or_was_skipped(phase: Phase) -> None:
    """`a` is `a.Succeeded || a.Skipped`, in `depends` as in `dependencies`."""
    wanted = phase in (Phase.SUCCEEDED, Phase.SKIPPED)
    listed = expressions.parse_dependencies(["a"])
    assert listed is not None
    assert expressions.is_met(expressions.parse_depends("a"), {"a": node(phase)}) is wanted
    assert expressions.is_met(listed, {"a": node(phase)}) is wanted


@pytest.mark.parametrize(
    ("items", "any_succeeded", "all_failed"),
    [
        ((Phase.SUCCEEDED, Phase.FAILED), True, False),
        ((Phase.FAILED, Phase.FAILED), False, True),
        ((Phase.FAILED, Phase.ERROR), False, False),
        ((Phase.SKIPPED,), False, False),
        ((), False, False),
    ],
)
def test_results_of_items(items: tuple[Phase, ...], any_succeeded: bool, all_failed: bool) -> None:
    """AnySucceeded and AllFailed look at the items; an Error is no failure."""
    nodes = {"a": node(Phase.FAILED, NodeKind.TASK_GROUP, items)}
    assert expressions.is_met(expressions.parse_depends("a.AnySucceeded"), nodes) is any_succeeded
    assert expressions.is_met(expressions.parse_depends("a.AllFailed"), nodes) is all_failed


def test_the_tasks_waited_for() -> None:
    """Each task is named once, whatever is asked of it; names may hold dashes and digits."""
    assert expressions.tasks_of(expressions.parse_depends("a-1.Failed || !(b2 && a-1.Errored)")) == ("a-1", "b2")
    assert expressions.parse_dependencies([]) is None


@pytest.mark.parametrize(
    "text", ["a.Daemoned", "a.Done", "a &&", "a b", "a == b", "'a'", "a.Succeeded || (b", "a and b"]
)
def test_what_is_refused(text: str) -> None:
    """Daemons do not run here, and anything else than names and the three operators is no `depends`."""
    with pytest.raises(ExpressionError):
        expressions.parse_depends(text)
