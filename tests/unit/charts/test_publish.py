"""What chart-publish believes and shows of what chart-check reports."""

from __future__ import annotations

import pytest

from pipelines.charts.model import ChartCheckout, ChartFinding, ChartRelease, ChartReport
from pipelines.declared.finding import ERROR, WARNING
from pipelines.errors import Refused
from tests.steps import step

chart_publish = step("chart-publish", ChartRelease)


def finding(text: str, level: str = ERROR) -> ChartFinding:
    return ChartFinding(chart="web", path="web/values.yaml", line=1, level=level, rule="values", text=text)


def checkout(*findings: ChartFinding) -> ChartCheckout:
    """Return a commit without charts."""
    commit = "0" * 40
    return ChartCheckout(
        repo="https://git.example/shop",
        revision="main",
        ref="refs/heads/main",
        commit=commit,
        tree=commit,
        time=0,
        charts=(),
        findings=findings,
    )


def refused(*reported: ChartFinding, own: tuple[ChartFinding, ...] = (), errors: int) -> Refused:
    """Return how a release is refused before the registry is asked for anything."""
    report = ChartReport(checked=(), findings=reported, errors=errors, warnings=0)
    with pytest.raises(Refused) as caught:
        chart_publish(checkout=checkout(*own), report=report, registry="registry.invalid")
    return caught.value


def test_what_a_report_says_is_shown_on_one_line_each_and_not_without_end() -> None:
    """A template of a stranger's may have written it: it forges no line of the log, and fills none."""
    error = refused(finding("bad\nregistry.example/web is published"), finding("x" * 10_000), errors=2)
    lines = error.seen.split("\n        ")
    assert lines[0] == "web/values.yaml:1: error: bad registry.example/web is published [values]"
    assert len(lines) == 2
    assert len(error.seen) < 1000
    assert len(refused(*(finding(str(number)) for number in range(5000)), errors=1).seen) < 10_000


def test_a_report_hides_nothing_that_the_checkout_says() -> None:
    """An error of chart-clone refuses the release, whatever chart-check reports, and is shown before the rest."""
    error = refused(finding("theirs"), own=(finding("ours"), finding("a warning", WARNING)), errors=0)
    assert error.what == "the charts have 1 error"
    assert [line.split()[2] for line in error.seen.split("\n        ")] == ["ours", "theirs"]


@pytest.mark.parametrize("collections", ["", "https://git.example/other", "https://git.example/shop.git, x.org:y"])
def test_errors_that_a_report_hides_may_be_anybodys(collections: str) -> None:
    """Then nothing is released, though the repository's releases keep going."""
    for keep_going in (True, False):
        with pytest.raises(Refused, match="the charts have 1 error"):
            chart_publish(
                checkout=checkout(),
                report=ChartReport(checked=(), findings=(), errors=1, warnings=0),
                registry="registry.invalid",
                keep_going=keep_going,
                chart_collections=collections,
            )
