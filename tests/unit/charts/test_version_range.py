"""Ranges of versions read as Helm reads them."""

from __future__ import annotations

import pytest

from pipelines.charts.chart_lock import fits
from pipelines.charts.version_range import loose


# What github.com/Masterminds/semver says of each, by its README and its tests.
@pytest.mark.parametrize(
    ("allowed", "inside", "outside"),
    [
        ("", "0.0.1 9.9.9", "1.0.0-rc1"),
        ("*", "0.0.1 9.9.9", "1.0.0-rc1"),
        ("1.2.3", "1.2.3 v1.2.3 1.2.3+b", "1.2.4 1.2.3-rc1"),
        ("1.2", "1.2.0 1.2.9", "1.3.0 1.1.9"),
        ("1", "1.0.0 1.9.0", "2.0.0"),
        ("1.x", "1.0.0 1.9.9", "2.0.0 0.9.0"),
        ("^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0 1.3.0-rc1"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3.0 1.0.0"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0.0", "0.0.9", "0.1.0"),
        ("^0", "0.9.0", "1.0.0"),
        ("~1.2.3", "1.2.3 1.2.9", "1.3.0"),
        ("~1.2", "1.2.0 1.2.9", "1.3.0"),
        ("~1", "1.0.0 1.9.0", "2.0.0"),
        (">1.2", "1.3.0", "1.2.9 1.2.0"),
        (">1.2.3", "1.2.4", "1.2.3"),
        ("<=1.2", "1.2.9", "1.3.0"),
        ("<=1.2.3", "1.2.3", "1.2.4"),
        ("<1.2", "1.1.9", "1.2.0"),
        ("!=1.2.3", "1.2.4", "1.2.3"),
        (">=1.0.0 <2.0.0", "1.5.0", "2.0.0"),
        (">= 1.0.0, < 2.0.0", "1.5.0", "2.0.0"),
        ("1.2 - 1.4.5", "1.2.0 1.4.5", "1.4.6 1.1.0"),
        ("^1.0.0 || ^3.0.0", "1.1.0 3.1.0", "2.0.0"),
        ("^1.2.3-0", "1.3.0-rc1 1.2.3", "2.0.0"),
        (">=1.0.0-rc1", "1.0.0-rc1 1.0.0", "1.0.0-alpha"),
        ("latest", "", "1.0.0"),
        ("1.0.0; rm", "", "1.0.0"),
    ],
)
def test_ranges_mean_what_helm_takes_them_for(allowed: str, inside: str, outside: str) -> None:
    """A range that is read otherwise than by Helm would let a lock pass that Helm refuses, or refuse a good one."""
    assert {version: fits(version, allowed) for version in f"{inside} {outside}".split()} == {
        **dict.fromkeys(inside.split(), True),
        **dict.fromkeys(outside.split(), False),
    }


def test_a_version_of_many_digits_is_none() -> None:
    """Python reads no number of more than 4300 digits; Helm, none above 18446744073709551615."""
    assert loose("9" * 5000) is None
    assert loose("1.2.3-" + "0" * 1000) is None
