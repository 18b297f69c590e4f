"""Decides whether a failed node is tried again, and when (Argo: operator.go, processNodeRetries)."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.engines.local import expressions
from pipelines.engines.local.definition import Retry
from pipelines.engines.local.expressions import ExpressionError, Value
from pipelines.engines.local.nodes import Node, Phase


@dataclass(frozen=True)
class Again:
    """Try again after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Enough:
    """Do not try again; the node gets this message and phase."""

    message: str
    phase: Phase


def decide(retry: Retry, attempts: list[Node], *, now: float) -> Again | Enough:
    """Return what to do after the last of some attempts has failed.

    Argo waits first and evaluates the expression afterwards; here nobody waits for an attempt that will not be made.
    """
    last = attempts[-1]
    seconds = _backoff(retry, len(attempts))
    if retry.max_duration is not None:
        end = attempts[0].started + retry.max_duration
        if now > end:
            return Enough("Max duration limit exceeded", last.phase)
        if last.finished + seconds > end:
            return Enough("Backoff would exceed max duration limit", last.phase)
    unwanted = {"OnFailure": Phase.ERROR, "OnError": Phase.FAILED}.get(retry.policy)
    if last.phase is unwanted:
        return Enough(last.message, last.phase)
    if len(attempts) > retry.limit:
        return Enough("No more retries left", last.phase)
    if retry.expression is not None:
        try:
            if not expressions.evaluate(retry.expression, variables(attempts)):
                return Enough("retryStrategy.expression evaluated to false", last.phase)
        except ExpressionError as error:
            return Enough(f"retryStrategy.expression: {error}", Phase.ERROR)
    return Again(max(0.0, last.finished + seconds - now))


def variables(attempts: list[Node]) -> dict[str, Value]:
    """Return the variables of an expression; their values are texts, as in Argo."""
    last = attempts[-1]
    return {
        "retries": str(len(attempts) - 1),
        "lastRetry.exitCode": "-1" if last.exit_code is None else str(last.exit_code),
        "lastRetry.status": str(last.phase),
        "lastRetry.duration": f"{last.finished - last.started:g}",
        "lastRetry.message": last.message,
    }


def _backoff(retry: Retry, attempts: int) -> float:
    if retry.duration is None:
        return 0.0
    try:
        seconds = retry.duration * float(retry.factor) ** (attempts - 1) if retry.factor > 0 else retry.duration
    except OverflowError:
        seconds = float("inf")
    return seconds if retry.cap is None else min(seconds, retry.cap)
