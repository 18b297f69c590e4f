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
