"""The real controller does with every conformance case what its file expects of both engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import local
from tests.conformance.cases import Case, cases, differences, disagreements
from tests.e2e.argo import Cluster, seen

CASES = cases()


@pytest.fixture(scope="module")
def runs(cluster: Cluster) -> dict[str, dict[str, object]]:
    """Start every case at once and return the runs by the case's name when all have ended."""
    names = {case.name: cluster.submit(case) for case in CASES}
    ended = cluster.finished(list(names.values()))
    return {case: ended[run] for case, run in names.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, runs: dict[str, dict[str, object]], cluster: Cluster, tmp_path: Path) -> None:
    """Phases, outputs, order and attempts are those of the
    case's file, and every node is as the local engine tells it.
    """
    run = runs[case.name]
    nodes = seen(run, cluster.started())
    status = run.get("status", {})
    assert isinstance(status, dict)
    assert differences(case, str(status.get("phase")), nodes) == []
    assert disagreements(local.seen(local.run(case, tmp_path)), nodes) == []
