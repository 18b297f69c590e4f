"""Which files of a context a builder gets: .dockerignore as BuildKit reads it.

The rules are those of github.com/moby/patternmatcher (with its package ignorefile), which BuildKit uses. They look like
.gitignore's but differ: a pattern is anchored at the context, the last one that matches decides, and a file in an
ignored folder can be included again. Buildah has an older copy (containers/storage: pkg/fileutils), which differs in
rare cases.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipelines.errors import ShipwayError
from pipelines.images.dockerfile_syntax import SPACE

NAME = ".dockerignore"
_WILD = frozenset("*?[]\\")
_SIGNS = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ")
"""What a backslash before it only takes the meaning from."""
_MOST_UNSURE = 3
"""Wildcards whose every place is tried: the time grows with the length of a path by this power."""


@dataclass(frozen=True, kw_only=True)
class _Pattern:
    expression: re.Pattern[str]
    older: re.Pattern[str]
    """The same pattern as buildah reads it."""
    depth: int
    """The number of its parts: buildah compares it with the file, and with its parent folder of the same depth."""
    keeps: bool
    """Whether it includes again what others ignore."""


@dataclass(frozen=True)
class DockerIgnore:
    """The patterns of one file, in its order."""

    patterns: tuple[_Pattern, ...]

    @classmethod
    def parse(cls, text: str, where: str) -> DockerIgnore:
        """Return the rules of a file's text; raises ShipwayError with file and line."""
        found = []
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
            if line.startswith("#") or not (body := _cleaned(line)):
                continue
            try:
                found.append(_pattern(body.removeprefix("!"), keeps=body.startswith("!")))
            except (ValueError, re.error) as error:
                raise ShipwayError(
                    f"{where}:{number}: not a pattern that builders read", seen=repr(line), todo="correct that line"
                ) from error
        return cls(tuple(found))

    def kept(self, paths: Iterable[str]) -> Iterator[str]:
        """Give those of a context's files that the builder gets, in their order, relative to the context."""
        if not self.patterns:
            yield from paths
            return
        known: dict[str, tuple[bool, ...]] = {}
        keeping = any(pattern.keeps for pattern in self.patterns)
        for path in paths:
            if not self._ignores(path, known, keeping=keeping):
                yield path

    def kept_by_buildah(self, paths: Iterable[str]) -> Iterator[str]:
        """Give those of a context's files that buildah may get, in their order; sometimes it gets fewer.

        Buildah leaves out whole folders if it overlooks that a pattern includes something in them again.
        """
        for path in paths:
            parts, ignored = path.split("/"), False
            for pattern in self.patterns:
                around = "/".join(parts[: pattern.depth]) if pattern.depth < len(parts) else path
                if pattern.older.match(path) or pattern.older.match(around):
                    ignored = not pattern.keeps
            if not ignored:
                yield path

    def _ignores(self, path: str, known: dict[str, tuple[bool, ...]], *, keeping: bool) -> bool:
        """Whether a file is ignored; `known` caches, for each folder, which patterns match it or a folder around it."""
        folder = path.rpartition("/")[0]
        if folder:
            above = self._folder(folder, known)
            if not keeping:
                return any(above) or any(p.expression.match(path) for p in self.patterns)
        else:
            above = ()
        return self._judged(path, above)[0]

    def _folder(self, folder: str, known: dict[str, tuple[bool, ...]]) -> tuple[bool, ...]:
        found = known.get(folder)
        if found is None:
            parent = folder.rpartition("/")[0]
            found = self._judged(folder, self._folder(parent, known) if parent else ())[1]
            known[folder] = found
        return found

    def _judged(self, path: str, above: tuple[bool, ...]) -> tuple[bool, tuple[bool, ...]]:
        """Return whether a path is ignored, and which patterns match (patternmatcher: MatchesUsingParentResults)."""
        ignored = False
        fits = []
        for number, pattern in enumerate(self.patterns):
            fit = bool(above) and above[number]
            # A pattern that cannot change the result is not matched, and counts as no match in the folder either.
            if not fit and pattern.keeps == ignored:
                fit = pattern.expression.match(path) is not None
            if fit:
                ignored = not pattern.keeps
            fits.append(fit)
        return ignored, tuple(fits)


def _cleaned(line: str) -> str:
    """Return a line as BuildKit cleans it in two turns: what looks like a `!` or a space after the first one is one."""
    body = line.strip(SPACE)
    keeps, body = body[:1] == "!", body.removeprefix("!").strip(SPACE)
    if body:
        body = "/" + posixpath.normpath(body).lstrip("/") if body.startswith("/") else posixpath.normpath(body)
        body = body[1:] if len(body) > 1 and body.startswith("/") else body
    body = ("!" * keeps + body).strip(SPACE)
    return posixpath.normpath(body) if body else ""


@lru_cache(maxsize=4096)
def _pattern(clean: str, *, keeps: bool) -> _Pattern:
    """Return a pattern that was read; raises ValueError or re.error if it is malformed."""
    if not clean:
        raise ValueError("a ! without a pattern")
    older = _translate(clean)
    by_end = clean.startswith("**") and not clean.startswith("**/") and not _WILD & set(clean[2:])
    newer = ".*" + re.escape(clean[2:]) if by_end else older  # `**.md` is any path that ends so
    return _Pattern(
        expression=re.compile(newer + r"\Z", re.DOTALL),
        older=re.compile(older + r"\Z", re.DOTALL),
        depth=clean.count("/") + 1,
        keeps=keeps,
    )


def _translate(pattern: str) -> str:
    """Return the regular expression of a pattern; raises ValueError if builders read it otherwise, or it takes long.

    Builders match without going back. Here what follows a wildcard is taken where it fits first, for good, if that
    finds every match: between two `**`, what ends with a slash does, unless a bracket expression may be a slash.
    """
    regions: list[list[str]] = [[""]]  # between `**`, what stands between `*`
    at, is_open = 0, False
    while at < len(pattern):
        sign = pattern[at]
        at += 1
        if sign == "*" and pattern[at : at + 1] == "*":
            at += 1
            at += pattern[at : at + 1] == "/"  # **/ means the same as **
            regions.append([""])
        elif sign == "*":
            regions[-1].append("")
        elif sign == "?":
            regions[-1][-1] += "[^/]"
        elif sign == "\\":
            if pattern[at : at + 1] not in _SIGNS:
                raise ValueError(
                    "a backslash at the end, or before a letter, which is more than that letter to builders"
                )
            regions[-1][-1] += re.escape(pattern[at])
            at += 1
        elif sign == "[":
            end = _class_end(pattern, at)
            is_open = is_open or pattern[at] == "^"
            regions[-1][-1] += "[" + re.sub(r"([&~|])", r"\\\1", pattern[at:end]) + "]"
            at = end + 1
        elif sign in {"|", "^"}:
            raise ValueError(f"a {sign}, which means more to builders")
        else:
            regions[-1][-1] += re.escape(sign)
    *middle, last = regions
    ends = [region[-1] for region in middle]
    is_sure = not is_open and all(end in {"", "/"} or end.endswith("/") for end in ends)
    if not is_sure and sum(map(len, regions)) - 1 > _MOST_UNSURE:
        raise ValueError(f"more than {_MOST_UNSURE} wildcards, of which a ** stands before no /, or a [^…] among them")
    if last == [""] and middle:  # `**` at the end is anything
        return _joined(middle, is_sure=is_sure) + ".*"
    return (_joined(middle, is_sure=is_sure) + "(?:.*/)?" if middle else "") + "[^/]*".join(
        [_stars(last[:-1], is_sure=is_sure), last[-1]] if len(last) > 1 else last
    )


def _joined(regions: Sequence[Sequence[str]], *, is_sure: bool) -> str:
    first, *others = (_stars(region, is_sure=is_sure) for region in regions)
    return first + "".join(f"(?>(?:.*?/)??{text})" if is_sure else f"(?:.*/)?{text}" for text in others)


def _stars(pieces: Sequence[str], *, is_sure: bool) -> str:
    first, *others = pieces
    return first + "".join(f"(?>[^/]*?{text})" if is_sure else f"[^/]*{text}" for text in others)


def _class_end(pattern: str, at: int) -> int:
    """Return where a bracket expression ends; raises ValueError if it does not, or has signs that builders add to."""
    begin = at + (pattern[at : at + 1] == "^")
    end = pattern.find("]", begin + 1)
    if (
        end < 0
        or pattern[begin] in "]-"
        or pattern[end - 1] == "-"
        or _WILD & {*pattern[begin:end]}
        or "/" in pattern[begin:end]
    ):
        raise ValueError("a bracket expression that does not end, or with one of * ? [ \\\\ / in it")
    return end
