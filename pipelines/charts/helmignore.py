"""Which files of a chart's folder belong to the chart: .helmignore with Helm's own meaning.

It looks like .gitignore and differs: rules are tried from the top and the first that fits decides, `!pattern` leaves
out whatever does not fit it, `**` is an error, and a pattern with a slash is matched against the whole path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from pipelines.errors import ShipwayError

NAME = ".helmignore"
_ALWAYS = "templates/.?*"
_LONGEST_LINE = 65_535
"""Bytes; Helm's reader of lines (Go's bufio.Scanner) refuses the file of a longer one, a comment too."""


@dataclass(frozen=True, kw_only=True)
class _Rule:
    pattern: re.Pattern[str]
    whole_path: bool
    folders_only: bool
    negated: bool

    def matches(self, path: str) -> bool:
        return self.pattern.fullmatch(path if self.whole_path else path.rpartition("/")[2]) is not None


@dataclass(frozen=True)
class HelmIgnore:
    """The rules of one chart, Helm's own last."""

    rules: tuple[_Rule, ...]

    @classmethod
    def parse(cls, data: bytes, where: str) -> HelmIgnore:
        """Return the rules of a .helmignore's content; raises ShipwayError naming file and line."""
        found = []
        for number, line in enumerate(data.split(b"\n"), start=1):
            rule = line.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").decode("utf-8", "replace").strip()
            if len(line) > _LONGEST_LINE:
                raise _unread(where, number, f"a line of {len(line)} bytes")
            if rule and not rule.startswith("#"):
                try:
                    found.append(_rule(rule))
                except ValueError as error:
                    raise _unread(where, number, str(error)) from error
        return cls((*found, _rule(_ALWAYS)))

    def ignores(self, path: str, *, folder: bool) -> bool:
        """Whether a path, relative to the chart, is left out; what lies in such a folder is never asked for."""
        for rule in self.rules:
            fits = rule.matches(path)
            if rule.negated:
                if not fits or (rule.folders_only and not folder):
                    return True
            elif fits and (folder or not rule.folders_only):
                return True
        return False


def _unread(where: str, line: int, seen: str) -> ShipwayError:
    return ShipwayError(f"{where}:{line}: not a rule that Helm reads", seen=seen[:200], todo="write it another way")


@lru_cache(maxsize=4096)
def _rule(text: str) -> _Rule:
    if "**" in text:
        raise ValueError(f"{text!r}: ** is not supported")
    _translate(text)  # Helm checks the rule as it is written, its signs included
    negated = text.startswith("!")
    body = text.removeprefix("!")
    folders_only = body.endswith("/")
    body = body.removesuffix("/")
    return _Rule(
        pattern=re.compile(_translate(body.removeprefix("/")), re.DOTALL),
        whole_path="/" in body,
        folders_only=folders_only,
        negated=negated,
    )


def _translate(pattern: str) -> str:
    """Return the regular expression of a pattern of Go's path/filepath.Match; raises ValueError for a malformed one.

    What follows a star is taken where it fits first, for good: that finds every match, and no pattern takes long.
    """
    pieces = [""]
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            pieces.append("")
        elif character == "?":
            pieces[-1] += "[^/]"
        elif character == "[":
            at, expression = _class(pattern, at)
            pieces[-1] += expression
        else:
            if character == "\\":
                if at == len(pattern):
                    raise ValueError(f"{pattern!r}: ends with a backslash")
                character = pattern[at]
                at += 1
            pieces[-1] += re.escape(character)
    first, *middle = pieces
    if not middle:
        return first
    last = middle.pop()
    return first + "".join(f"(?>[^/]*?{piece})" for piece in middle) + f"[^/]*{last}"


def _class(pattern: str, at: int) -> tuple[int, str]:
    """Return where a bracket expression ends and its regular expression; `at` is behind the bracket."""
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[str] = []
    while not (ranges and pattern[at] == "]"):
        at, low = _character(pattern, at)
        high = low
        if pattern[at] == "-":
            at, high = _character(pattern, at + 1)
        # Go takes a range that is upside down for one that holds nothing.
        ranges.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
    inside = "".join(ranges)
    if not inside:
        return at + 1, "." if negated else "(?!)"
    return at + 1, f"[{'^' if negated else ''}{inside}]"


def _character(pattern: str, at: int) -> tuple[int, str]:
    """Return one character of a bracket expression and the index of the next one, which must exist."""
    character = pattern[at : at + 1]
    if character == "\\":
        at += 1
        character = pattern[at : at + 1]
    elif character in {"-", "]"}:
        character = ""
    if not character or at + 1 >= len(pattern):
        raise ValueError(f"{pattern!r}: a bracket expression that does not end, or an empty range")
    return at + 1, character
