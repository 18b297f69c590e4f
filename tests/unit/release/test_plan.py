"""A plan that found nothing to do, handed on instead of made again."""

from __future__ import annotations

import dataclasses
import json
import random
import string
from typing import Any

import pytest

from pipelines.errors import Misconfigured, Misuse
from pipelines.images.plan_model import PlannedImage
from pipelines.release import plan as release_plan
from pipelines.release.model import Plan, Planned
from tests.steps import step

plan = step("plan", Planned)

IMAGE = PlannedImage(
    name="shop", path=".", state="published", action="nothing", reasons=(), key="k", digest="sha256:d", parents=(),
    externals=(), shared=(), tags=(),
)  # fmt: skip
FOUND = Plan(
    repo="shop.git", commit="c" * 40, ref="refs/heads/main", platform="linux/amd64", builder="buildah 1.0",
    images=(IMAGE,), charts=(), waves=(), findings=(),
)  # fmt: skip


def text(found: Plan) -> str:
    """Write a plan as the step does."""
    return json.dumps(dataclasses.asdict(found), separators=(",", ":"))


def test_what_was_settled_is_not_looked_for_again() -> None:
    """No repository is asked, nor a registry: there are none. A second hand-over says the same."""
    asked: dict[str, Any] = {"repo": "https://nowhere.invalid/shop.git", "now": 5, "builder_version": "1.0"}
    found = plan(**asked, settled=release_plan.pack(text(FOUND)))
    assert (found.commit, found.now, found.builder_version, found.to_do, found.plan) == (
        "c" * 40,
        5,
        "1.0",
        0,
        text(FOUND),
    )
    assert plan(**asked, settled=found.settled) == found
    with pytest.raises(Misconfigured, match="no registry"):
        plan(**asked, settled="")


@pytest.mark.parametrize(
    "image",
    [
        dataclasses.replace(IMAGE, action="build", state="absent"),
        dataclasses.replace(IMAGE, state="unknown"),
        dataclasses.replace(IMAGE, state="blocked"),
    ],
)
def test_whatever_is_open_is_looked_at_again(image: PlannedImage) -> None:
    """Something to do, a registry that gave no answer, and what is blocked leave nothing to hand over."""
    handed = release_plan.pack(text(dataclasses.replace(FOUND, images=(image,))))
    assert plan(repo="shop.git", settled=handed).settled == ""


def test_only_what_is_short_is_packed() -> None:
    """What no argument could carry is not; what is no packed text is refused."""
    chance = random.Random(1)  # text that no packing shortens much
    noise = "".join(chance.choice(string.ascii_letters) for _ in range(2 * release_plan.MOST_CHARACTERS))
    assert release_plan.pack(noise) == "" != release_plan.pack(noise[:1000])
    assert release_plan.unpack(release_plan.pack("é" * 10_000)) == "é" * 10_000
    for wrong in ("x", "====", "e30=", "ü"):
        with pytest.raises(Misuse, match="not a packed text"):
            release_plan.unpack(wrong)
