"""Names between braces become values, once, and only values that Argo would carry unharmed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.engines.local import substitution
from pipelines.engines.local.substitution import Absent, Unresolvable
from pipelines.step import printable, texts


def test_values_stand_where_their_names_stood() -> None:
    """Spaces inside the braces do not matter, and text around them stays."""
    scope = {"inputs.parameters.a": "1", "item": 'x"y'}
    assert substitution.resolve("<{{inputs.parameters.a}}-{{ item }}>", scope) == '<1-x"y>'
    assert substitution.resolve("no names { here }", scope) == "no names { here }"
    assert substitution.names("{{a}} {{ b.c }}{{=d}}") == ("a", "b.c", "=d")


def test_the_age_of_a_time() -> None:
    """The one expression there is says whether a time lies further back; of what is no time it says nothing."""
    text = "{{=now().Unix() - asInt(inputs.parameters.now) > 60}}"
    now = int(time.time())
    assert substitution.read_by(*substitution.names(text)) == "inputs.parameters.now"
    assert substitution.resolve(text, {"inputs.parameters.now": str(now - 3600)}) == "true"
    assert substitution.resolve(text, {"inputs.parameters.now": str(now)}) == "false"
    for scope in ({"inputs.parameters.now": "soon"}, {"inputs.parameters.now": None}, {}):
        with pytest.raises(Unresolvable):
            substitution.resolve(text, scope)
    assert substitution.read_by("=now().Unix() - asInt(workflow.name) > 60") == ""


def test_an_element_of_a_list() -> None:
    """The other expression gives an element of a list as JSON; of another text it says nothing."""
    text = "{{=toJson(jsonpath(inputs.parameters.later, '$[1]'))}}"
    assert substitution.read_by(*substitution.names(text)) == "inputs.parameters.later"
    assert substitution.resolve(text, {"inputs.parameters.later": r'[[], [{"a": "é\""}]]'}) == r'[{"a":"é\""}]'
    for value in ("[[]]", "no list", "7", '{"1": []}'):
        with pytest.raises(Unresolvable):
            substitution.resolve(text, {"inputs.parameters.later": value})
    assert substitution.read_by("=toJson(jsonpath(inputs.parameters.later, '$..[?(1)]'))") == ""


def test_a_name_without_a_value() -> None:
    """It is an error that names it; nothing is left standing."""
    with pytest.raises(Unresolvable, match=r"\{\{b\}\}"):
        substitution.resolve("{{a}}{{b}}", {"a": ""})


def test_an_output_that_never_was() -> None:
    """Alone it makes an argument count as not given; inside a text it is an error."""
    with pytest.raises(Absent):
        substitution.resolve("{{a}}", {"a": None})
    with pytest.raises(Unresolvable) as caught:
        substitution.resolve("x{{a}}", {"a": None})
    assert not isinstance(caught.value, Absent)


@pytest.mark.parametrize(
    "value", ["{{workflow.uid}}", "{{=1+1}}", "a{{", "\x07", "\x7f", "\x00", "\x1b[31m", "\U0001fae9", "\U000e0067"]
)
def test_values_that_are_refused(value: str) -> None:
    """What Argo would evaluate again, or could not write as JSON, is never substituted."""
    assert texts.uncarried(value)
    with pytest.raises(Unresolvable):
        substitution.resolve("{{a}}", {"a": value})


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"))))
def test_any_other_value_passes_as_it_is(value: str) -> None:
    """Quotes, backslashes, newlines, dollars: nothing is escaped or evaluated."""
    if "{{" not in value and not printable.unprintable(value):
        assert substitution.resolve("{{a}}", {"a": value}) == value
