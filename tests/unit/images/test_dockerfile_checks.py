"""What an older buildah would read as something else is refused with its line."""

from __future__ import annotations

import pytest

from pipelines.errors import Refused
from pipelines.images import dockerfile, dockerfile_checks


def check(text: str, *args: str) -> None:
    """Check a text for buildah 1.28."""
    selected = dockerfile.read(text, "Dockerfile").select(args, target="", platform="linux/amd64")
    dockerfile_checks.check_buildah(selected, "1.28.2")


@pytest.mark.parametrize(
    "text",
    [
        "FROM a\nARG T=/m,from=other\nRUN --mount=target=$T true\n",
        "FROM a\nARG T\nRUN --mount=target=${T} true\n",
        "FROM a\nARG T\nENV U=$T,from=other\nRUN --mount=target=$U true\n",
        "FROM a\n\nRUN --mount=target=$OF_THE_BASE true\n",
    ],
)
def test_a_variable_that_is_more_than_a_value(text: str) -> None:
    """Buildah replaces variables before it splits the options, so a value could name an image."""
    line = text[: text.index("RUN")].count("\n") + 1
    with pytest.raises(Refused, match=rf"^Dockerfile:{line}: buildah 1\.28\.2 would read --mount=target=\$"):
        check(text, "T=/m,from=other" if "ENV" in text or "{" in text else "X=1")


def test_a_variable_that_is_a_value() -> None:
    """A plain value of this stage's own is one, wherever it comes from."""
    text = "ARG V=1\nFROM a\nARG V\nARG T=/m\nENV U=$T/x\nRUN --mount=type=cache,id=$V-$TARGETARCH,target=$U true\n"
    check(text.replace("-$TARGETARCH", ""))
    check(text.replace("ARG V\n", "ARG V TARGETARCH\n"))


@pytest.mark.parametrize(
    "rest",
    [
        "ONBUILD RUN --mount=target=/c true\nFROM first\n",
        "ONBUILD RUN true\nFROM a\nRUN --mount=from=first,target=/m true\n",
    ],
)
def test_triggers_that_buildah_runs_elsewhere(rest: str) -> None:
    """Its cache overlooks what they mount, and the stage that a mount reads would run them."""
    with pytest.raises(Refused, match=r"^Dockerfile:2: buildah 1\.28\.2 would run this ONBUILD"):
        check("FROM a AS first\n" + rest)
    check("FROM a AS first\n" + rest.split("FROM", maxsplit=1)[0])


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("FROM a\nRUN true \\\\\nRUN true\n", 3, "reads on over"),
        ("# escape=`\nFROM a\nRUN true ``\n\nCOPY a b\n", 5, "reads on over"),
        ("FROM a\nONBUILD RUN <<E\nRUN --network=host true\nE\n", 3, "reads an instruction in"),
        ("FROM a\nONBUILD COPY <<E /\nFROM b\nE\n", 3, "reads an instruction in"),
    ],
)
def test_lines_that_buildah_joins_otherwise(text: str, line: int, what: str) -> None:
    """What is one instruction to BuildKit must be one to buildah: no check sees those that buildah alone finds."""
    with pytest.raises(Refused, match=rf"^Dockerfile:{line}: buildah 1\.28\.2 {what} this line"):
        check(text)


def test_lines_that_both_join() -> None:
    """Comments and empty lines inside an instruction, tabs after the escape, and space before it."""
    check("ARG X=1\n\n# c \\\nFROM a\n\x85RUN a \\\t\n# c\n\n  # d \\\n  b \\\\ c\n\t\\\nUSER 1\n")


@pytest.mark.parametrize("run", ["--network=host true", "--security=insecure true", "--mount=type=ssh true"])
def test_triggers_get_no_more_than_the_dockerfile(run: str) -> None:
    """What a base, or an earlier stage, runs in a stage is refused like a RUN of the stage's own."""
    text = f"FROM a AS first\nONBUILD RUN {run}\n"
    selected = dockerfile.read(text, "Dockerfile").select((), target="", platform="linux/amd64")
    dockerfile_checks.check_triggers(selected, {}, secrets=())
    triggers = dockerfile_checks.triggers_of(selected, {"a": [f"RUN {run}"]})
    with pytest.raises(Refused, match=r"^Dockerfile:1: "):
        dockerfile_checks.check_triggers(selected, triggers, secrets=())
    selected = dockerfile.read(text + "FROM first\n", "Dockerfile").select((), target="", platform="linux/amd64")
    with pytest.raises(Refused, match=r"^Dockerfile:3: "):
        dockerfile_checks.check_triggers(selected, {}, secrets=())
