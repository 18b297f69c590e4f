"""Chart.lock: which versions it pins, and whether it still belongs to its Chart.yaml.

Helm keeps a digest over the requirements and the pinned versions in the lock (helm.sh/helm/v4: internal/resolver,
HashReq). It says only that something differs; here the dependency is named, with the line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.charts.metadata import dependency, go_json
from pipelines.charts.version_range import Range, loose
from pipelines.declared import yaml_edit
from pipelines.declared.yaml_text import YamlText

LockFault = tuple[int, str]
"""A line of Chart.lock, 0 for Chart.yaml's own, and what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One locked dependency."""

    name: str
    version: str
    repository: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A Chart.lock as it is written."""

    digest: str
    pins: tuple[Pin, ...]
    text: YamlText

    def pin(self, name: str, repository: str, allowed: str) -> Pin | None:
        """Return what is pinned for a dependency; of two pins, under two aliases, the one in its range."""
        found = [pin for pin in self.pins if pin.name == name and pin.repository.rstrip("/") == repository.rstrip("/")]
        return next((pin for pin in found if fits(pin.version, allowed)), found[0] if found else None)


def read(text: YamlText) -> Lock:
    """Return what a Chart.lock says; entries that are no mappings are left out."""
    pins = tuple(Pin(**item, line=text.line("dependencies", number)) for number, item in entries(text))
    return Lock(digest=text.scalar("digest"), pins=pins, text=text)


def entries(text: YamlText) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield index and name, version and repository of each of a file's `dependencies` that is a mapping."""
    listed = text.value.get("dependencies")
    for number, entry in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(entry, dict):
            yield number, {key: text.scalar("dependencies", number, key) for key in ("name", "version", "repository")}


def digest(requirements: Sequence[Any], locked: Sequence[Any]) -> str:
    """Return the digest that Helm keeps in a lock, over the `dependencies` of both files."""
    both = [[dependency(item) for item in requirements], [dependency(item) for item in locked]]
    return "sha256:" + hashlib.sha256(go_json(both)).hexdigest()


def faults(chart: YamlText, lock: Lock) -> list[LockFault]:
    """Return what is out of step between a Chart.yaml and its lock, an empty list if they fit."""
    requirements = chart.value.get("dependencies") or []
    if digest(requirements, lock.text.value.get("dependencies") or []) == lock.digest:
        return []
    return misfits(chart, lock) or [
        (lock.text.line("digest"), "the dependencies changed since it was written (a range, condition, tag or alias)")
    ]


def misfits(chart: YamlText, lock: Lock) -> list[LockFault]:
    """Return the dependencies whose pin is missing, does not fit, or is one too many."""
    requirements = chart.value.get("dependencies") or []
    found: list[LockFault] = []
    required = set()
    for number, _ in enumerate(requirements):
        name, version, repository = (
            chart.scalar("dependencies", number, key) for key in ("name", "version", "repository")
        )
        required.add((name, repository.rstrip("/")))
        pin = lock.pin(name, repository, version)
        if pin is None:
            other = next((pin for pin in lock.pins if pin.name == name), None)
            text = f"{name} is locked from {other.repository}, not {repository}" if other else f"{name} is not locked"
            found.append((other.line if other else 1, text))
        elif not fits(pin.version, version):
            found.append((pin.line, f"{name} is locked at {pin.version}, which {version!r} does not allow"))
    found += [
        (pin.line, f"{pin.name} is locked and no dependency any more")
        for pin in lock.pins
        if (pin.name, pin.repository.rstrip("/")) not in required
    ]
    return found


def fits(version: str, allowed: str) -> bool:
    """Whether a version lies in a range; no version lies in an invalid range."""
    parsed, span = loose(version), Range.parse(allowed)
    return parsed is not None and span is not None and span.holds(parsed)


def moved(chart: YamlText, lock: Lock, versions: Mapping[str, str], ranges: Mapping[str, str]) -> str:
    """Return the lock's text with some pins at new versions and the digest that goes with them.

    `versions` maps a dependency's name to its version, `ranges` to the range that Chart.yaml allows from now on. The
    time in the lock stays: it says when ranges were resolved.
    """
    locked = [dict(item) for item in lock.text.value.get("dependencies") or []]
    changes: dict[tuple[str | int, ...], str] = {}
    for number, item in enumerate(locked):
        if (name := str(item.get("name"))) in versions and item.get("version") != versions[name]:
            item["version"] = versions[name]
            changes["dependencies", number, "version"] = versions[name]
    requirements = [
        {**item, "version": ranges[item["name"]]} if item.get("name") in ranges else item
        for item in chart.value.get("dependencies") or []
    ]
    changes["digest",] = digest(requirements, locked)
    return yaml_edit.replaced(lock.text, changes)
