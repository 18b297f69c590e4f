"""Reading Dockerfiles: which images from outside the wanted stage needs."""

from __future__ import annotations

import pytest

from pipelines.errors import Misuse, Refused, ShipwayError
from pipelines.images import dockerfile


def names(text: str, *args: str, target: str = "") -> list[str]:
    return [
        e.name
        for e in dockerfile.read(text, "Dockerfile").select(args, target=target, platform="linux/amd64").externals
    ]


def test_stages_and_scratch_are_not_external() -> None:
    """Only images from outside count: neither scratch, nor a stage by name, number or another case."""
    text = "FROM scratch AS One\nFROM one\nCOPY --from=0 /a /a\nCOPY --from=ONE /a /a\nCOPY --from=tools:1 /b /b\n"
    assert names(text) == ["tools:1"]


def test_only_stages_that_the_target_reaches_count() -> None:
    """A stage that nothing uses asks for no image."""
    text = "FROM a AS first\nFROM b AS unused\nFROM c\nRUN --mount=type=bind,from=first,target=/x true\n"
    assert names(text) == ["a", "c"]
    assert names(text, target="unused") == ["b"]


def test_arguments_before_from_are_expanded() -> None:
    """ARGs before the first FROM, with defaults, build arguments and the platform's own."""
    text = "ARG SUITE=bookworm\nARG BASE=debian:${SUITE}\nFROM ${BASE}-${TARGETARCH}\n"
    assert names(text) == ["debian:bookworm-amd64"]
    assert names(text, "SUITE=trixie") == ["debian:trixie-amd64"]
    assert names(text, "BASE=x:1") == ["x:1-amd64"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [("${A:-d}", "d"), ("${A-d}", ""), ("${B:-d}", "b"), ("${B:+d}", "d"), ("${A:+d}", ""), ("$B", "b"), ('"$B"', "b")],
)
def test_forms_of_variables(written: str, meant: str) -> None:
    """Each form of a variable that the builders read gives what they give."""
    assert dockerfile.expand(written, {"A": "", "B": "b"}, "Dockerfile:1") == meant


def test_argument_without_value_names_its_line() -> None:
    """An ARG that nothing sets is a clear error with file and line."""
    with pytest.raises(Misuse, match=r"Dockerfile:2: the variable BASE has no value"):
        names("ARG BASE\nFROM ${BASE}\n")


def test_an_argument_of_a_stage_is_not_seen_by_from() -> None:
    """FROM sees only the ARGs before the first FROM."""
    with pytest.raises(Misuse, match="BASE has no value"):
        names("FROM a\nARG BASE=b\nFROM ${BASE}\n")


def test_variable_in_copy_from_is_refused() -> None:
    """The builders disagree about COPY --from=${X}, so it is refused with the way to write it."""
    with pytest.raises(Misuse, match="Dockerfile:2: COPY --from names an image by a variable"):
        names("FROM a\nCOPY --from=${X} /a /a\n")


@pytest.mark.parametrize(
    "syntax", ["docker/dockerfile:1", "docker/dockerfile:1.7-labs", "docker.io/docker/dockerfile:1.4"]
)
def test_own_frontend_passes(syntax: str) -> None:
    """The builder's own frontend may be named."""
    assert names(f"# syntax={syntax}\nFROM a\n") == ["a"]


@pytest.mark.parametrize(
    "syntax", ["attacker/frontend", "docker/dockerfile:2", "evil.io/docker/dockerfile:1", "docker/dockerfile"]
)
def test_foreign_frontend_is_refused(syntax: str) -> None:
    """A frontend of its own is a program of a stranger: refused with its line (attack S13)."""
    with pytest.raises(Refused, match="Dockerfile:2: the syntax line"):
        names(f"# escape=`\n# syntax={syntax}\nFROM a\n")


def test_heredocs_do_not_hide_instructions() -> None:
    """What stands in a heredoc is no instruction; what follows is."""
    text = "FROM a\nRUN <<EOF\nFROM b\nEOF\nCOPY --from=c /x /x\n"
    assert names(text) == ["a", "c"]


@pytest.mark.parametrize("text", ["", "RUN true\n", "FROM\n", "FROM a b\n", "FROM a AS\n"])
def test_unreadable_is_one_error(text: str) -> None:
    """A Dockerfile that cannot be read is one clear error."""
    with pytest.raises(ShipwayError, match="Dockerfile"):
        names(text)
