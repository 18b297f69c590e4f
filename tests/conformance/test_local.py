"""The local engine does with every conformance case what Argo does with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.local import documents, engine
from pipelines.local.nodes import Kind, Node, Outcome
from pipelines.local.reporter import PlainReporter
from tests.conformance.cases import Case, Seen, cases, differences

GRACE_SECONDS = 1.0


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_case(case: Case, tmp_path: Path) -> None:
    """Phases, outputs, order and attempts are those that the case's file expects of both engines."""
    outcome = engine.run(
        documents.load([case.file]),
        case.template,
        case.arguments,
        config_maps=case.config_maps,
        secrets=None,
        folder=tmp_path / "run",
        jobs=8,
        reporter=PlainReporter(),
        grace_seconds=GRACE_SECONDS,
    )
    assert differences(case, str(outcome.phase), seen(outcome)) == []
    assert list((tmp_path / "run").glob("pods/*")) == []


def seen(outcome: Outcome) -> dict[str, Seen]:
    """Return the nodes of a run by the names that expectations use."""
    return {node.name.removeprefix(outcome.name).removeprefix("."): _seen(node) for node in outcome.nodes}


def _seen(node: Node) -> Seen:
    return Seen(
        phase=str(node.phase),
        message=node.message,
        started=node.started,
        finished=node.finished,
        outputs=node.outputs,
        exit_code=node.exit_code,
        attempts=len(node.children) if node.kind is Kind.RETRY else 1,
    )
