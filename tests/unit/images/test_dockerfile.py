"""Reading Dockerfiles: which images from outside the wanted stage needs."""

from __future__ import annotations

import pytest

from pipelines.errors import Misuse, Refused, ShipwayError
from pipelines.images import dockerfile, dockerfile_syntax


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


def test_argument_without_value_names_its_line() -> None:
    """An ARG that nothing sets is a clear error with file and line."""
    with pytest.raises(Misuse, match=r"Dockerfile:2: the variable BASE has no value"):
        names("ARG BASE\nFROM ${BASE}\n")


@pytest.mark.parametrize("name", ["x:${B}", "${B}/x", "x:${B}-alpine", "${A:-${B}}"])
def test_a_variable_without_a_value_that_a_name_needs(name: str) -> None:
    """It is empty, as for docker; where no name is left without it, the error says which one."""
    assert names("FROM x:latest${B}\n") == ["x:latest"]
    with pytest.raises(Misuse, match=r"Dockerfile:1: the variable [AB] has no value"):
        names(f"FROM {name}\n")


@pytest.mark.parametrize("text", ["${A:-" * 60 + "}" * 60, "${A/" + "*a" * 200 + "/b}", "x" * 300 + "${A#*}"])
def test_variables_are_bounded(text: str) -> None:
    """Neither their depth nor their patterns make the reader wait, or end it."""
    with pytest.raises(Misuse, match=r"^Dockerfile:2: "):
        names(f"ARG A={'a' * 300}\nFROM {text}\n")


def test_the_parts_of_a_platform() -> None:
    """The variant is no part of the architecture."""
    read = dockerfile.read("FROM x:$TARGETARCH-$TARGETVARIANT-$BUILDARCH\n", "Dockerfile")
    assert read.select(platform="linux/arm/v7").externals[0].name == "x:arm-v7-arm"


def test_an_argument_of_a_stage_is_not_seen_by_from() -> None:
    """FROM sees only the ARGs before the first FROM."""
    with pytest.raises(Misuse, match="BASE has no value"):
        names("FROM a\nARG BASE=b\nFROM ${BASE}\n")


def test_variable_in_copy_from_is_refused() -> None:
    """The builders disagree about COPY --from=${X}, so it is refused with the way to write it."""
    with pytest.raises(Misuse, match="Dockerfile:2: COPY --from names an image by a variable"):
        names("FROM a\nCOPY --from=${X} /a /a\n")


@pytest.mark.parametrize(
    "syntax",
    "docker/dockerfile docker/dockerfile:1 docker/dockerfile:1.7-labs docker.io/docker/dockerfile:1.4"
    " docker/dockerfile:latest docker/dockerfile:labs docker/dockerfile:1-labs docker/dockerfile:experimental"
    " docker/dockerfile:1.0-experimental docker/dockerfile-upstream:master docker/dockerfile-upstream:master-labs"
    f" docker/dockerfile:1@sha256:{'0' * 64}".split(),
)
def test_own_frontend_passes(syntax: str) -> None:
    """The builder's own frontend may be named."""
    assert names(f"# syntax={syntax}\nFROM a\n") == ["a"]


@pytest.mark.parametrize(
    "syntax",
    "attacker/frontend docker/dockerfile:2 evil.io/docker/dockerfile:1 docker/dockerfile:latest-x docker/dockerfiles"
    " docker/dockerfile:1@sha256:0 dockerfile library/dockerfile:1 docker/dockerfile:nightly".split(),
)
def test_foreign_frontend_is_refused(syntax: str) -> None:
    """A frontend of its own is a program of a stranger: refused with its line (attack S13)."""
    with pytest.raises(Refused, match="Dockerfile:2: the syntax line"):
        names(f"# escape=`\n# syntax={syntax}\nFROM a\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("// syntax=evil.example/f:1\nFROM a\n", 1),
        ("//syntax = docker/dockerfile:1\nFROM a\n", 1),
        ("\ufeff// check=skip=all\n// Syntax=evil.example/f:1\nFROM a\n", 2),
        ("#!/usr/bin/env x\n# syntax=evil.example/f:1\nFROM a\n", 2),
        ("#!/usr/bin/env x\n// syntax=evil.example/f:1\nFROM a\n", 2),
        ('{"syntax": "evil.example/f:1"}', 1),
        ('#!x\n{\n"syntax":\n"evil.example/f:1"}\n', 2),
        ("# check=error=true\n# SYNTAX=evil.example/f:1\nFROM a\n", 2),
        ("# escape=`\x0bx\n# syntax=evil.example/f:1\nFROM a\n", 2),
        ("# some=thing\n# syntax=evil.example/f:1\nFROM a\n", 2),
        ("\r\n".join(("# syntax=docker/dockerfile:1 evil", "FROM a")), 1),
    ],
)
def test_every_form_of_a_frontend(text: str, line: int) -> None:
    """BuildKit reads the frontend's name in these forms too: each is refused with its line."""
    with pytest.raises(Refused, match=rf"^Dockerfile:{line}: the syntax line names a frontend"):
        names(text)


def test_directives_of_newer_builders() -> None:
    """What stands after `# check=` is a directive to BuildKit now; an unknown name ends them, as does `#!`."""
    hidden = "RUN true \\\nCOPY --from=tools /a /b\n"
    assert names("# check=skip=all\n# escape=`\nFROM a\n" + hidden) == ["a", "tools"]
    assert names("# other=1\n# escape=`\nFROM a\n" + hidden) == ["a"]
    assert names("#!/x\n# escape=`\nFROM a\n" + hidden) == ["a"]


@pytest.mark.parametrize(
    "line",
    [
        "RUN --mount=type=bind,FROM=tools,target=/m true",
        "RUN --mount=type=BIND,From=tools,TARGET=/m true",
        'RUN --mount="from=tools,target=/m" true',
        "RUN --mount=type=tmpfs,from=tools,target=/m true",
        'run --mount=type=cache,from=tools,target=/m ["true"]',
        'COPY --from="tools" [ "/a", "/b" ]',
        "  copy --chown=1 --from=tools a b",
        "RUN \\\n  --mount=from=tools\\\n,target=/m true",
        "RUN --mount=from=tools,target=/m <<EOF\nCOPY --from=other a b\nEOF",
    ],
)
def test_every_spelling_that_is_followed(line: str) -> None:
    """A name counts however it is spelled, if all builders read it alike."""
    assert names(f"FROM a\n{line}\n") == ["a", "tools"]


@pytest.mark.parametrize(
    "line",
    [
        "COPY --From=tools /a /b",
        "COPY --FROM=tools /a /b",
        "RUN --Mount=from=tools,target=/m true",
        "COPY --from=to\\\nols /a /b",
        "COPY --fr\\om=tools /a /b",
        "COPY --fr\\\\om=tools /a /b",
        "COPY --from=to\\ols /a /b",
        "COPY --from=one --from=tools /a /b",
        "COPY --$F=tools /a /b",
        "RUN --mount=$M true",
        "RUN --mount=type=bind,${K}=tools,target=/m true",
        "RUN --mount=type=$T,target=/m true",
        'RUN --mount=type=bind,\\"from=tools\\",target=/m true',
        "RUN --mount='type=bind,\"from=tools\",target=/m' true",
        "RUN --mount=from=one,FROM=tools,target=/m true",
        "RUN --mount=type=bind,fr\\\\om=tools,target=/m true",
    ],
)
def test_what_builders_read_differently(line: str) -> None:
    """A spelling that hides a name from one of the builders, or from this reader, is refused with its line."""
    with pytest.raises(Refused, match=r"^Dockerfile:2: "):
        names(f"FROM a\n{line}\n")


def test_from_in_capitals() -> None:
    """`FROM --PLATFORM` is known to no builder."""
    with pytest.raises(Refused, match=r"^Dockerfile:1: builders differ in how they read --PLATFORM"):
        names("FROM --PLATFORM=linux/amd64 a\n")


@pytest.mark.parametrize("name", ["1", "registry.example/x", "-a"])
def test_a_stage_has_a_name_that_no_image_has(name: str) -> None:
    """A stage's name is one that all builders take."""
    with pytest.raises(ShipwayError, match=r"^Dockerfile:1: FROM cannot be read"):
        names(f"FROM a AS {name}\nFROM a\n")


def test_own_triggers() -> None:
    """What ONBUILD names counts where a stage is based on it: it is refused there, and not elsewhere."""
    base = "FROM a AS first\nONBUILD COPY --from=tools /a /b\n"
    assert names(base) == ["a"]
    assert names(base + "FROM a\nCOPY --from=first /a /b\n") == ["a"]
    with pytest.raises(Refused, match=r"^Dockerfile:2: a trigger of the image names an image"):
        names(base + "FROM first\n")


@pytest.mark.parametrize("text", ["RUN a\nFROM b", "FROM b", "ONBUILD RUN a", "NONE", "", "RUN <<EOF\na"])
def test_a_trigger_is_one_instruction(text: str) -> None:
    """A configuration may hold any text; only one instruction is run."""
    with pytest.raises(Refused, match=r"^Dockerfile:1: a trigger of the image is not one instruction"):
        dockerfile_syntax.check_trigger(text, "Dockerfile:1")


def test_an_unknown_instruction() -> None:
    """No builder runs one, so it is an error with its line before anything is fetched."""
    with pytest.raises(ShipwayError, match=r"^Dockerfile:2: this is no instruction"):
        names("FROM a\nCOPPY x y\n")


def test_heredocs_do_not_hide_instructions() -> None:
    """What stands in a heredoc is no instruction; what follows is."""
    text = "FROM a\nRUN <<EOF\nFROM b\nEOF\nCOPY --from=c /x /x\n"
    assert names(text) == ["a", "c"]


@pytest.mark.parametrize("text", ["", "RUN true\n", "FROM\n", "FROM a b\n", "FROM a AS\n"])
def test_unreadable_is_one_error(text: str) -> None:
    """A Dockerfile that cannot be read is one clear error."""
    with pytest.raises(ShipwayError, match="Dockerfile"):
        names(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("FROM a\n# \0\nRUN --network=host true\n", id="a zero byte, at which the parser stops"),
        pytest.param("FROM a\nRUN \ud800\n", id="half a character, which ends the process"),
        pytest.param("FROM a\n\\\n", id="an instruction without a word"),
        pytest.param("FROM a\n\x1c\n", id="space to Python alone"),
    ],
)
def test_what_the_parser_reads_otherwise_is_an_error_with_its_line(text: str) -> None:
    """Nothing of a Dockerfile is hidden from the checks, and none ends this process."""
    with pytest.raises(ShipwayError, match=r"^Dockerfile:2: "):
        names(text)
    with pytest.raises(Refused, match=r"^Dockerfile:1: a trigger of the image is not one instruction"):
        dockerfile_syntax.check_trigger(f"RUN {text}", "Dockerfile:1")


@pytest.mark.parametrize("space", ["", " ", "\t", "\x85", "\u2003", "\x1c"])
def test_an_escape_is_written_as_every_builder_reads_it(space: str) -> None:
    """Builders differ in what they take for space there: what the parser takes for a directive, all shall."""
    assert dockerfile_syntax.settle(f"#{space}escape{space}={space}`\nFROM a\n", "Dockerfile") == "# escape=`\nFROM a\n"


@pytest.mark.parametrize("head", ["# a=b", "#", "# a", "#!"])
def test_a_long_line_at_the_head_is_read_in_its_time(head: str) -> None:
    """Half a megabyte of space there must not hold a plan for hours."""
    settled = dockerfile_syntax.settle(f"{head}{' ' * 500_000}c\nFROM a\n", "Dockerfile")
    assert settled.endswith("\nFROM a\n")


def test_variables_that_grow_without_end() -> None:
    """Ten of each other, ten times: an error with its line, in place of ten gigabytes."""
    text = "ARG A0=aaaaaaaaaa\n" + "".join(f"ARG A{n + 1}={f'$A{n}' * 10}\n" for n in range(9)) + "FROM $A9\n"
    with pytest.raises(Misuse, match=r"^Dockerfile:5: variables make it longer than 65536 characters"):
        names(text)


def test_a_number_that_is_no_stage() -> None:
    """Python reads no number of more than 4300 digits; to builders it is a name."""
    assert names(f"FROM a\nCOPY --from={'9' * 5000} /a /b\n")[1] == "9" * 5000


def test_many_instructions_are_read_in_their_time() -> None:
    """As many as a file may have lines."""
    count = dockerfile_syntax.MOST_LINES - 2
    assert len(list(dockerfile.read("FROM a\n" + "RUN x\n" * count, "Dockerfile").instructions)) == count


@pytest.mark.parametrize("over", [0, 1])
def test_a_dockerfile_of_more_lines_than_a_parser_reads_in_time_is_refused(over: int) -> None:
    """A heredoc of 300,000 lines took a minute and a half; one of the most lines that there may be takes none."""
    text = "FROM a\nRUN <<E\n" + "x\n" * (dockerfile_syntax.MOST_LINES - 4 + over) + "E\n"
    if over:
        with pytest.raises(Refused, match="web/Dockerfile is too long"):
            dockerfile.read(text, "web/Dockerfile")
    else:
        assert len(dockerfile.read(text, "web/Dockerfile").stages) == 1


def test_a_comment_is_in_any_encoding() -> None:
    """BuildKit skips comments as bytes; an instruction goes into its definition, whose texts are UTF-8."""
    text = "FROM scratch\n# caf\u00e9\nLABEL of=coffee\n"
    assert dockerfile.read_bytes(text.encode("latin-1"), "Dockerfile").stages[0].instructions[0].words == (
        "of",
        "coffee",
    )
    with pytest.raises(ShipwayError, match=r"Dockerfile:3 is not UTF-8"):
        dockerfile.read_bytes(text.replace("coffee", "caf\u00e9").encode("latin-1"), "Dockerfile")
