"""The expressions of templates mean here what they mean to Argo."""

from __future__ import annotations

import itertools

import pytest

from pipelines.engines.local import expressions
from pipelines.engines.local.expressions import Dialect, ExpressionError, Value

LAST: dict[str, Value] = {
    "lastRetry.status": "Failed",
    "lastRetry.message": "build: Error (exit code 75)",
    "lastRetry.exitCode": "64",
    "lastRetry.duration": "12.5",
    "retries": "1",
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("lastRetry.status == 'Error' || lastRetry.message contains '(exit code 75)'", True),
        ("lastRetry.message matches 'code (75|143)([^0-9]|$)'", True),
        ("lastRetry.message matches '^code (75|143)$'", False),
        ("lastRetry.status == 'Error' or lastRetry.message contains '(exit code 7)'", False),
        ('lastRetry.status == "Failed" && asInt(lastRetry.exitCode) == 64', True),
        ("lastRetry.exitCode == 64", False),
        ("lastRetry.exitCode != 64", True),
        ("asInt(lastRetry.exitCode) in [1, 64]", True),
        ("!(lastRetry.exitCode in ['1', '2'])", True),
        ("not (asInt(retries) > 0)", False),
        ("int(retries) >= 1 and int(retries) < 2", True),
        ("lastRetry.message startsWith 'build:' && lastRetry.message endsWith ')'", True),
        ("true || lastRetry.status < 'A'", True),
        ("lastRetry.status == 'it\\'s'", False),
        ("asInt('75') == 75 && 1.5 < 2", True),
    ],
)
def test_a_retry_expression(text: str, holds: bool) -> None:
    """Exit codes are texts until asInt makes them numbers; comparisons never mix the two."""
    assert expressions.evaluate(expressions.parse(text, Dialect.RETRY), LAST) is holds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lastRetry.status ==",
        "lastRetry.state == 'x'",
        "tasks.a.status == 'x'",
        "(lastRetry.status == 'x'",
        "lastRetry.status == 'x' lastRetry.status",
        "sprig.env('HOME') == ''",
        "lastRetry.exitCode + 1 == 2",
        "lastRetry.status ?: true",
        "lastRetry.exitCode in [retries]",
        "75x == 1",
    ],
)
def test_a_retry_expression_that_cannot_be_read(text: str) -> None:
    """What is not understood is refused when the document is read, not when a pod has failed."""
    with pytest.raises(ExpressionError):
        expressions.parse(text, Dialect.RETRY)


@pytest.mark.parametrize(
    "text", ["lastRetry.status", "asInt(lastRetry.status) > 1", "asInt(retries) contains 'x'", "!1"]
)
def test_values_that_do_not_fit(text: str) -> None:
    """An expression that is no yes or no, or applies an operator to what it is not for, is an error, not a guess."""
    with pytest.raises(ExpressionError):
        expressions.evaluate(expressions.parse(text, Dialect.RETRY), LAST)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("fast == fast", True),
        ("'fast' == \"fast\"", True),
        ("fast != slow", True),
        ("10 > 9", True),
        ("'10' == 10", False),
        ("2.50 == 2.5", True),
        ("true && !false", True),
        ("true || false && false", True),
        ("(true || false) && false", False),
        ("b > a && a <= a", True),
        ("'' == ''", True),
        ("[a b] == 'a b'", True),
        ("""["base","web"] =~ '[!-,]base[!-,]'""", True),
        ("""["database","web"] =~ '[!-,]base[!-,]'""", False),
        ("""["base","web"] + ["api"] =~ '[!-,]web[!-,].*[!-,]api[!-,]'""", True),
        ("""["base"] + ["api"] =~ '[!-,]web[!-,].*[!-,]api[!-,]' || false""", False),
    ],
)
def test_a_condition(text: str, holds: bool) -> None:
    """Words without quotes are texts, as is what stands in brackets; && binds before ||.

    Argo's own library for conditions, govaluate, answers each of these the same.
    """
    assert expressions.evaluate(expressions.parse(text, Dialect.WHEN), {}) is holds


@pytest.mark.parametrize(
    "text", ["two words == x", "a-b == a-b", "== x", "1.2.3 == x", "x == 'open", "a = b", "[a", "'a\"b' == a"]
)
def test_a_condition_that_cannot_be_read(text: str) -> None:
    """What Argo refuses, or reads as something else than text, is refused."""
    with pytest.raises(ExpressionError):
        expressions.parse(text, Dialect.WHEN)


def test_operators_bind_as_in_python() -> None:
    """Over every assignment of three variables, each text means what the same text means to Python."""
    texts = ["a || b && c", "!a && b || c", "!(a || b) && c", "a && (b || !c)", "!!a || !b && !c", "a && b && c || !a"]
    for text in texts:
        parsed = expressions.parse(text, Dialect.DEPENDS)
        for values in itertools.product([False, True], repeat=3):
            scope = dict(zip("abc", values, strict=True))
            python = text.replace("||", " or ").replace("&&", " and ").replace("!", " not ")
            assert expressions.evaluate(parsed, scope) is eval(python, {}, scope), (text, scope)
