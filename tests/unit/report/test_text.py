"""What a report says: nothing from outside breaks out of it, and nothing that looks like a secret gets into it."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.declared.state import BLOCKED, DIFFERENT, HELD
from pipelines.release.failure import IN_LOG
from pipelines.release.result import BUILT, FAILED, FINDING, IMAGE, SKIPPED, PartResult, ReleaseResult
from pipelines.report import text as report_text
from pipelines.report.model import Failure
from pipelines.report.text import masked

COMMIT = "c" * 40


def part(name: str, result: str = BUILT, why: str = "", lines: tuple[str, ...] = ()) -> PartResult:
    """Return the result of an image."""
    return PartResult(kind=IMAGE, name=name, path=name, result=result, why=why, lines=lines)


def result(*parts: PartResult, left_out: int = 0) -> ReleaseResult:
    """Return the result of a run with these parts."""
    good = all(one.is_good for one in parts)
    return ReleaseResult(
        repo="r", commit=COMMIT, ref="", is_good=good, verdict="1 of 2 published", parts=parts, left_out=left_out
    )


def comment(found: ReleaseResult | None, *failures: Failure) -> str:
    """Return the comment of a failed run."""
    link = "https://argo.example.com/workflows/ci/run-1"
    return report_text.comment(state="failure", reason="", commit=COMMIT, link=link, result=found, failures=failures)


def outside_code(text: str) -> str:
    """Return what a forge reads as Markdown: all but fenced blocks, by CommonMark's rule, and code in lines."""
    shown, fence = [], ""
    for line in text.split("\n"):
        ticks = re.fullmatch(r" {0,3}(`{3,})(\w*)[ \t]*", line)
        if fence:
            if ticks and len(ticks[1]) >= len(fence) and not ticks[2]:
                fence = ""
        elif ticks:
            fence = ticks[1]
        else:
            shown.append(re.sub(r"`[^`]*`", "", line))
    assert not fence, "a fence is left open"
    return "\n".join(shown)


AWKWARD = st.lists(
    st.sampled_from(
        [*"`~|\\<>@#*_[]()!\n\r\t \x00\x1b", "```", "@team", "[x](http://e)", "\u202e", "<b>", "```\n", "é"]
    ),
    max_size=12,
).map("".join)


@given(name=AWKWARD, why=AWKWARD, lines=st.lists(AWKWARD, max_size=4), message=AWKWARD)
def test_nothing_from_outside_is_read_as_markdown(name: str, why: str, lines: list[str], message: str) -> None:
    """No mention, link, image, HTML, heading or cell: what remains outside of code is ours."""
    found = result(part(name, FAILED, why, tuple(lines)), part("web"))
    read = outside_code(comment(found, Failure(title=name, message=message, lines=())))
    ours = read.replace("[the run](https://argo.example.com/workflows/ci/run-1)", "").replace("**Shipway: failed**", "")
    assert not re.search(r"[@<>\[\]*#\x00\x1b\u202e~_]", ours)
    assert all(len(re.findall(r"(?<!\\)\|", line)) in {0, 5} for line in ours.split("\n"))


def test_a_comment_is_bounded() -> None:
    many = tuple(part(f"image-{number}", FAILED, "x " * 500, ("y " * 5000,) * 99) for number in range(200))
    text = comment(result(*many, left_out=7))
    assert 40_000 < len(text) < 61_000
    outside_code(text)
    assert "and 167 more, which are to be seen in the run" in text


def test_a_failed_run_is_told_in_a_line() -> None:
    found = result(*(part(f"image-{n}", FAILED) for n in range(6)))
    assert report_text.headline(found, []) == "image-0, image-1, image-2, image-3: failed; and 2 more"
    wave = Failure(title="wave-1: team/web", message="", lines=(), told="its build failed: no")
    assert report_text.headline(None, [wave]) == "wave-1: team/web: its build failed: no"
    plan, deploy = (Failure(title=name, message="", lines=()) for name in ("plan", "deploy"))
    assert report_text.headline(None, [plan]) == "plan failed"
    assert (
        report_text.headline(None, [dataclasses.replace(plan, told="its start failed: no")])
        == "plan: its start failed: no"
    )
    found = result(part("web", FAILED, "its push failed: no"), part("child", SKIPPED, "its parent web failed"))
    assert report_text.headline(found, [deploy]) == "web: its push failed: no; and 2 more"
    found = result(part("web", FAILED), part("child", SKIPPED, "its parent web failed"))
    assert report_text.headline(found, []) == "web: failed; and 1 more"
    assert report_text.line("a\x1b[31m\n@b token=abcdefgh") == "a @b token=***"


def test_a_release_is_told_in_whole_words() -> None:
    """Of a check, whose words a stranger may have chosen, a state; nowhere the name of a rule alone."""
    finding = PartResult(kind=FINDING, name="owner", path="web/Dockerfile:1", result=BLOCKED, why="it is another's")
    for bad, ours, check in (
        (part("web", DIFFERENT, "0.1.0 is published"), "web: different, 0.1.0 is published", "web: different"),
        (part("web", HELD, "its values name api"), "web: held back because its values name api", "web: held back"),
        (part("web", FAILED, IN_LOG), "web: failed", "web: failed"),
        (finding, "web/Dockerfile:1: it is another's", "web/Dockerfile:1: blocked"),
    ):
        assert report_text.headline(result(bad), [], is_ours=True) == ours
        assert report_text.headline(result(bad), []) == check


@pytest.mark.parametrize(
    "text",
    [
        "ghp_0123456789abcdefghij0123456789abcdef",
        "github_pat_11ABCDEFG0123456789_abcdefghijk",
        "glpat-0123456789abcdefghij",
        "AKIAIOSFODNN7EXAMPLE",
        "https://ada:hunter2@git.example.com/shop",
        "Authorization: Basic YWRhOmh1bnRlcjI=",
        "authorization: Bearer hunter2-hunter2",
        "--password=hunter2",
        'DB_PASSWORD="hunter2"',
        "api_key: hunter2",
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxMjMifQ.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nhunter2 and then cut",
        "hunter2" * 9 + "/==",
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    shown = comment(None, Failure(title="build", message="", lines=tuple(f"before\n{text}\nafter".split("\n"))))
    assert "***" in shown
    for secret in ("hunter2", "0123456789", "IOSFODNN7", "YWRhOmh1bnRlcjI", "eyJpc3MiOiIxMjMifQ"):
        assert secret not in shown


@pytest.mark.parametrize(
    "text", ["token expired", "COPY secrets /secrets", "sha256:" + "0" * 64, "web: not built: its parent base failed"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text


def test_a_fence_is_longer_than_any_in_it() -> None:
    assert report_text.fenced(["````", "x"]) == "`````text\n````\nx\n`````"


def test_the_impact_stands_in_the_comment_where_there_is_room() -> None:
    """Whole, or its first line with where to see the rest; nothing where there is none."""
    assert report_text.impact("", room=1000) == ""
    assert report_text.impact("2 changed.\n\nmore\n", room=1000).endswith("2 changed.\n\nmore")
    short = report_text.impact("2 changed.\n" + "x" * 500, room=100)
    assert "`shipway impact` shows it." in short


def test_a_page_of_an_untrusted_pod_is_markdown_only_as_long_as_it_is_tame() -> None:
    page = (
        "**1 application of 2 changed**, in dev.\n\n### `dev/shop`\n<details>\n```diff\n-@team <a>\n```\n"
        "</details>\n- `a`"
    )
    assert report_text.impact(page, room=5000) == f"### In the environments\n\n{page}"
    wild = ("hello @team", "[x](y)", "![x](y)", "<img src=x>", "http://e.example", "```\nopen", "a\n    @x", "``a` @b")
    for text in wild:
        shown = report_text.impact(f"{page}\n{text}", room=5000)
        assert shown.startswith("### In the environments\n\n````text\n**1 application")
