"""The local engine does with every conformance case what Argo does with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import local
from tests.conformance.cases import Case, cases, differences


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_case(case: Case, tmp_path: Path) -> None:
    """Phases, outputs, order and attempts are those that the case's file expects of both engines."""
    outcome = local.run(case, tmp_path)
    assert differences(case, str(outcome.phase), local.seen(outcome)) == []
    assert list((tmp_path / "run").glob("pods/*")) == []
