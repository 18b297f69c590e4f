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
    number: int
    """Its index in the list, from 0."""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A Chart.lock as it is written."""

    digest: str
    pins: tuple[Pin, ...]
    text: YamlText

    def pins_of(self, chart: YamlText) -> dict[int, Pin]:
        """Return what is pinned for each dependency of a Chart.yaml, by its index; none for those that are not locked.

        Helm writes one pin for each dependency, in their order: a chart may be there twice, under two aliases, or from
        two registries. Where people changed the order, the pin in the range counts.
        """
        found: dict[int, Pin] = {}
        free = list(self.pins)
        for number, item in entries(chart):
            mine = [pin for pin in free if (pin.name, pin.repository.rstrip("/")) == _identity(item)]
            if mine:
                found[number] = max(mine, key=lambda pin: (fits(pin.version, item["version"]), pin.number == number))
                free.remove(found[number])
        return found


def read(text: YamlText) -> Lock:
    """Return what a Chart.lock says; entries that are no mappings are left out."""
    pins = tuple(Pin(**item, line=text.line("dependencies", number), number=number) for number, item in entries(text))
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
    pins = lock.pins_of(chart)
    found: list[LockFault] = []
    free = [pin for pin in lock.pins if pin not in pins.values()]
    for number, item in entries(chart):
        name, version, repository = item["name"], item["version"], item["repository"]
        if number not in pins:
            other = next((pin for pin in free if pin.name == name), None)
            text = f"{name} is locked from {other.repository}, not {repository}" if other else f"{name} is not locked"
            found.append((other.line if other else 1, text))
            free = [pin for pin in free if pin is not other]
        elif repository and not fits(pins[number].version, version):  # of what lies in charts/, Helm locks the range
            line, locked = pins[number].line, pins[number].version
            found.append((line, f"{name} is locked at {locked}, which {version!r} does not allow"))
    return found + [(pin.line, f"{pin.name} is locked and no dependency any more") for pin in free]


def fits(version: str, allowed: str) -> bool:
    """Whether a version lies in a range; no version lies in an invalid range."""
    parsed, span = loose(version), Range.parse(allowed)
    return parsed is not None and span is not None and span.holds(parsed)


def moved(chart: YamlText, lock: Lock, versions: Mapping[int, str], ranges: Mapping[int, str]) -> str:
    """Return the lock's text with some pins at new versions and the digest that goes with them.

    `versions` has versions of dependencies and `ranges` what Chart.yaml allows from now on, by their index in it. The
    time in the lock stays: it says when ranges were resolved.
    """
    locked = [dict(item) for item in lock.text.value.get("dependencies") or []]
    changes: dict[tuple[str | int, ...], str] = {}
    for number, pin in lock.pins_of(chart).items():
        if versions.get(number, pin.version) != pin.version:
            locked[pin.number]["version"] = changes["dependencies", pin.number, "version"] = versions[number]
    requirements = [
        {**item, "version": ranges[number]} if number in ranges else item
        for number, item in enumerate(chart.value.get("dependencies") or [])
    ]
    changes["digest",] = digest(requirements, locked)
    return yaml_edit.replaced(lock.text, changes)


def _identity(item: Mapping[str, str]) -> tuple[str, str]:
    return item["name"], item["repository"].rstrip("/")
