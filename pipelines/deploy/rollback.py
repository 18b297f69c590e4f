"""Rollback: an application at what it ran before, chosen from the history of the environments repository.

That a state was healthy is what `await-healthy` told the commits that its images and its chart are from.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.declared.shipway_yaml import COMMIT
from pipelines.deploy import pull_requests
from pipelines.deploy.edits import Edited
from pipelines.deploy.model import DeployTarget
from pipelines.deploy.move import DesiredVersions, Moving, at
from pipelines.environments import files as environment_files
from pipelines.environments.files import Places
from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError, Transient
from pipelines.tools.forge.forge import StatusState
from pipelines.tools.git.write_back import Head, Proposal
from pipelines.tools.registry.reference import Reference

_DEPTH = 500
"""Commits of the repository that are looked through."""
_MOST = 30
"""States of one application that are looked at."""
HEALTHY, UNKNOWN, BROKEN = "healthy", "nobody says whether it was healthy", "it was not healthy"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What an application ran once."""

    commit: str
    """Of the environments repository, the newest that had it."""
    runs: DesiredVersions
    why_not: str
    """Why it cannot be gone back to; empty where it can."""
    health: str


def rollback(moving: Moving, name: str, *, environment: str, to: str = "", way: str = COMMIT) -> DeployTarget:
    """Let an application run again what it ran last and was healthy with, and return what came of it.

    Where nobody says of any state that it was healthy, the last one that is not known to be broken is taken. `to` chooses a
    commit of the repository instead. What is left behind is held back from deployments. Raises Refused where there is nothing to go back to.
    """
    last: list[Edited] = []
    under = moving.registries.under

    def make(head: Head) -> Proposal:
        places = environment_files.named(head, under=under)
        folder = environment_files.one(head, environment, name, under=under, places=places)
        assert folder.application is not None
        now = moving.registries.runs(folder, lacking=True)
        found = list(_records(moving, head, folder.path, now, places))
        chosen = _chosen(found, to, folder.path)
        left = [
            digest for image, digest in now.images.items() if digest and chosen.runs.images.get(image, digest) != digest
        ]
        chart = folder.application.chart
        versions = [f"{chart}@{now.version}"] if chart and now.version != chosen.runs.version else []
        kept = folder.held.without(chosen.runs.images.values(), [f"{chart}@{chosen.runs.version}"])
        last[:] = [moving.edited(folder, chosen.runs, kept.with_more(left, versions))]
        sys.stderr.write(f"{folder.path} goes back to {chosen.commit}: {chosen.health}\n")
        why = f"Back to what it ran at {chosen.commit}: {chosen.health}."
        trailers = (f"Shipway-Rolled-Back-To: {environment}@{chosen.commit}",)
        return moving.proposal("Roll back", environment, last[0], why, trailers, back=True)

    return moving.write(environment, f"shipway/{environment}/rollback-{name}", make, last, way=way)


def _chosen(found: list[Record], to: str, path: str) -> Record:
    if to:
        found = [record for record in found if record.commit.startswith(to)]
        if not found:
            raise Misuse(
                f"{path} was not changed to another state by {to}",
                seen="its history has no such commit",
                todo=f"name a commit that changed it: git log -- {path}",
            )
    usable = [record for record in found if not record.why_not and (to or record.health != BROKEN)]
    healthy = [record for record in usable if record.health == HEALTHY]
    if not usable:
        told = "\n".join(f"{record.commit[:12]}: {record.why_not or record.health}" for record in found[:10])
        raise Refused(
            f"{path} has nothing to go back to",
            seen=told or f"it ran nothing else in the last {_DEPTH} commits",
            todo="deploy a new version, or name a commit with --to",
        )
    return (healthy or usable)[0]


def _records(moving: Moving, head: Head, path: str, now: DesiredVersions, places: Places) -> Iterator[Record]:
    """Give what an application ran before, the newest first, each state once."""
    repository = head.repository
    moving.git.deepen(repository, head.commit, _DEPTH)
    words = ["log", f"--max-count={_MOST}", "--first-parent", "--no-show-signature", "--format=%H", head.commit]
    done = repository.call(*words, "--", path)
    seen = [now]
    environment, name = path.split("/")
    for commit in done.stdout.split():
        try:
            old, under = at(head, commit), moving.registries.under
            folder = environment_files.one(old, environment, name, under=under, places=places)
            runs = moving.registries.runs(folder)
        except (Transient, Misconfigured):
            raise
        except ShipwayError as error:
            sys.stderr.write(f"{commit[:12]}: {error.what}\n")
            continue
        if any(runs.is_like(other) for other in seen):
            continue
        seen.append(runs)
        assert folder.application is not None
        why_not = ""
        try:
            moving.registries.check_chart(folder.application, runs.version)
            moving.registries.wanted(runs)
        except Refused as error:
            why_not = error.what
        chart = moving.registries.chart(folder.application, runs.version)
        yield Record(commit=commit, runs=runs, why_not=why_not, health=_health(moving, runs, chart, environment))


def _health(moving: Moving, runs: DesiredVersions, chart: Reference | None, environment: str) -> str:
    """Return what the commits that a state's images and its chart are from were told of an environment."""
    parts = [Reference.parse(image).with_digest(digest) for image, digest in runs.images.items()]
    told = set()
    # The chart often holds the images' digests itself.
    for part in (*parts, *([chart] if chart else [])):
        commit, source = pull_requests.read(moving.registries.client, part)
        if commit and source:
            try:
                status = moving.proposing.connect(source).status(commit, f"shipway/{environment}")
            except (Misconfigured, Misuse):
                continue
            told |= {status.state} if status else set()
    if told & {StatusState.FAILURE, StatusState.ERROR}:
        return BROKEN
    return HEALTHY if StatusState.SUCCESS in told else UNKNOWN
