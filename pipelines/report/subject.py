"""What a run is about, as far as a report needs it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.errors import ShipwayError
from pipelines.events import lanes
from pipelines.events.decode import LaneSettings, RunInputs, decode
from pipelines.events.event import Decoded, EventKind, Lane
from pipelines.report import run as report_run
from pipelines.report.model import CHECK, RELEASE, Subject
from pipelines.tools.git.address import Revision
from pipelines.tools.kubernetes import Document

START = "start"
"""The template of the first pod."""


def of_run(workflow: Document, rules: LaneSettings) -> Subject | None:
    """Return what a run is about, from its event if it did not get far enough; None if that is nothing to report on."""

    def decoded() -> Decoded:
        inputs = {field.name: report_run.argument(workflow, field.name) for field in dataclasses.fields(RunInputs)}
        return decode(inputs=RunInputs(**inputs), rules=rules)

    if not _is_located(workflow):
        return _by_event(decoded)
    return _answered(begun(workflow) or _late(workflow, decoded), workflow, decoded)


def begun(workflow: Document) -> Subject | None:
    """Return what the first pod found a run to be about; None if that is nothing, or if it did not get that far."""
    if not _is_located(workflow):
        return None
    outputs = report_run.outputs(workflow, START)
    maker, source = lanes.maker(outputs.get("reason", ""))
    planned = report_run.outputs(workflow, "plan").get("commit", "") or outputs.get("commit", "")
    # What was pushed, also where a run built what another had made of it.
    subject = _subject_of(outputs, (outputs.get("head", ""), planned, outputs.get("revision", "")))
    return dataclasses.replace(subject, newer=source, maker=maker) if subject else None


def _late(workflow: Document, decoded: Callable[[], Decoded]) -> Subject | None:
    """Return the commit of a push that came late, if it would have been published; None for any other run."""
    outputs = report_run.outputs(workflow, START)
    newer = lanes.newer(outputs.get("reason", ""))
    if not newer or outputs.get("kind") != EventKind.PUSH or decoded().lane is not Lane.TRUSTED:
        return None
    subject = _subject_of(outputs, (outputs["head"],), lane=Lane.TRUSTED)
    return dataclasses.replace(subject, newer=newer) if subject else None


def _is_located(workflow: Document) -> bool:
    """Return whether the first pod got as far as to say what the run is about."""
    return "lane" in report_run.outputs(workflow, START)


def _answered(subject: Subject | None, workflow: Document, decoded: Callable[[], Decoded]) -> Subject | None:
    """Return the subject with the answer to a maintainer's command that started nothing, if it was one."""
    outputs = report_run.outputs(workflow, START)
    lane, kind = outputs["lane"], outputs.get("kind", "")
    # What nobody asked for, or nobody may ask for, is ignored by the event alone.
    if kind != EventKind.COMMENT or lane not in {Lane.IGNORED, Lane.WAITING} or decoded().lane is Lane.IGNORED:
        return subject
    number = int(outputs.get("number") or 0)
    nothing = Subject(repo=outputs["repo"], commit="", context=CHECK, number=number, quiet=False, waiting=False)
    return dataclasses.replace(subject or nothing, answer=outputs["reason"])


def _by_event(decoded: Callable[[], Decoded]) -> Subject | None:
    """Return what a run is about from its arguments alone, not yet compared with the repository."""
    try:
        event = decoded()
    except ShipwayError as error:
        sys.stderr.write(f"{error.what}\n")
        return None
    return _subject_of(vars(event), (event.head, event.revision))


def _subject_of(found: Mapping[str, Any], commits: Sequence[str], *, lane: str = "") -> Subject | None:
    """Return the subject of an event's fields, or of the first pod's outputs."""
    commit, lane = next((text for text in commits if text and Revision(text).is_commit), ""), lane or found["lane"]
    if not commit or lane == Lane.IGNORED:
        return None
    return Subject(
        repo=found["repo"],
        commit=commit,
        context=RELEASE if lane in {Lane.TRUSTED, Lane.OWN} else CHECK,
        number=int(found.get("number") or 0),
        quiet=found.get("kind") == EventKind.NIGHTLY,
        waiting=lane == Lane.WAITING,
        is_closed=lane == Lane.CLOSED,
        ref=found.get("ref", ""),
    )
