"""Messages of commits and pull requests of deployments, made from what changed and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipelines.environments.image_places import Change

_MOST_NAMES = 3
_SHORT = 12


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A chart, or an application's chart, at a new version."""

    name: str
    where: str
    """Its folder."""
    old: str
    new: str


class Links(Protocol):
    """The pages of a repository, as its forge has them."""

    def commit_link(self, commit: str) -> str:
        """Return the page of a commit."""

    def compare_link(self, old: str, new: str) -> str:
        """Return the page of what differs between two commits."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What an image was built from; empty where nobody says."""

    commit: str = ""
    repo: str = ""
    links: Links | None = None


def title(verb: str, changes: Sequence[Change], moves: Sequence[Moved], where: str = "") -> str:
    """Return the first line: `Deploy web 1a2b3c4d5e6f to dev`."""
    images = sorted({change.image.rpartition("/")[2] for change in changes})
    charts = sorted({f"{move.name} {move.new}" for move in moves})
    if len(images) == 1:
        tags = {change.tag for change in changes}
        what = f"{images[0]} {_short(tags.pop()) if len(tags) == 1 else ''}".strip()
    elif images:
        what = ", ".join(images) if len(images) <= _MOST_NAMES else f"{len(images)} images"
    else:
        what = "chart " + ", ".join(charts) if len(charts) <= _MOST_NAMES else f"{len(charts)} charts"
    return f"{verb} {what}{f' to {where}' if where else ''}"


def lines(changes: Sequence[Change], moves: Sequence[Moved]) -> tuple[str, ...]:
    """Return one line for each image and each chart: `registry.example/team/web: git-1… → git-2…`."""
    found = dict.fromkeys(f"{change.image}: {_old(change)} → {_new(change)}" for change in changes)
    found |= dict.fromkeys(f"chart {move.name}: {move.old} → {move.new} ({move.where})" for move in moves)
    return tuple(found)


def body(
    changes: Sequence[Change], moves: Sequence[Moved], origins: Mapping[str, Origin], *, back: bool = False
) -> str:
    """Return what changed, with source commits and links, an empty line before each image; `origins` are by digest.

    With `back` what is compared is what goes away: forges show nothing from a commit to one before it.
    """
    parts: list[str] = []
    for image in dict.fromkeys(change.image for change in changes):
        mine = [change for change in changes if change.image == image]
        part = [*lines(mine, ())]
        old, new = (origins.get(digest, Origin()) for digest in (mine[0].old_digest, mine[0].digest))
        if new.commit:
            part.append(f"  source   {new.links.commit_link(new.commit) if new.links else new.commit}")
        if new.links and old.repo == new.repo and old.commit and old.commit != new.commit:
            first, last = (new, old) if back else (old, new)
            part.append(f"  compare  {new.links.compare_link(first.commit, last.commit)}")
        part += [f"  in       {change.file}:{change.line}" for change in mine]
        parts.append("\n".join(part))
    if moves:
        parts.append("\n".join(lines((), moves)))
    return "\n\n".join(parts)


def trailers(source: str, changes: Sequence[Change], moves: Sequence[Moved]) -> tuple[str, ...]:
    """Return the lines that programs read."""
    found = [f"Shipway-Source: {source}"] if source else []
    found += sorted({f"Shipway-Image: {change.image}@{change.digest}" for change in changes})
    found += sorted({f"Shipway-Chart: {move.name} {move.new}" for move in moves})
    return tuple(found)


def _old(change: Change) -> str:
    return _both(change.old_tag, change.old_digest) or "none"


def _new(change: Change) -> str:
    return _both(change.tag, change.digest)


def _both(tag: str, digest: str) -> str:
    return f"{tag} ({digest})" if tag and digest else tag or digest


def _short(tag: str) -> str:
    return tag.removeprefix("git-")[:_SHORT] if tag.startswith(("git-", "key-")) else tag
