"""The verdict over a plan that was made again: what is left decides how a run ends."""

from __future__ import annotations

import dataclasses
import json

import pytest

from pipelines.errors import Refused, ShipwayError, Transient
from pipelines.model.plan import (
    BLOCKED,
    BUILD,
    DIFFERENT,
    NOTHING,
    PUBLISHED,
    TAG,
    UNKNOWN,
    Plan,
    Planned,
    PlannedChart,
    PlannedImage,
)
from pipelines.steps.verdict import verdict

CHART = PlannedChart(
    name="shop", version="1.0.0", path="charts/shop", state=PUBLISHED, action=NOTHING, reasons=(), digest="", parents=(),
    images=(),
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
    return Planned(
        commit=plan.commit, ref="", now=0, wave_1=(), wave_2=(), wave_3=(), wave_4=(), wave_5=(), wave_6=(), wave_7=(),
        wave_8=(), retag=(), untagged=0, charts=0, to_do=0, blocked=0, unknown=0, plan=json.dumps(dataclasses.asdict(plan)),
    )  # fmt: skip


def test_tags_alone_fail_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """What is published is counted; an image without a tag is told."""
    found = verdict(planned=planned(image("a"), image("b", action=TAG)))
    assert (found.verdict, found.published, found.untagged) == (f"3 of 3 published at {'c' * 40}", 3, 1)
    assert "b lacks main" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("images", "chart", "error", "seen"),
    [
        ((image("a", "absent", BUILD), image("b", "absent", BUILD, ("a",))), CHART, ShipwayError,
         "a: not built, a's reason\nb: skipped because parent a failed"),
        ((image("a", BLOCKED), image("b", UNKNOWN)), CHART, Refused, "a: blocked, a's reason\nb: unknown, b's reason"),
        ((image("a", UNKNOWN),), CHART, Transient, "a: unknown, a's reason"),
        ((), dataclasses.replace(CHART, state=DIFFERENT, reasons=("it differs",)), Refused, "shop: different, it differs"),
    ],
)  # fmt: skip
def test_what_is_left_decides_the_end(
    images: tuple[PlannedImage, ...], chart: PlannedChart, error: type[ShipwayError], seen: str
) -> None:
    """Everything is named with its reason; only what nobody knows is asked again."""
    with pytest.raises(ShipwayError) as caught:
        verdict(planned=planned(*images, chart=chart))
    assert (type(caught.value), caught.value.seen) == (error, seen)
