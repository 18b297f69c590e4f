"""The verdict over a plan that was made again: what is left decides how a run ends."""

from __future__ import annotations

import dataclasses
import json

import pytest

from pipelines.charts.model import PlannedChart
from pipelines.declared.finding import ERROR, Finding
from pipelines.declared.state import BLOCKED, BUILD, DIFFERENT, NOTHING, PUBLISHED, TAG, UNKNOWN
from pipelines.errors import Refused, ShipwayError, Transient
from pipelines.images.plan_model import PlannedImage
from pipelines.release import result as release_result
from pipelines.release.model import Plan, Planned, Verdict
from pipelines.release.result import PartResult
from pipelines.release.verdict import verdict
from pipelines.step import results

CHART = PlannedChart(
    name="shop", version="1.0.0", path="charts/shop", state=PUBLISHED, action=NOTHING, reasons=(), digest="",
    parents=(), images=(),
)  # fmt: skip


def image(name: str, state: str = PUBLISHED, action: str = NOTHING, parents: tuple[str, ...] = ()) -> PlannedImage:
    """Return an image in a state."""
    return PlannedImage(
        name=name, path=name, state=state, action=action, reasons=(f"{name}'s reason",), key="", digest="",
        parents=parents, externals=(), shared=(), tags=("main",),
    )  # fmt: skip


def planned(*images: PlannedImage, chart: PlannedChart = CHART) -> Planned:
    """Return a plan of these images and a chart, as the step plan leaves it."""
    plan = Plan(
        repo="shop.git", commit="c" * 40, ref="", platform="", builder="", images=images, charts=(chart,), waves=(),
        findings=(),
    )  # fmt: skip
    return Planned(commit=plan.commit, plan=json.dumps(dataclasses.asdict(plan)))


def parts(text: str) -> dict[str, tuple[str, str]]:
    """Return the result of each part, by name."""
    return {part["name"]: (part["result"], part["why"]) for part in json.loads(text)["parts"]}


def test_what_this_run_built_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """From what was published before."""
    found = verdict(planned=planned(image("a"), image("b")), builds=("a",))
    assert (found.verdict, found.published, found.untagged) == (f"3 of 3 published at {'c' * 40}", 3, 0)
    assert parts(found.summary) == {"a": ("built", ""), "b": ("published", ""), "shop": ("published", "")}
    assert "3 of 3 published" in capsys.readouterr().err


@pytest.mark.parametrize("builds", [("b",), ()], ids=["built by this run", "by one before"])
def test_half_a_release_is_none(builds: tuple[str, ...]) -> None:
    """An image without a tag of its commit fails each run alike, whichever built it."""
    with pytest.raises(ShipwayError) as caught:
        verdict(planned=planned(image("a"), image("b", action=TAG)), builds=builds)
    assert caught.value.seen == "b: it is published and lacks the tags main"
    found = caught.value.result
    assert isinstance(found, Verdict)
    assert (found.verdict, found.untagged) == (f"2 of 3 published at {'c' * 40}", 1)
    assert parts(found.summary)["b"] == ("failed", "it is published and lacks the tags main")


def test_a_chart_is_held_back_with_the_image_that_failed() -> None:
    """And with what it depends on; so it is with one that no run can build, and one that nobody knows."""
    absent = dataclasses.replace(CHART, state="absent", images=("web", "old"), name="site", path="charts/site")
    above = dataclasses.replace(CHART, state="absent", parents=("charts/site",), name="umbrella", path="charts/u")
    plan: Plan = results.typed(Plan, json.loads(planned(image("web", "absent", BUILD), image("old", BLOCKED)).plan))
    plan = dataclasses.replace(plan, charts=(absent, above))
    with pytest.raises(Refused) as caught:
        verdict(
            planned=Planned(plan=json.dumps(dataclasses.asdict(plan))), builds=("web",), releases=("site", "umbrella")
        )
    assert caught.value.seen.splitlines() == [
        "web: it failed, as the log of its pod says",
        "old: blocked, old's reason",
        "site: held back because its values name web, which is not published and old, which is blocked",
        "umbrella: held back because it depends on charts/site, which is held back",
    ]


@pytest.mark.parametrize(
    ("images", "chart", "error", "seen"),
    [
        ((image("a", "absent", BUILD), image("b", "absent", BUILD, ("a",)), image("new", "absent", BUILD)), CHART,
         ShipwayError,
         "a: it failed, as the log of its pod says\nb: not built: its parent a failed\nnew: not built, new's reason"),
        ((image("a", BLOCKED), image("b", UNKNOWN)), CHART, Refused, "a: blocked, a's reason\nb: unknown, b's reason"),
        ((image("a", UNKNOWN),), CHART, Transient, "a: unknown, a's reason"),
        ((image("a", UNKNOWN),), dataclasses.replace(CHART, state="absent", images=("a",)), Transient,
         "a: unknown, a's reason\nshop: held back because its values name a, which is unknown"),
        ((image("a", DIFFERENT),), dataclasses.replace(CHART, state="absent", images=("a",)), Refused,
         "a: different, a's reason\nshop: held back because its values name a, which is different"),
        ((image("a"),), dataclasses.replace(CHART, state="held back", reasons=("why",)), ShipwayError,
         "shop: held back because why"),
        ((), dataclasses.replace(CHART, state=DIFFERENT, reasons=("it differs",)), Refused,
         "shop: different, it differs"),
        ((), dataclasses.replace(CHART, state="absent"), ShipwayError, "shop: it failed, as the log of its pod says"),
    ],
)  # fmt: skip
def test_what_is_left_decides_the_end(
    images: tuple[PlannedImage, ...], chart: PlannedChart, error: type[ShipwayError], seen: str
) -> None:
    """Everything is named with its reason, what the run tried and what it did not.

    Only what nobody knows is asked again.
    """
    with pytest.raises(ShipwayError) as caught:
        verdict(planned=planned(*images, chart=chart), builds=("a", "b"), releases=("shop",))
    assert (type(caught.value), caught.value.seen) == (error, seen)
    assert isinstance(caught.value.result, Verdict)
    assert set(parts(caught.value.result.summary)) == {*(one.name for one in images), "shop"}


def test_a_finding_is_told_with_its_place() -> None:
    """The name of its rule does not say where to look."""
    found = Finding(path="shipway.yaml", line=3, level=ERROR, rule="shipway.yaml", text="no", todo="write yes")
    warning = dataclasses.replace(found, level="warning")
    lines = release_result.table(release_result.of_findings([found, warning])).splitlines()
    assert lines[1:] == ["finding  shipway.yaml:3  blocked  no; write yes"]


def test_a_result_has_a_greatest_size() -> None:
    """Of what there is no room for, lines go first and good parts next.

    What failed stands first and is never left out before.
    """
    line = '"quoted" and \\ and more\n' * 3
    failed = [
        PartResult(kind="image", name=f"f{n}", path="", result="failed", why="", lines=(line,) * 50) for n in range(30)
    ]
    good = [PartResult(kind="image", name=f"g{n}", path="", result="published", why="") for n in range(3000)]
    plan: Plan = results.typed(Plan, json.loads(planned().plan))
    found = release_result.of_release([*good, *failed], plan, "")
    text = results.text_of(found)
    assert len(json.dumps(text)) <= release_result.MOST_BYTES + 1000
    assert [part.name for part in found.parts[:30]] == [part.name for part in failed]
    assert found.parts[0].lines
    assert found.left_out == 3030 - len(found.parts)
    report = release_result.write_report(
        [*failed, *(dataclasses.replace(part, result="built") for part in good[:500])], "built"
    )
    assert len(json.dumps(report)) <= release_result.PART_BYTES + 10_000
    assert [part.result for part in release_result.read_report(report, "image", "built").values()] == [
        "built"
    ] * 500 + ["failed"] * 30


@pytest.mark.parametrize(
    "text",
    ["5", "[]", "[1, 2]", "[[{}], []]", '[["web"], [{"name": "x"}]]', '[["web"], [{"x": 1}]]', "[", '{"a": 1, "b": 2}'],
)
def test_a_report_of_another_form_counts_for_nothing(text: str) -> None:
    """A pod that ran a stranger's files writes it, and must not take the verdict away."""
    assert release_result.read_report(text, "image", "built") == {}


def test_a_report_without_end_is_cut() -> None:
    """Its reader is sure of the bounds that its writer keeps."""
    part = {
        "kind": "x",
        "name": "web",
        "path": "",
        "result": "failed",
        "why": "a\n" * 5000,
        "lines": ["y" * 5000] * 500,
    }
    found = release_result.read_report(json.dumps([[], [part]]), "image", "built")["web"]
    assert found.kind == "image"
    assert len(results.text_of(found)) < 6000
    assert "\n" not in found.why
