"""Versions and ranges of versions as Helm reads them (github.com/Masterminds/semver v3).

Helm decides with these whether a locked dependency fits its Chart.yaml; asking Helm itself would take a process for
each question. The tests compare every rule here with Helm's own answers.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

import semver

_PRE = r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+(?P<build>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
_LOOSE = re.compile(rf"v?(?P<major>[0-9]+)(?:\.(?P<minor>[0-9]+))?(?:\.(?P<patch>[0-9]+))?{_PRE}")
_PART = r"[0-9]+|[xX*]"
_VERSION = rf"v?(?P<major>{_PART})(?:\.(?P<minor>{_PART}))?(?:\.(?P<patch>{_PART}))?{_PRE}"
_OPERATOR = r"!=|=>|=<|>=|<=|~>|=|>|<|~|\^|"
_COMPARATOR = re.compile(rf"(?P<operator>{_OPERATOR})\s*{_VERSION}")
_HYPHEN = re.compile(r"(?:^|(?<=[\s,|]))(v?[0-9xX*][^\s,|]*)\s+-\s+(v?[0-9xX*][^\s,|]*)")
_LONGEST = 512


def loose(text: str) -> semver.Version | None:
    """Return a version as Helm takes it, also without minor or patch and with a leading v, or None."""
    match = _LOOSE.fullmatch(text) if len(text) <= _LONGEST else None
    if not match:
        return None
    major, minor, patch = (int(match[part] or 0) for part in ("major", "minor", "patch"))
    try:
        return semver.Version(major, minor, patch, prerelease=match["pre"], build=match["build"])
    except ValueError:
        return None


@dataclass(frozen=True, kw_only=True)
class _Comparator:
    operator: str
    version: semver.Version
    parts: int
    """How many of the three numbers are written: `1.x` has one, `*` none."""

    def holds(self, version: semver.Version) -> bool:
        return _RULES[self.operator](version, self)


@dataclass(frozen=True)
class Range:
    """Alternatives, each a list of comparators that must all hold."""

    alternatives: tuple[tuple[_Comparator, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Range | None:
        """Return the range that `text` writes, or None if it is invalid; an empty text allows any release."""
        if len(text) > _LONGEST:
            return None
        spelled = _HYPHEN.sub(r">=\1, <=\2", text)
        alternatives = [_comparators(part) for part in spelled.split("||")]
        return None if None in alternatives else cls(tuple(part for part in alternatives if part is not None))

    def holds(self, version: semver.Version) -> bool:
        """Whether a version lies in the range; pre-releases do only where an alternative names one."""
        return any(
            all(comparator.holds(version) for comparator in group)
            for group in self.alternatives
            if not version.prerelease or any(comparator.version.prerelease for comparator in group)
        )


def _comparators(text: str) -> tuple[_Comparator, ...] | None:
    rest, found = text.strip(), []
    if not rest:
        return (_Comparator(operator="", version=semver.Version(0), parts=0),)
    while rest:
        match = _COMPARATOR.match(rest)
        following = rest[match.end() :] if match else ""
        if not match or (following and not re.match(r"\s|,", following)):
            return None
        found.append(_comparator(match))
        rest = following.lstrip().removeprefix(",").lstrip()
    return tuple(found)


def _comparator(match: re.Match[str]) -> _Comparator:
    numbers: list[int] = []
    for part in ("major", "minor", "patch"):
        if not (match[part] or "x").isdigit():
            break
        numbers.append(int(match[part]))
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    version = semver.Version(major, minor, patch, prerelease=match["pre"])
    return _Comparator(operator=match["operator"], version=version, parts=len(numbers))


def _equal(version: semver.Version, c: _Comparator) -> bool:
    return version == c.version if c.parts == 3 else _tilde(version, c)


def _not_equal(version: semver.Version, c: _Comparator) -> bool:
    if c.parts in {1, 2} and _numbers(version, c.parts) == _numbers(c.version, c.parts):
        return c.parts == 2 and (version.prerelease or "") != (c.version.prerelease or "")
    return version != c.version


def _greater(version: semver.Version, c: _Comparator) -> bool:
    if c.parts in {1, 2}:
        return _numbers(version, c.parts) > _numbers(c.version, c.parts)
    return version > c.version


def _at_most(version: semver.Version, c: _Comparator) -> bool:
    if c.parts in {1, 2}:
        return _numbers(version, c.parts) <= _numbers(c.version, c.parts)
    return version <= c.version if c.parts == 3 else _numbers(version, 2) == (0, 0)


def _tilde(version: semver.Version, c: _Comparator) -> bool:
    if c.parts in {0, 3} and _numbers(c.version, 3) == (0, 0, 0):
        return version >= c.version
    fixed = 1 if c.parts == 1 else 2
    return version >= c.version and _numbers(version, fixed) == _numbers(c.version, fixed)


def _caret(version: semver.Version, c: _Comparator) -> bool:
    if version < c.version:
        return False
    if c.version.major or c.parts == 1:
        fixed = 1
    elif c.version.minor or c.parts == 2:
        fixed = 2
    else:
        fixed = 3
    return _numbers(version, fixed) == _numbers(c.version, fixed)


def _by(compare: Callable[[semver.Version, semver.Version], bool]) -> Callable[[semver.Version, _Comparator], bool]:
    return lambda version, c: compare(version, c.version)


_RULES: dict[str, Callable[[semver.Version, _Comparator], bool]] = {
    "": _equal,
    "=": _equal,
    "!=": _not_equal,
    ">": _greater,
    "<": _by(operator.lt),
    ">=": _by(operator.ge),
    "=>": _by(operator.ge),
    "<=": _at_most,
    "=<": _at_most,
    "~": _tilde,
    "~>": _tilde,
    "^": _caret,
}


def _numbers(version: semver.Version, count: int) -> tuple[int, ...]:
    return (version.major, version.minor, version.patch)[:count]
