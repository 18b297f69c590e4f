"""The step `check-verdict`: whether what a commit declares can be built and released, without publishing it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from pipelines.bounds import read_json
from pipelines.check.model import CheckResult
from pipelines.declared.state import ABSENT, BLOCKED, DIFFERENT, PUBLISHED, UNKNOWN, UNPUBLISHED, PlanRow
from pipelines.errors import Refused, ShipwayError, Transient
from pipelines.release import result as release_result
from pipelines.release.failure import UNSAID
from pipelines.release.model import STUCK, Plan, Planned
from pipelines.release.result import BUILT, CHART, CHECKED, IMAGE, LEFT_OUT, UNTRIED, PartResult
from pipelines.step import results
from pipelines.step.signature import Arg
from pipelines.step.texts import FreeText

_REPORT = "what the step check-build reports; empty: nothing"


def check_verdict(
    *,
    planned: Annotated[Planned, Arg("what the step plan says")],
    batch_1: Annotated[FreeText, Arg(_REPORT)] = "",
    batch_2: Annotated[FreeText, Arg(_REPORT)] = "",
    batch_3: Annotated[FreeText, Arg(_REPORT)] = "",
    batch_4: Annotated[FreeText, Arg(_REPORT)] = "",
    charts: Annotated[FreeText, Arg("what the step chart-check put out as its report; empty: nothing")] = "",
) -> CheckResult:
    """Fail unless every image was built or is published and every chart is in order, and report the result of each.

    An image that was left out because it needs a build secret fails nothing. Exit code 3 where a finding blocks
    something or a published version differs, 75 where a registry did not answer. The outputs are written whether the
    step fails or not.

    Example:
        shipway step check-verdict --planned=out/again --batch-1="$(cat out/check/report)" --outputs=out/main
    """
    plan: Plan = results.typed(Plan, read_json(planned.plan, "the plan"))
    built: dict[str, PartResult] = {}
    for text in (batch_1, batch_2, batch_3, batch_4):
        built |= release_result.read_report(text, IMAGE, BUILT)
    checked = release_result.read_report(charts, CHART, CHECKED)
    parts = [
        *(_part(IMAGE, image, built) for image in plan.images),
        *(_part(CHART, chart, checked) for chart in plan.charts),
        *release_result.of_findings(plan.findings),
    ]
    bad = [part for part in parts if not part.is_good]
    words = f"{len(parts) - len(bad)} of {len(parts)} in order at {plan.commit}"
    sys.stderr.write(release_result.text(parts))
    summary = results.text_of(release_result.of_release(parts, plan, words))
    result = CheckResult(verdict=words, commit=plan.commit, summary=summary)
    if bad:
        what = f"{plan.repo} at {plan.commit} is not in order"
        seen = "\n".join(map(release_result.words, bad))
        if all(part.result == UNKNOWN for part in bad):
            error: ShipwayError = Transient(what, seen=seen, todo="run it again when the registry answers")
        elif any(part.result in STUCK for part in bad):
            error = Refused(what, seen=seen, todo="mend what is blocked or different, and push again")
        else:
            error = ShipwayError(what, seen=seen, todo="correct what failed, and push again")
        error.result = result
        raise error
    sys.stderr.write(f"{words}\n")
    return result


def _part(kind: str, item: PlanRow, reported: Mapping[str, PartResult]) -> PartResult:
    found = reported.get(item.name)
    # What a plan refuses, no pod that runs a stranger's files says to be in order.
    if found and not (found.is_good and item.state in {BLOCKED, DIFFERENT}):
        return replace(found, path=item.path)
    result, why = item.state, "; ".join(item.reasons)
    if item.state == PUBLISHED:
        why = ""
    elif item.state == UNPUBLISHED:
        result = LEFT_OUT
    elif item.state == ABSENT:
        result, why = UNTRIED, UNSAID
    return PartResult(kind=kind, name=item.name, path=item.path, result=result, why=why)
