"""Messages of the commits and pull requests of deployments, generated from the changes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.deploy.provenance import Provenance
from pipelines.environments.image_places import Change
from pipelines.errors import visible

_MOST_NAMES = 3
_SHORT = 12
_LONGEST = 500


@dataclass(frozen=True, kw_only=True)
class ChartMove:
    """A chart, or an application's chart, at a new version."""

    name: str
    folder: str
    old: str
    new: str


def title(verb: str, changes: Sequence[Change], moves: Sequence[ChartMove], environment: str = "") -> str:
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
    return _line(f"{verb} {what}{f' to {environment}' if environment else ''}")


def lines(changes: Sequence[Change], moves: Sequence[ChartMove]) -> tuple[str, ...]:
    """Return one line for each image and each chart: `registry.example/team/web: git-1… → git-2…`."""
    images = (
        f"{change.image}: {_both(change.old_tag, change.old_digest) or 'none'} → {_both(change.tag, change.digest)}"
        for change in changes
    )
    charts = (f"chart {move.name}: {move.old} → {move.new} ({move.folder})" for move in moves)
    return tuple(dict.fromkeys(map(_line, (*images, *charts))))


def body(
    changes: Sequence[Change],
    moves: Sequence[ChartMove],
    provenance: Mapping[str, Provenance],
    *,
    is_rollback: bool = False,
) -> str:
    """Return the changes with source commits and links, one paragraph for each image; `provenance` is by digest.

    A rollback links to the comparison from new to old: forges show nothing between a commit and an earlier one.
    """
    parts: list[str] = []
    for image in dict.fromkeys(change.image for change in changes):
        own = [change for change in changes if change.image == image]
        part = [*lines(own, ())]
        old, new = (provenance.get(digest, Provenance()) for digest in (own[0].old_digest, own[0].digest))
        if new.commit:
            part.append(f"  source   {new.forge.commit_link(new.commit) if new.forge else new.commit}")
        if new.forge and old.repo == new.repo and old.commit and old.commit != new.commit:
            first, last = (new, old) if is_rollback else (old, new)
            part.append(f"  compare  {new.forge.compare_link(first.commit, last.commit)}")
        part += [f"  in       {_line(change.file)}:{change.line}" for change in own]
        parts.append("\n".join(part))
    if moves:
        parts.append("\n".join(lines((), moves)))
    return "\n\n".join(parts)


def trailers(changes: Sequence[Change], moves: Sequence[ChartMove]) -> tuple[str, ...]:
    """Return the lines for programs."""
    images = sorted({f"Shipway-Image: {change.image}@{change.digest}" for change in changes})
    return (*images, *sorted({f"Shipway-Chart: {move.name} {move.new}" for move in moves}))


def _line(text: str) -> str:
    """Return a text on one line: a value or a path must not write a trailer, or a paragraph of its own."""
    return " ".join(visible(text).split())[:_LONGEST]


def _both(tag: str, digest: str) -> str:
    return f"{tag} ({digest})" if tag and digest else tag or digest


def _short(tag: str) -> str:
    return tag.removeprefix("git-")[:_SHORT] if tag.startswith(("git-", "key-")) else tag
