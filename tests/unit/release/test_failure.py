"""What failed is told in the words of the step that failed, in one line, and of which step they are."""

from __future__ import annotations

import pytest

from pipelines.errors import Misconfigured
from pipelines.release import failure
from pipelines.release.failure import IN_LOG
from pipelines.release.result import CHART, FAILED, IMAGE, SKIPPED, PartResult
from pipelines.tools.registry import errors

DENIED = b'{"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}'
QUOTA = b'{"errors": [{"code": "DENIED", "message": "adding 1 MiB, which will exceed the upper limit"}]}'

NO = "r.example answered 403: DENIED: requested access to the resource is denied"


def log(status: int, data: bytes, what: str = "cannot push r.example/web") -> str:
    """Return the log of a step that a registry refused."""
    error = errors.refusal(
        what, status=status, data=data, registry="r.example", repository="team/web", login="as ci", file="config.json"
    )
    return f"web: 3 layers\nshipway: {error}\n"


@pytest.mark.parametrize(
    ("container", "text", "told"),
    [
        ("main", log(403, DENIED), f"its push was refused: {NO}; asked as ci"),
        (
            "main",
            log(403, QUOTA),
            "its push was refused: r.example answered 403: DENIED: adding 1 MiB, which will exceed the upper limit",
        ),
        ("push", log(507, b""), "its push was refused: r.example answered 507"),
        ("main", log(500, b"oops"), "its push failed: cannot push r.example/web: r.example answered 500: oops"),
        (
            "clone",
            log(403, DENIED, "cannot pull r.example/base"),
            f"its clone failed: cannot pull r.example/base: not allowed: {NO}; asked as ci",
        ),
        (
            "build",
            "shipway: an earlier attempt\n  seen: x\nRUN false\nshipway: web/Dockerfile:3: RUN false failed\n",
            "its build failed: web/Dockerfile:3: RUN false failed",
        ),
        (
            "check",
            f"shipway: {Misconfigured('the charts have 2 errors', seen='a:1: error' + chr(10) + 'b:2: error')}",
            "its check failed: the charts have 2 errors: a:1: error b:2: error",
        ),
        ("build", "Killed\n", ""),
        ("main", "", ""),
    ],
)
def test_a_log_says_which_step_failed(container: str, text: str, told: str) -> None:
    """A registry's refusal of a push is told as one; a log without an error says nothing."""
    assert failure.told(container, text) == told


def test_words_are_bounded_and_visible() -> None:
    """A registry may answer whatever it wants."""
    told = failure.told("main", log(403, b"\x1b[2J\xe2\x80\xae" + b"<b>x</b> " * 9000))
    assert told.startswith("its push was refused: r.example answered 403: [2J x x")
    assert len(told) <= 300
    forged = failure.told("main", "shipway: \x1b[31mred\u202e\n  seen: " + "y" * 9000)
    assert forged.startswith("its push failed: \\x1b[31mred\\u202e: yyy")
    assert len(forged) == 300


def test_only_what_failed_is_explained() -> None:
    """By the image's name, or as the charts; what a verdict knows itself stays."""

    def part(kind: str, name: str, result: str, why: str) -> PartResult:
        return PartResult(kind=kind, name=name, path=name, result=result, why=why)

    parts = (
        part(IMAGE, "web", FAILED, IN_LOG),
        part(IMAGE, "api", FAILED, "it is published and lacks the tags main"),
        part(IMAGE, "gone", FAILED, IN_LOG),
        part(IMAGE, "child", SKIPPED, "its parent web failed"),
        part(CHART, "web", FAILED, IN_LOG),
    )
    found = failure.explained(
        parts,
        {
            "web": "its push was refused: no",
            "api": "its push failed: x",
            "child": "y",
            "gone": "",
            "": "its check failed: z",
        },
    )
    assert [one.why for one in found] == [
        "its push was refused: no",
        "it is published and lacks the tags main; its push failed: x",
        IN_LOG,
        "its parent web failed",
        "its check failed: z",
    ]
