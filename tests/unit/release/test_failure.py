"""What failed is told in the words of the step that failed, in one line, and of which step they are."""

from __future__ import annotations

import pytest

from pipelines.errors import Misconfigured, ShipwayError
from pipelines.release import failure
from pipelines.release.failure import CHARTS, IN_LOG, TAGS, UNSAID
from pipelines.release.result import CHART, FAILED, IMAGE, SKIPPED, UNTRIED, PartResult
from pipelines.tools.registry import errors

DENIED = b'{"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}'
QUOTA = b'{"errors": [{"code": "DENIED", "message": "adding 1 MiB, which will exceed the upper limit"}]}'

MADE = "cc a.c\na.c:1: no\nexit code: 2"
NO = "r.example answered 403: DENIED: requested access to the resource is denied"


def log(status: int, data: bytes, what: str = "cannot push r.example/web") -> str:
    """Return the log of a step that a registry refused."""
    error = errors.refusal(
        what, status=status, data=data, registry="r.example", repository="team/web", login="as ci", file="config.json"
    )
    return f"web: 3 layers\nshipway: {error}\n"


@pytest.mark.parametrize(
    ("step", "text", "told"),
    [
        ("push", log(403, DENIED), f"its push was refused: {NO}; asked as ci"),
        (
            "push",
            log(403, QUOTA),
            "its push was refused: r.example answered 403: DENIED: adding 1 MiB, which will exceed the upper limit",
        ),
        ("push", log(507, b""), "its push was refused: r.example answered 507"),
        ("push", log(500, b"oops"), "its push failed: cannot push r.example/web: r.example answered 500: oops"),
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
            "build",
            f"shipway: {ShipwayError('the build failed at web/Dockerfile:3: RUN make', seen=MADE)}",
            "its build failed at web/Dockerfile:3: RUN make: a.c:1: no exit code: 2",
        ),
        (
            "build",
            f"shipway: the build failed at a/Dockerfile:3: RUN {'x' * 200}\n  seen: exit code: 2\n",
            f"its build failed at a/Dockerfile:3: RUN {'x' * 39}…: exit code: 2",
        ),
        (
            "deploy-await",
            "shipway: the step environments failed: cannot push main\n  seen: remote: protected\n",
            "the step environments failed: cannot push main: remote: protected",
        ),
        ("deploy-await", "shipway: 1 of 1 do not run\n", "its wait for Argo CD failed: 1 of 1 do not run"),
        ("again", "shipway: no\n", "its plan failed: no"),
        (
            "check",
            f"shipway: {Misconfigured('the charts have 2 errors', seen='a:1: error' + chr(10) + 'b:2: error')}",
            "its check failed: the charts have 2 errors: a:1: error b:2: error",
        ),
        ("build", "Killed\n", ""),
        ("push", "", ""),
    ],
)
def test_a_log_says_which_step_failed(step: str, text: str, told: str) -> None:
    """A registry's refusal of a push is told as one; a log without an error says nothing."""
    assert failure.in_a_line(failure.told(step, text)) == told


@pytest.mark.parametrize(
    ("code", "ended", "told"),
    [
        (137, "OOMKilled (exit code 137)", "its build took more memory than it may (OOMKilled); raise resources.x"),
        (137, "Error (exit code 137)",
         "its build was killed (exit code 137), as where memory is short; see resources.x"),
        (None, "Pod was active on the node longer than the specified deadline",
         "its pod failed: Pod was active on the node longer than the specified deadline"),
        (None, "The node was low on resource: memory.", "its pod failed: The node was low on resource: memory."),
        (None, 'ImagePullBackOff: Back-off pulling image "x"',
         'its pod failed: ImagePullBackOff: Back-off pulling image "x"'),
        (1, "build: Error (exit code 1): ", "its build failed: no"),
        (None, "", "its build failed: no"),
    ],
)  # fmt: skip
def test_what_ended_a_container_is_told_before_its_log(code: int | None, ended: str, told: str) -> None:
    """The log of what was killed ends with something else; of memory it is said which value bounds it."""
    assert failure.told("build", "shipway: no\n", code=code, ended=ended, memory="resources.x") == told
    init = "init: Error (exit code 64): no Secret shipway-git"
    assert failure.told("build", "", code=64, ended=init) == f"its pod failed: {init}"
    assert failure.told("build", "", code=64, ended="build: Error (exit code 64): ") == ""


def test_words_are_bounded_and_visible() -> None:
    """A registry may answer whatever it wants."""
    told = failure.in_a_line(failure.told("push", log(403, b"\x1b[2J\xe2\x80\xae" + b"<b>x</b> " * 9000)))
    assert told.startswith("its push was refused: r.example answered 403: [2J x x")
    assert len(told) <= 300
    forged = failure.in_a_line(failure.told("push", "shipway: \x1b[31mred\u202e\n  seen: " + "y" * 9000))
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
    lost = failure.explained(
        (part(IMAGE, "web", UNTRIED, UNSAID), parts[1]), {"web": "its build x", TAGS: "its retag y"}
    )
    assert [(one.result, one.why) for one in lost] == [
        (FAILED, "its build x"),
        (FAILED, "it is published and lacks the tags main; its retag y"),
    ]
    assert [one.why for one in found] == [
        "its push was refused: no",
        "it is published and lacks the tags main; its push failed: x",
        IN_LOG,
        "its parent web failed",
        "its check failed: z",
    ]


def test_each_chart_has_its_own_faults() -> None:
    """Several charts fail in one step, whose error lists the faults of all; a folder may begin like another."""
    seen = (
        "the charts have 3 errors: a/values.yaml:1: error: x\n        ab/Chart.yaml:2: error: y\n        a/z: error: z"
    )
    words = {
        CHARTS: failure.told("chart-publish", f"shipway: 2 of 3 charts are not released\n  seen: {seen}\n", code=3)
    }
    parts = [
        PartResult(kind=CHART, name=name, path=name, result=FAILED, why=IN_LOG, lines=()) for name in ("a", "ab", "c")
    ]
    assert [one.why for one in failure.explained(parts, words)] == [
        "its chart-publish failed: a/values.yaml:1: error: x; a/z: error: z",
        "its chart-publish failed: ab/Chart.yaml:2: error: y",
        f"its chart-publish failed: 2 of 3 charts are not released: {' '.join(seen.split())}",
    ]
