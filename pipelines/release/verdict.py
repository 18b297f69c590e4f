"""The step `verdict`: whether the registry has everything that a commit declares, once a run has done what it could."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Annotated

from pipelines.bounds import read_json
from pipelines.charts.model import PlannedChart
from pipelines.declared.state import ABSENT, HELD, PUBLISHED, TAG, UNKNOWN, UNPUBLISHED, PlanRow
from pipelines.errors import Refused, ShipwayError, Transient
from pipelines.images.plan_model import PlannedImage
from pipelines.release import result as release_result
from pipelines.release.failure import IN_LOG
from pipelines.release.model import STUCK, Plan, Planned, Verdict, held_back
from pipelines.release.result import BUILT, CHART, FAILED, IMAGE, LEFT_OUT, RELEASED, SKIPPED, UNTRIED, PartResult
from pipelines.step import results
from pipelines.step.signature import Arg


def verdict(
    *,
    planned: Annotated[Planned, Arg("what the step plan says once everything was done")],
    builds: Annotated[tuple[str, ...], Arg("images that the run was to build, as its plan named them")] = (),
    releases: Annotated[tuple[str, ...], Arg("charts that it was to release, likewise")] = (),
) -> Verdict:
    """Fail unless nothing is left to build, to tag or to release, and report the result of every image and chart.

    A chart whose values name an image that is not published was held back. Exit code 75 asks for another attempt, if a
    registry did not answer. The outputs are written whether the step fails or not.

    Example:
        shipway step verdict --planned=out/again --builds='["base"]' --outputs=out/main
    """
    plan: Plan = results.typed(Plan, read_json(planned.plan, "the plan"))
    untagged = [image for image in plan.images if image.action == TAG]
    held = held_back((chart for chart in plan.charts if chart.state == ABSENT), plan.images)
    parts = [
        *(_image(plan, image, builds) for image in plan.images),
        *(_chart(chart, releases, held.get(chart.path, "")) for chart in plan.charts),
        *release_result.of_findings(plan.findings),
    ]
    published = sum(item.state == PUBLISHED and item.action != TAG for item in plan.everything)
    words = f"{published} of {len(plan.everything)} published at {plan.commit}"
    sys.stderr.write(release_result.text(parts))
    result = Verdict(
        verdict=words,
        commit=plan.commit,
        published=published,
        untagged=len(untagged),
        summary=results.text_of(release_result.of_release(parts, plan, words)),
    )
    if bad := [part for part in parts if not part.is_good]:
        failure = _failure(plan, bad)
        failure.result = result
        raise failure
    sys.stderr.write(f"{words}\n")
    return result


def _failure(plan: Plan, bad: Collection[PartResult]) -> ShipwayError:
    what = f"{plan.repo} at {plan.commit} is not released as a whole"
    seen = "\n".join(map(release_result.words, bad))
    if {part.result for part in bad} - {HELD} == {UNKNOWN}:
        return Transient(what, seen=seen, todo="run it again when the registry answers")
    if any(part.result in STUCK for part in bad):
        return Refused(what, seen=seen, todo="mend what is blocked or different, and push a new commit")
    return ShipwayError(what, seen=seen, todo="see the logs of what failed, then submit the same run again")


def _image(plan: Plan, image: PlannedImage, builds: Collection[str]) -> PartResult:
    result, why = image.state, _why(image)
    if image.state == PUBLISHED:
        result, why = (BUILT if image.name in builds else PUBLISHED), ""
        if image.action == TAG:
            result, why = FAILED, f"it is published and lacks the tags {', '.join(image.tags)}"
    elif image.state == ABSENT:
        siblings = {one.name: one for one in plan.images}
        failed = [name for name in image.parents if name in siblings and siblings[name].state != PUBLISHED]
        if failed:
            result, why = SKIPPED, f"its parent {failed[0]} failed"
        elif image.name in builds:
            result, why = FAILED, IN_LOG
        else:
            result, why = UNTRIED, f"not built, {why}"
    return PartResult(kind=IMAGE, name=image.name, path=image.path, result=result, why=why)


def _chart(chart: PlannedChart, releases: Collection[str], held: str) -> PartResult:
    result, why = chart.state, _why(chart)
    if chart.state == PUBLISHED:
        result, why = RELEASED if chart.name in releases else PUBLISHED, ""
    elif held:
        result, why = HELD, held
    elif chart.state == ABSENT and chart.name in releases:
        result, why = FAILED, IN_LOG
    elif chart.state == ABSENT:
        result, why = UNTRIED, f"not released, {why}"
    elif chart.state == UNPUBLISHED:
        result = LEFT_OUT
    return PartResult(kind=CHART, name=chart.name, path=chart.path, result=result, why=why)


def _why(item: PlanRow) -> str:
    known = "; ".join(item.reasons)
    return known or ("a registry did not answer" if item.state == UNKNOWN else "nobody says why")
