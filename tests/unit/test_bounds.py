"""How deep, how large and how odd a JSON text may be."""

from __future__ import annotations

import json

import pytest

from pipelines import bounds
from pipelines.bounds import DEEPEST, LONGEST_NUMBER, NotJson
from pipelines.errors import ShipwayError


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        pytest.param(b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), "more than 200", id="one level too deep"),
        pytest.param(b"[" * 100_000, "more than 200", id="only opened"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "more than 200", id="objects"),
        pytest.param(b'["\\"",' + b"[" * 100_000, "more than 200", id="after an escaped quote"),
        pytest.param(b'"' + b'\\"' * 500_000 + b"[" * 201, "Unterminated", id="a string without end, in its time"),
        pytest.param(b"9" * (LONGEST_NUMBER + 1), "1001 digits", id="a long integer"),
        pytest.param(b"9" * 1_000_000, "1000000 digits", id="a million digits"),
        pytest.param(b"0." + b"9" * LONGEST_NUMBER, "the number 0.9", id="a long fraction"),
        pytest.param(b"1e999", "the number 1e999", id="beyond every float"),
        *(pytest.param(text, "is not a JSON number", id=text.decode()) for text in (b"NaN", b"Infinity", b"-Infinity")),
        pytest.param(b'["\xff"]', "not UTF-8", id="not UTF-8"),
        pytest.param(b'["\xed\xb2\x80"]', "not UTF-8", id="half a character as bytes"),
        pytest.param('["\udc80"]', "not UTF-8", id="half a character in a text"),
        pytest.param(b'["\\ud800"]', "not UTF-8", id="half a character, escaped"),
        pytest.param(b'{"\\udc80": 1}', "not UTF-8", id="half a character in a key"),
        pytest.param(b'["\x00"]', "control character", id="NUL"),
        pytest.param(b"\xef\xbb\xbf{}", "BOM", id="a byte order mark"),
        pytest.param(b"", "Expecting value", id="nothing"),
        pytest.param(b"[1] 2", "Extra data", id="something after it"),
    ],
)
def test_refused_as_an_error_in_three_parts_that_is_also_a_value_error(text: bytes | str, seen: str) -> None:
    with pytest.raises(NotJson) as error:
        bounds.read_json(text, "the answer")
    assert isinstance(error.value, ShipwayError)
    assert isinstance(error.value, ValueError)
    assert error.value.what.startswith("the answer is n")
    assert seen in error.value.seen


@pytest.mark.parametrize(
    "text",
    [
        "[" * DEEPEST + "]" * DEEPEST,
        json.dumps(["[" * 1000, '\\"' + "{" * 1000]),
        json.dumps([[[]]] * 10_000),
        "9" * LONGEST_NUMBER,
        '{"a": 1, "a": 2, "\\ud83d\\ude00": "\\\\ud800", "b": [1.5, -0, 1e3, null, true]}',
    ],
    ids=["as deep as may be", "brackets in strings", "broad", "as long as may be", "the rest"],
)
def test_read_as_json_reads_it(text: str) -> None:
    assert bounds.read_json(text, "x") == bounds.read_json(text.encode(), "x") == json.loads(text)
