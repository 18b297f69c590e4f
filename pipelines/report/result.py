"""What a run's steps put out for people: the verdict's summary, and texts that travel encoded."""

from __future__ import annotations

import sys

from pipelines.bounds import read_json
from pipelines.release.result import ReleaseResult
from pipelines.report import run as report_run
from pipelines.step import results, texts
from pipelines.tools.kubernetes import Document


def release_result(workflow: Document) -> ReleaseResult | None:
    """Return the result that the verdict of a release or a check put out, or None."""
    text = decoded(workflow, "verdict", "summary")
    try:
        result: ReleaseResult | None = results.typed(ReleaseResult, read_json(text, "the summary")) if text else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        sys.stderr.write(f"the run's summary cannot be read: {error}\n")
        return None
    return result


def decoded(workflow: Document, template: str, name: str) -> str:
    """Return a text that a template's last node put out encoded; an empty one if there is none or it is not."""
    try:
        return texts.decode(report_run.outputs(workflow, template).get(name, ""))
    except ValueError as error:
        sys.stderr.write(f"an output of the run cannot be read: {error}\n")
        return ""
