"""The step `verdict`: whether everything that a commit declares is in the registry, once a run has done what it could."""

from __future__ import annotations

import json
import sys
from typing import Annotated

from pipelines.errors import Refused, ShipwayError, Transient
from pipelines.model.plan import (
    BUILD,
    ERROR,
    PUBLISHED,
    RELEASE,
    STUCK,
    TAG,
    UNKNOWN,
    Finding,
    Plan,
    Planned,
    PlannedChart,
    PlannedImage,
    Verdict,
)
from pipelines.steps import signature
from pipelines.steps.signature import Arg

_MISSING = {BUILD: "not built", RELEASE: "not released"}


def verdict(*, planned: Annotated[Planned, Arg("what the step plan says after everything was done")]) -> Verdict:
    """Fail unless nothing is left to build or to release, and name what is.

    Lacking tags are told and fail nothing. Where a registry did not answer, exit code 75 asks for another attempt.

    Example:
        shipway step verdict --planned=out/again --outputs=out/main
    """
    plan: Plan = signature.typed(Plan, json.loads(planned.plan))
    untagged = [image for image in plan.images if image.action == TAG]
    for image in untagged:
        sys.stderr.write(f"{image.name} lacks {', '.join(image.tags) or 'tags'}\n")
    stuck = _stuck(plan)
    missing = [_missing(plan, item) for item in plan.everything if item.action in _MISSING]
    unknown = [f"{item.name}: unknown, {_why(item)}" for item in plan.everything if item.state == UNKNOWN]
    told = [*missing, *stuck, *unknown]
    if told:
        raise _failure(plan, told, is_stuck=bool(stuck), is_unknown=len(unknown) == len(told))
    published = sum(item.state == PUBLISHED for item in plan.everything)
    words = f"{published} of {len(plan.everything)} published at {plan.commit}"
    sys.stderr.write(f"{words}\n")
    return Verdict(verdict=words, commit=plan.commit, published=published, untagged=len(untagged))


def _failure(plan: Plan, told: list[str], *, is_stuck: bool, is_unknown: bool) -> ShipwayError:
    what = f"{plan.repo} at {plan.commit} is not released as a whole"
    seen = "\n".join(told)
    if is_unknown:
        return Transient(what, seen=seen, todo="run it again when the registry answers")
    if is_stuck:
        return Refused(what, seen=seen, todo="mend what is blocked or different, and push a new commit")
    return ShipwayError(what, seen=seen, todo="see the logs of what failed, then submit the same run again")


def _stuck(plan: Plan) -> list[str]:
    items = [f"{item.name}: {item.state}, {_why(item)}" for item in plan.everything if item.state in STUCK]
    findings: list[Finding] = [finding for finding in plan.findings if finding.level == ERROR]
    return [*items, *map(str, findings)]


def _missing(plan: Plan, item: PlannedImage | PlannedChart) -> str:
    siblings = {name: one for one in plan.everything if type(one) is type(item) for name in (one.name, one.path)}
    failed = [siblings[name] for name in item.parents if name in siblings and siblings[name].state != PUBLISHED]
    if isinstance(item, PlannedImage) and failed:
        return f"{item.name}: skipped because parent {failed[0].name} failed"
    return f"{item.name}: {_MISSING[item.action]}, {_why(item)}"


def _why(item: PlannedImage | PlannedChart) -> str:
    return "; ".join(item.reasons) or "nobody says why"
