"""Which builder, and which buildkitd, builds for a platform."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import Misuse
from pipelines.images.builders import choice
from pipelines.images.builders.buildkit import BuildKit
from pipelines.step.groups import BuilderSettings, TargetSettings

AMD64, ARM64 = "linux/amd64", "linux/arm64"
EACH = f"{AMD64}=unix:///run/here.sock, arm64=tcp://arm.example.com:1234?a=b"


def host(setting: str, platform: str) -> str:
    """Return the buildkitd that a build for a platform asks."""
    made = choice.choose_builder(BuilderSettings(builder="buildkit", buildkit_host=setting), Path(), platform=platform)
    assert isinstance(made, BuildKit)
    return made.host


@pytest.mark.parametrize(
    ("setting", "platform", "expected"),
    [
        ("", ARM64, ""),
        ("tcp://one:1234", ARM64, "tcp://one:1234"),
        ("tcp://one:1234?a=b", "", "tcp://one:1234?a=b"),
        (EACH, AMD64, "unix:///run/here.sock"),
        (EACH, ARM64, "tcp://arm.example.com:1234?a=b"),
        (EACH, "linux/riscv64", ""),
        (EACH, "", "unix:///run/here.sock"),
    ],
)
def test_a_platform_has_the_buildkitd_that_is_named_for_it(setting: str, platform: str, expected: str) -> None:
    """One address is for all; where each has its own, another platform gets a new one, and a version is the first's."""
    assert host(setting, platform) == expected


def test_a_platform_with_a_buildkitd_is_native(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As are those of the setting `native-platforms`: nothing is emulated there."""
    settings = TargetSettings(builder="buildkit", buildkit_host=EACH, native_platforms="linux/s390x")
    program = BuildKit(tmp_path, "")
    monkeypatch.setattr(BuildKit, "emulated", lambda _: frozenset[str]())
    assert choice.target(settings, program, version="1").native == {AMD64, ARM64, "linux/s390x"}


def test_what_is_no_platform_is_refused() -> None:
    """Before anything is built."""
    with pytest.raises(Misuse, match="buildkit-host: not a platform"):
        host("linux/=tcp://one:1234", AMD64)
