"""Charts at new versions: what changes in their files, and in those of the charts that depend on them.

Only scalars are replaced, so comments and layout stay as people wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import semver

from pipelines.charts import chart_lock, chart_yaml
from pipelines.charts.chart_lock import fits
from pipelines.charts.chart_yaml import Chart
from pipelines.declared import yaml_edit, yaml_text

BUMPS = ("patch", "minor", "major")
_SINGLE = re.compile(r"(?P<operator>\^|~>?|>=|=)?(?P<blank>\s*)v?[0-9]+\.[0-9]+\.[0-9]+[^\s,|]*")


def next_version(version: str, taken: Collection[str], bump: str = "patch") -> str:
    """Return the first free version above one, by one of BUMPS; a patch of a pre-release counts up its last number.

    `taken` are tags.
    """
    found = semver.Version.parse(version).replace(build=None)
    step = {"patch": found.bump_patch, "minor": found.bump_minor, "major": found.bump_major}[bump]
    found = _counted(found) if found.prerelease and bump == "patch" else step()
    while chart_yaml.tag(str(found)) in taken:
        found = _counted(found) if found.prerelease else found.bump_patch()
    return str(found)


def moved(
    tree: Mapping[str, Chart], versions: Mapping[str, str], *, own: str, app_version: str = ""
) -> dict[str, bytes]:
    """Return the content of every file that changes when the charts of some folders get new versions, by path.

    Ranges of dependants that would shut the new version out follow it, and their locks; so do those that did not follow
    an earlier change. `own` is the address that charts are published under. Raises ShipwayError for a text that cannot
    be changed in place.
    """
    found: dict[str, bytes] = {}
    for chart in tree.values():
        changes: dict[tuple[str | int, ...], str] = {}
        if (new := versions.get(chart.path, chart.version)) != chart.version:
            changes["version",] = new
        if app_version and chart.app_version:
            changes["appVersion",] = app_version
        pins: dict[int, str] = {}
        ranges: dict[int, str] = {}
        for item in chart.dependencies:
            parent = chart_yaml.parent_of(chart, item, tree, own=own)
            if parent is None:
                continue
            new = pins[item.number] = versions.get(parent.path, parent.version)
            if not fits(new, item.version):
                ranges[item.number] = changes["dependencies", item.number, "version"] = _following(item.version, new)
        text = yaml_edit.replaced(chart.text, changes)
        if app_version and not chart.app_version:
            text = text.rstrip("\n") + f'\nappVersion: "{app_version}"\n'
        if text != chart.text.mark + chart.text.text:
            found[chart.file] = text.encode()
        if chart.lock and pins:
            found |= _lock(chart, text, pins, ranges)
    return found


def _counted(version: semver.Version) -> semver.Version:
    """Return the next pre-release: the last number counted up, or one begun where that would not be higher."""
    label = version.prerelease or ""
    if last := re.fullmatch(r"(.*?)([0-9]{1,18})([^0-9]*)", label):
        counted = version.replace(prerelease=f"{last[1]}{int(last[2]) + 1}{last[3]}")
        if counted > version:
            return counted
    return version.replace(prerelease=f"{label}.1")


def _lock(chart: Chart, text: str, pins: Mapping[int, str], ranges: Mapping[int, str]) -> dict[str, bytes]:
    """Return the lock at its new content, or nothing where it is as it was, or out of step for another reason."""
    assert chart.lock is not None
    lock = chart_lock.moved(chart.text, chart.lock, pins, ranges)
    after = chart_lock.read(yaml_text.read(lock.encode(), chart.lock_file))
    # A lock whose other dependencies do not fit must not get a digest that says so: it is Helm's to resolve.
    if chart_lock.misfits(yaml_text.read(text.encode(), chart.file), after):
        return {}
    return {chart.lock_file: lock.encode()} if lock != chart.lock.text.mark + chart.lock.text.text else {}


def _following(allowed: str, version: str) -> str:
    """Return the range that allows a version in the manner of an old one: ~1.0.0 becomes ~1.1.0, and 1.x ^2.0.0."""
    match = _SINGLE.fullmatch(allowed.strip())
    if match:
        return f"{match['operator'] or ''}{match['blank']}{version}"
    return f"^{version}"
