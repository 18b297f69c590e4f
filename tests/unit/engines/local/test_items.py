"""Items and gathered outputs are the texts that Argo makes of the same values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.engines.local import items as local_items
from pipelines.engines.local.items import NotAList
from pipelines.engines.local.nodes import Node, NodeKind, Phase

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def node(outputs: dict[str, str], phase: Phase = Phase.SUCCEEDED) -> Node:
    """Return a finished item."""
    return Node(name="n", display_name="n", kind=NodeKind.POD, phase=phase, outputs=outputs)


def test_numbers_keep_their_text() -> None:
    """1.0 and 1e3 stay what they were written as, as do numbers that no float could hold."""
    texts = [item.values["item"] for item in local_items.of_param("[1.0, 1e3, 12345678901234567890]")]
    assert texts == ["1.0", "1e3", "12345678901234567890"]


def test_maps_are_read_by_key_and_as_a_whole() -> None:
    """A text under a key keeps the escapes of its JSON, as Argo's own printing of it does."""
    (item,) = local_items.of_param('[{"b": "say \\"hi\\"", "a": {"z": 1, "y": [true]}}]')
    assert item.values == {
        "item": '{"a":{"z":1,"y":[true]},"b":"say \\"hi\\""}',
        "item.a": '{"z":1,"y":[true]}',
        "item.b": 'say \\"hi\\"',
    }
    assert item.label == '(0:a:{"z":1,"y":[true]},b:say \\"hi\\")'


@pytest.mark.parametrize("text", ["", "{}", "1", "null", "[1,]", "{{x}}"])
def test_what_is_no_list_is_said_so(text: str) -> None:
    """Only a list of values fans out."""
    with pytest.raises(NotAList):
        local_items.of_param(text)


def test_gathered_outputs() -> None:
    """Failed items are left out; lists and maps stay lists and maps, anything else is text."""
    nodes = [
        node({"d": "1", "l": "[1]"}),
        node({"d": "2", "l": "[2]"}, Phase.FAILED),
        node({"d": "x<", "l": '{"a": 1}'}),
    ]
    assert local_items.gathered("t", ["d", "l"], nodes) == {
        "tasks.t.outputs.parameters": '[{"d":"1","l":"[1]"},{"d":"x\\u003c","l":"{\\"a\\": 1}"}]',
        "tasks.t.outputs.parameters.d": '["1","x\\u003c"]',
        "tasks.t.outputs.parameters.l": '[[1],{"a":1}]',
    }


def test_nothing_to_gather() -> None:
    """Where no item succeeded, Argo knows the empty list of all outputs, and none of a single output."""
    assert local_items.gathered("t", ["d"], [node({"d": "1"}, Phase.FAILED)]) == {"tasks.t.outputs.parameters": "[]"}


@given(VALUES)
def test_the_json_is_json(value: object) -> None:
    """Whatever is written reads back as the same value, and holds none of the characters that Go escapes."""
    text = local_items.to_json(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")
