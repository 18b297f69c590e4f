"""The result of a deployment."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Self

from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError
from pipelines.step.texts import Encoded, FreeText, ObjectId

_PARTS = re.compile(r"(?P<what>[^\n]+)(?:\n  seen: (?P<seen>.*?))?(?:\n  do:   (?P<todo>.*))?", re.DOTALL)
"""Of an error's text."""
_ERRORS = {kind.exit_code: kind for kind in (ShipwayError, Misuse, Refused, Misconfigured)}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a step did not do its part, for the last step of the pod to fail with; empty if it did."""

    fault: FreeText = ""
    fault_code: int = 0

    def with_fault(self, error: ShipwayError | None) -> Self:
        """Return the same with an error, for a later step to fail with; None changes nothing."""
        return replace(self, fault=str(error), fault_code=error.exit_code) if error else self

    def require_none(self, step: str) -> None:
        """Raise the error that this is of a step."""
        if parts := _PARTS.fullmatch(self.fault):
            seen, todo = ((parts[name] or "").replace("\n        ", "\n") for name in ("seen", "todo"))
            kind = _ERRORS.get(self.fault_code, ShipwayError)
            raise kind(f"the step {step} failed: {parts['what']}", seen=seen, todo=todo)


@dataclass(frozen=True, kw_only=True)
class DeployTarget:
    """One target that was written to: a repository's own charts, or an environment."""

    name: str
    """The environment's name, or `charts`."""
    repo: str
    way: str
    """`commit` or `pull-request`."""
    commit: str
    """The commit that was pushed, or that an open pull request has; empty if there was nothing to write."""
    pull_request: str
    """The address of the pull request's page."""
    changes: tuple[str, ...]
    """One line for each image and chart, old and new."""
    kept: tuple[str, ...]
    """What was not changed, and why."""
    attempts: int
    """How many attempts the write took, since others pushed meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Deployed(Fault):
    """The result of deploying a branch's head; the fault is of a run whose last step fails with it."""

    commit: ObjectId
    """The head that was deployed; empty if the branch is not deployed."""
    written: int
    """The number of targets that were written to."""
    summary: FreeText
    """One line for people."""
    targets: Annotated[tuple[DeployTarget, ...], Encoded()]
