"""Texts that travel through a workflow: of a narrow form, or encoded so that Argo finds nothing in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import Refused
from pipelines.step import results, texts
from pipelines.step.texts import BuildArgument, FreeText, Hash, Name, ObjectId, Packed, Plain, Unfit, Words


@dataclass(frozen=True, kw_only=True)
class Result:
    """A result with a field of each kind."""

    plain: Plain = ""
    name: Name = ""
    commit: ObjectId = ""
    key: Hash = ""
    packed: Packed = ""
    words: Words = ""
    free: FreeText = ""
    arguments: tuple[BuildArgument, ...] = ()


@given(st.text())
def test_a_free_text_comes_back_and_holds_nothing_of_argos(text: str) -> None:
    """Whatever it holds: braces, quotes, controls, and characters that Argo cannot write."""
    encoded = texts.encode(text)
    assert texts.decode(encoded) == text.encode(errors="backslashreplace").decode()
    assert encoded.isascii()
    assert encoded.isprintable()
    assert not set(encoded) & set("{}")
    assert texts.uncarried(encoded) == ""
    assert texts.shown(encoded) == texts.decode(encoded)


def test_an_honest_text_is_read_as_it_is() -> None:
    """Most messages are the same before and after, for whoever looks at a run."""
    assert texts.encode("failed at web/Dockerfile:3: RUN make") == "failed at web/Dockerfile:3: RUN make"
    assert texts.encode("{{=1+1}} 100%\n") == "%-%7B%7B=1+1%7D%7D 100%25%0A"


@pytest.mark.parametrize("text", ["{{=1+1}}", "%7B", "%-%", "%-%zz", "%-\x1b", "%-%FF", "%-%c3", "a\nb", "\u202e"])
def test_what_nobody_encoded_is_no_free_text(text: str) -> None:
    """And the message has no word of it."""
    with pytest.raises(Unfit) as caught:
        texts.decode(text)
    assert text not in str(caught.value)
    assert texts.shown("refs/heads/a%20b{{") == "refs/heads/a%20b{{"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("plain", "apps/{{=1+1}}"),
        ("plain", "a}}"),
        ("plain", "a\nb"),
        ("plain", "a\u202eb"),
        ("plain", "a\u061cb"),
        ("plain", "\U0001fae9"),
        ("plain", "%-a"),
        ("plain", "a" * 5000),
        ("name", "a{b"),
        ("commit", "c" * 39),
        ("key", "xyz"),
        ("packed", "{}"),
        ("words", "{{workflow.uid}}"),
        ("arguments", ("A={{=1+1}}",)),
        ("arguments", ("A=1", "B=\x07")),
    ],
)
def test_a_text_of_another_form_is_no_result(tmp_path: Path, field: str, value: object) -> None:
    """It is refused where it is stored, before Argo sees it, and no word of it is told."""
    with pytest.raises(Refused, match=f"the result {field} cannot be passed on") as caught:
        results.store(Result(**{field: value}), tmp_path)  # type: ignore[arg-type]  # each field has its own type
    assert str(value) not in str(caught.value)


def test_what_is_stored_is_loaded(tmp_path: Path) -> None:
    """A free text stands encoded in its file, the others as they are."""
    result = Result(plain="Größe/ä b", free='{{=1+1}}\n"\x1b', arguments=("A=1\n2", 'B={ "x" }'), commit="c" * 40)
    results.store(result, tmp_path)
    assert results.load(Result, tmp_path) == result
    assert (tmp_path / "free").read_text() == '%-%7B%7B=1+1%7D%7D%0A"%1B'
    assert (tmp_path / "plain").read_text() == "Größe/ä b"
    assert '"free":"{{=1+1}}' in results.text_of(result)
