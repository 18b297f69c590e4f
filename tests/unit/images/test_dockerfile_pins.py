"""The Dockerfile that builders get: no name that one could look up, every line where it was."""

from __future__ import annotations

import pytest

from pipelines.errors import Refused
from pipelines.images import dockerfile, dockerfile_pins, layer_cache

ALIASES = {"base": "x/base:1", "base:2": "x/base:2", "tools": "x/tools:3", "r.example:5000/p/x": "x/four:4"}


def pin(
    source: str, *, target: str = "", args: tuple[str, ...] = (), inserted: dict[int, str] | None = None
) -> list[str]:
    """Return the lines of the pinned text."""
    selected = dockerfile.read(source, "Dockerfile").select(args, target=target, platform="linux/amd64")
    text = dockerfile_pins.pin(selected, aliases=ALIASES, inserted=inserted or {})
    return text.split("\n")


def test_every_place() -> None:
    """FROM, COPY --from and mounts get the alias; what only looks alike does not."""
    source = (
        "ARG TAG=2\n"
        "FROM --platform=$BUILDPLATFORM base:${TAG} AS One\n"
        "RUN --mount=type=bind,from=tools,target=/t --mount=from=r.example:5000/p/x,target=/u \\\n"
        "    echo from=tools base from=tools\n"
        "FROM base\n"
        "COPY --from=ONE /a /b\n"
        "COPY --from=0 /a /c\n"
        "COPY --chown=1 --from=tools /from=tools /base\n"
    )
    assert pin(source) == [
        "ARG TAG=2",
        "FROM x/base:2 AS one",
        "RUN --mount=type=bind,from=x/tools:3,target=/t --mount=from=x/four:4,target=/u \\",
        "    echo from=tools base from=tools",
        "FROM x/base:1",
        "COPY --from=one /a /b",
        "COPY --from=one /a /c",
        "COPY --chown=1 --from=x/tools:3 /from=tools /base",
        "",
    ]


def test_names_in_any_case() -> None:
    """An option of a mount gets the case that buildah knows, and a stage without a name gets one that all know."""
    source = "FROM base\nRUN a\nFROM base\nRUN --mount=FROM=tools,target=/t --mount=target=/n,From=0 b\n"
    assert pin(source) == [
        "FROM x/base:1 AS shipway-stage-0",
        "RUN a",
        "FROM x/base:1",
        "RUN --mount=from=x/tools:3,target=/t --mount=target=/n,from=shipway-stage-0 b",
        "",
    ]


def test_a_name_that_is_left() -> None:
    """The text is read again: a name that was not replaced is refused with its line, also below added lines."""
    with pytest.raises(Refused, match=r"^Dockerfile:2: the name tools cannot be replaced"):
        pin("FROM base\nRUN --mount=source=from=tools,from=tools,target=/m a\n", inserted={2: "LABEL a=1\nLABEL b=2"})


def test_mounted_stages() -> None:
    """Mounts read a stage of its own, which is based on the one that they name."""
    source = "FROM base AS one\nRUN a\nFROM one\nCOPY --from=one / /\nRUN --mount=from=one,target=/m b\n"
    selected = dockerfile.read(source, "Dockerfile").select((), target="", platform="linux/amd64")
    mounted = layer_cache.mounted(selected)
    added = {3: f"FROM one AS {mounted[0]}"}
    assert dockerfile_pins.pin(selected, aliases=ALIASES, inserted=added, mounted=mounted).split("\n") == [
        "FROM x/base:1 AS one",
        "RUN a",
        "FROM one AS shipway-mounted-0",
        "FROM one",
        "COPY --from=one / /",
        "RUN --mount=from=shipway-mounted-0,target=/m b",
        "",
    ]


def test_same_image_twice_in_one_instruction() -> None:
    """Each flag is renamed once."""
    source = "FROM base\nRUN --mount=from=tools,target=/a --mount=from=tools,target=/b true\n"
    assert pin(source)[1] == "RUN --mount=from=x/tools:3,target=/a --mount=from=x/tools:3,target=/b true"


def test_only_what_the_target_reaches() -> None:
    """Stages after the target go, stages that it does not need are empty, and numbers still mean the same stages."""
    source = "FROM nowhere AS a\nRUN a\nFROM base AS b\nRUN b\nFROM scratch AS c\nCOPY --from=1 / /\nFROM c\nRUN d\n"
    assert pin(source, target="c") == [
        "FROM scratch AS a",
        "",
        "FROM x/base:1 AS b",
        "RUN b",
        "FROM scratch AS c",
        "COPY --from=b / /",
        "",
        "",
        "",
    ]


def test_directives() -> None:
    """No syntax line stays for a builder to fetch; an escape character still counts."""
    source = "# syntax=docker/dockerfile:1\n# escape=`\nFROM base\nRUN one `\n  two\n"
    assert pin(source) == ["# escape=`", "#", "FROM x/base:1", "RUN one `", "  two", ""]


def test_from_over_lines_and_carriage_returns() -> None:
    """A FROM over several lines becomes one, and the lines after it keep their numbers."""
    assert pin("FROM \\\r\n  base \\\r\n  AS x\r\nRUN y\r\n") == ["FROM x/base:1 AS x", "", "", "RUN y", ""]


def test_other_platform() -> None:
    """A stage of another platform is refused with its line."""
    with pytest.raises(Refused, match=r"^Dockerfile:2: a stage of another platform\n  seen: linux/s390x"):
        pin("ARG P=linux/s390x\nFROM --platform=$P base\n")


def test_inserted_lines() -> None:
    """Added lines come before the line of their number, whatever else is added."""
    added = {2: "LABEL one=1\nLABEL two=2", 3: "LABEL last=3"}
    assert pin("FROM base\nRUN a\n", inserted=added) == [
        "FROM x/base:1",
        "LABEL one=1",
        "LABEL two=2",
        "RUN a",
        "LABEL last=3",
        "",
    ]
    assert pin("FROM base", inserted={2: "LABEL last=3"}) == ["FROM x/base:1", "LABEL last=3"]


def marks(
    source: str, *, args: tuple[str, ...] = (), image: str = "i", context: str = "c", target: str = ""
) -> dict[int, str]:
    """Return the labels for the layer cache."""
    return layer_cache.marks(
        dockerfile.read(source, "Dockerfile").select(args, target=target, platform="linux/amd64"),
        images={"base": image, "tools": "t"},
        context=context,
    )


def test_marks() -> None:
    """A mark changes with what buildah's cache overlooks, and with nothing else."""
    source = "FROM base\nARG A=1\nENV B=$A\n"
    first = marks(source)
    assert list(first) == [2]
    assert first[2].startswith(f"LABEL {layer_cache.MARK}=")
    assert marks(source, context="other") == first
    assert marks(source.replace("ENV B", "ENV C")) == first, "the words of other instructions count already"
    assert marks(source, args=("A=2",)) != first
    assert marks(source.replace("A=1", "A=2")) != first
    assert marks(source, image="another configuration") != first


def test_marks_before_mounts() -> None:
    """A step that reads files through a mount changes with every file there is, others do not."""
    source = "FROM base\nRUN a\nRUN --mount=target=/c b\nRUN --mount=type=cache,target=/d c\n"
    first, second = marks(source), marks(source, context="other")
    assert sorted(first) == [2, 3]
    assert first[2] == second[2]
    assert first[3] != second[3]


def test_two_stages_of_one_name() -> None:
    """BuildKit takes the last one for every use of the name, so each gets a name of its own."""
    source = "FROM base AS one\nFROM tools AS one\nRUN a\nFROM base\nCOPY --from=0 /a /b\nCOPY --from=one /a /c\n"
    assert pin(source) == [
        "FROM x/base:1 AS shipway-stage-0",
        "FROM x/tools:3 AS shipway-stage-1",
        "RUN a",
        "FROM x/base:1",
        "COPY --from=shipway-stage-0 /a /b",
        "COPY --from=shipway-stage-1 /a /c",
        "",
    ]
