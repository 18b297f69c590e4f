"""Which failures are tried again, how often, and after how long."""

from __future__ import annotations

import pytest

from pipelines.engines.local import definition as local_definition
from pipelines.engines.local import expressions, retries
from pipelines.engines.local.definition import Retry
from pipelines.engines.local.expressions import Dialect
from pipelines.engines.local.nodes import Node, NodeKind, Phase
from pipelines.engines.local.retries import Again, Enough


def attempts(*phases: Phase, message: str = "main: Error (exit code 1)", code: int | None = 1) -> list[Node]:
    """Return finished attempts, a second each, one after the other from 100 on."""
    return [
        Node(
            name=f"n({index})",
            display_name="n",
            kind=NodeKind.POD,
            phase=phase,
            message=message,
            exit_code=code,
            started=100.0 + index,
            finished=101.0 + index,
        )
        for index, phase in enumerate(phases)
    ]


@pytest.mark.parametrize(
    ("policy", "phase", "is_again"),
    [
        ("Always", Phase.FAILED, True),
        ("Always", Phase.ERROR, True),
        ("OnFailure", Phase.FAILED, True),
        ("OnFailure", Phase.ERROR, False),
        ("OnError", Phase.FAILED, False),
        ("OnError", Phase.ERROR, True),
    ],
)
def test_policies(policy: str, phase: Phase, is_again: bool) -> None:
    """Each policy takes its phases; the message stays that of the attempt."""
    decision = retries.decide(Retry(limit=3, policy=policy), attempts(phase), now=101.0)
    assert decision == (Again(0.0) if is_again else Enough("main: Error (exit code 1)", phase))


def test_the_limit_counts_retries() -> None:
    """A limit of two lets three attempts happen."""
    retry = Retry(limit=2, policy="Always")
    failed = Phase.FAILED
    assert retries.decide(retry, attempts(failed, failed), now=102.0) == Again(0.0)
    assert retries.decide(retry, attempts(failed, failed, failed), now=103.0) == Enough("No more retries left", failed)


def test_waiting_grows_to_its_cap() -> None:
    """Duration times factor to the number of retries, never
    more than the cap; waiting counts from the attempt's end.
    """
    retry = Retry(limit=9, policy="Always", duration=10.0, factor=2, cap=35.0)
    waits = [retries.decide(retry, attempts(*[Phase.FAILED] * count), now=100.0 + count) for count in (1, 2, 3, 4)]
    assert waits == [Again(10.0), Again(20.0), Again(35.0), Again(35.0)]
    assert retries.decide(retry, attempts(Phase.FAILED), now=107.0) == Again(4.0)
    assert retries.decide(retry, attempts(Phase.FAILED), now=200.0) == Again(0.0)


def test_no_wait_goes_beyond_the_longest_time() -> None:
    """When the next attempt would begin too late, there is none."""
    retry = Retry(limit=9, policy="Always", duration=30.0, max_duration=20.0)
    assert retries.decide(retry, attempts(Phase.FAILED), now=101.0) == Enough(
        "Backoff would exceed max duration limit", Phase.FAILED
    )
    assert retries.decide(retry, attempts(Phase.FAILED), now=121.0) == Enough(
        "Max duration limit exceeded", Phase.FAILED
    )


@pytest.mark.parametrize(
    ("message", "code", "is_again"),
    [
        ("build: Error (exit code 75)", 64, True),
        ("build: Error (exit code 1)", 64, False),
        ("main: Error (exit code 75)", 75, True),
    ],
)
def test_the_expression_of_our_templates(message: str, code: int, is_again: bool) -> None:
    """75 is tried again in whichever container it was; anything else is not, and nobody waits before saying so."""
    text = "lastRetry.status == 'Error' || lastRetry.message contains '(exit code 75)'"
    retry = Retry(limit=3, policy="Always", duration=600.0, expression=expressions.parse(text, Dialect.RETRY))
    decision = retries.decide(retry, attempts(Phase.FAILED, message=message, code=code), now=101.0)
    assert isinstance(decision, Again) is is_again
    if not is_again:
        assert decision == Enough("retryStrategy.expression evaluated to false", Phase.FAILED)


def test_an_expression_whose_values_do_not_fit() -> None:
    """It is an Error of the node, which says what did not fit."""
    retry = Retry(limit=3, policy="Always", expression=expressions.parse("lastRetry.status > 1", Dialect.RETRY))
    decision = retries.decide(retry, attempts(Phase.FAILED), now=101.0)
    assert isinstance(decision, Enough)
    assert decision.phase is Phase.ERROR


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("1m30s", 90), ("1.5h", 5400), ("250ms", 0.25), (".5s", 0.5), ("2m", 120)],
)
def test_durations(text: str, seconds: float) -> None:
    """Go's notation, or whole seconds."""
    assert local_definition.seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "s", "1 m", "1d", "-1s", "1m 30s", "1.5"])
def test_what_is_no_duration(text: str) -> None:
    """Anything else is refused; a bare whole number alone means seconds."""
    if text.isdecimal():
        assert local_definition.seconds(text) == float(text)
    else:
        with pytest.raises(ValueError, match="not a duration"):
            local_definition.seconds(text)
