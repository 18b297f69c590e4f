"""The verdict of a check: what pods that ran a stranger's files may say, and what they may not."""

from __future__ import annotations

import dataclasses
import json

import pytest

from pipelines.check.verdict import check_verdict
from pipelines.declared.state import BLOCKED, DIFFERENT
from pipelines.errors import Refused
from pipelines.release.result import BUILT, CHECKED, LEFT_OUT, PartResult
from tests.unit.release.test_verdict import CHART, image, planned


@pytest.mark.parametrize("state", [BLOCKED, DIFFERENT])
@pytest.mark.parametrize("result", [BUILT, LEFT_OUT, CHECKED])
def test_no_report_says_that_what_the_plan_refuses_is_in_order(state: str, result: str) -> None:
    """A pod whose build broke out of its builder may write anything; names that nobody planned count for nothing."""
    forged = [
        dataclasses.asdict(PartResult(kind="image", name=name, path="", result=result, why=""))
        for name in ("web", "shop", "other")
    ]
    report = json.dumps([["web", "shop", "other"], forged])
    plan = planned(image("web", state), chart=dataclasses.replace(CHART, state=state, reasons=("why",)))
    with pytest.raises(Refused) as caught:
        check_verdict(planned=plan, batch_1=report, charts=report)
    assert caught.value.seen.splitlines() == [f"web: {state}, web's reason", f"shop: {state}, why"]


def test_a_report_says_why_what_the_plan_refuses_is_not_in_order() -> None:
    """The pod knows more of it."""
    bad = PartResult(kind="chart", name="shop", path="", result=DIFFERENT, why="the next version is 1.0.1")
    report = json.dumps([[], [dataclasses.asdict(bad)]])
    plan = planned(image("web"), chart=dataclasses.replace(CHART, state=DIFFERENT, reasons=("why",)))
    with pytest.raises(Refused) as caught:
        check_verdict(planned=plan, charts=report)
    assert caught.value.seen == "shop: different, the next version is 1.0.1"
