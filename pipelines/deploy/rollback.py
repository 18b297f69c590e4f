"""Rollback: an application at versions that it ran before, chosen from the history of the environments repository.

Versions count as healthy if `await-healthy` reported so to the commits that their images and their chart come from.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from pipelines.declared.shipway_yaml import COMMIT
from pipelines.deploy import provenance, withdrawal
from pipelines.deploy.environment_writer import DesiredVersions, EnvironmentWriter
from pipelines.deploy.model import DeployTarget
from pipelines.deploy.writer import Draft
from pipelines.environments import files as environment_files
from pipelines.environments.files import ApplicationFolder, Places
from pipelines.environments.hold import Held
from pipelines.environments.image_places import is_digest
from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError, Transient
from pipelines.tools.forge.forge import StatusState
from pipelines.tools.git.write_back import Head
from pipelines.tools.registry.reference import Reference

_DEPTH = 500
"""Commits of the repository that are searched."""
_MOST = 30
"""Changes of one application that are read."""
_State: TypeAlias = tuple[str, ApplicationFolder, dict[str, str]]
"""A commit, the application's files at it, and digests of IMAGE:TAG."""
HEALTHY, UNKNOWN, BROKEN = "healthy", "nobody says whether it was healthy", "it was not healthy"


@dataclass(frozen=True, kw_only=True)
class PastVersions:
    """Versions that an application ran once."""

    commit: str
    """The newest commit of the environments repository that had them."""
    versions: DesiredVersions
    obstacle: str
    """Why a rollback to them is impossible; empty if it is possible."""
    health: str


def rollback(
    writer: EnvironmentWriter, name: str, *, environment: str, to: str = "", way: str = COMMIT
) -> DeployTarget:
    """Write to an application the last other versions that it ran and was healthy with.

    If no status says that any were healthy, the last ones that are not known to be broken are taken. `to` chooses a
    commit of the repository instead. The versions that it ran until now are held back from deployments, and taken out
    of open pull requests once the rollback is committed. Raises Refused if there is nothing to go back to.
    """
    registries = writer.registries
    behind = Held()

    def draft(head: Head) -> Draft:
        nonlocal behind
        named = environment_files.named(head, under=registries.under)
        folder = environment_files.one(head, environment, name, under=registries.under, places=named)
        assert folder.application is not None
        states = _states(writer, head, folder.path, named)
        now = registries.versions(folder, told=states[0][2] if states else {}, allow_missing=True)
        past = _chosen(list(_history(writer, states, now, environment)), to, folder.path)
        images, version = past.versions.images, past.versions.version
        left = [digest for image, digest in now.images.items() if digest and images.get(image, digest) != digest]
        chart = folder.application.chart
        charts = [f"{chart}@{now.version}"] if chart and now.version != version else []
        behind = Held(images=tuple(left), charts=tuple(charts))
        held = folder.held.without(images.values(), [f"{chart}@{version}"]).with_more(left, charts)
        edited = writer.edited(folder, past.versions, held)
        sys.stderr.write(f"{folder.path} goes back to {past.commit}: {past.health}\n")
        return Draft(
            edited=edited,
            verb="Roll back",
            environment=environment,
            reason=f"Back to what it ran at {past.commit}: {past.health}.",
            trailers=(f"Shipway-Rolled-Back-To: {environment}@{past.commit}",),
            is_rollback=True,
        )

    target = writer.write(environment, f"shipway/{environment}/rollback-{name}", draft, way=way)
    if not target.commit or way != COMMIT:
        return target
    try:
        why = f"{environment}/{name} was rolled back from {', '.join((*behind.images, *behind.charts))}"
        withdrawn = withdrawal.withdraw(writer, behind, why=why)
    except ShipwayError as error:
        # The rollback is done, and deployments know of it from the tree.
        withdrawn = (f"open pull requests may still propose what was left: {error.what}: {error.seen}",)
    return replace(target, kept=(*target.kept, *withdrawn))


def _chosen(history: list[PastVersions], to: str, path: str) -> PastVersions:
    if to:
        history = [past for past in history if past.commit.startswith(to)]
        if not history:
            raise Misuse(
                f"{path} was not changed to another state by {to}",
                seen="its history has no such commit",
                todo=f"name a commit that changed it: git log -- {path}",
            )
    usable = [past for past in history if not past.obstacle and (to or past.health != BROKEN)]
    healthy = [past for past in usable if past.health == HEALTHY]
    if not usable:
        seen = "\n".join(f"{past.commit[:12]}: {past.obstacle or past.health}" for past in history[:10])
        raise Refused(
            f"{path} has nothing to go back to",
            seen=seen or f"it ran nothing else in the last {_DEPTH} commits",
            todo="deploy a new version, or name a commit with --to",
        )
    return (healthy or usable)[0]


def _states(writer: EnvironmentWriter, head: Head, path: str, named: Places) -> list[_State]:
    """Return the commits that changed an application, newest first, with its files and the digests of their IMAGE:TAG.

    The digests are those in the commits' messages: a tag that stands alone since then may name another one by now.
    """
    writer.git.deepen(head.repository, head.commit, _DEPTH)
    form = "--format=%H %(trailers:key=Shipway-Image,valueonly,separator=%x20)"
    words = ["log", f"--max-count={_MOST}", "--first-parent", "--no-show-signature", form, head.commit]
    environment, name = path.split("/")
    found: list[_State] = []
    told: dict[str, str] = {}
    for commit, *images in map(str.split, reversed(head.repository.call(*words, "--", path).stdout.splitlines())):
        try:
            old = replace(head, commit=commit)
            folder = environment_files.one(old, environment, name, under=writer.registries.under, places=named)
        except (Transient, Misconfigured):
            raise
        except ShipwayError as error:
            sys.stderr.write(f"{commit[:12]}: {error.what}\n")
            continue
        said = {image: digest for image, _, digest in (text.rpartition("@") for text in images) if is_digest(digest)}
        alone = [place for place in (folder.values.places if folder.values else ()) if not place.digest]
        both = ((f"{place.image}:{place.tag}", place.image) for place in alone)
        told = {key: digest for key, image in both if (digest := said.get(image) or told.get(key, ""))}
        found.append((commit, folder, told))
    return found[::-1]


def _history(
    writer: EnvironmentWriter, states: Iterable[_State], now: DesiredVersions, environment: str
) -> Iterator[PastVersions]:
    """Yield the versions that an application ran before, newest first, each once."""
    registries = writer.registries
    known = [now]
    for commit, folder, told in states:
        try:
            versions = registries.versions(folder, told=told)
        except (Transient, Misconfigured):
            raise
        except ShipwayError as error:
            sys.stderr.write(f"{commit[:12]}: {error.what}\n")
            continue
        if any(versions.equals(other) for other in known):
            continue
        known.append(versions)
        assert folder.application is not None
        obstacle = ""
        try:
            registries.check_chart(folder.application, versions.version)
            registries.desired_images(versions)
        except Refused as error:
            obstacle = error.what
        chart = registries.chart(folder.application, versions.version)
        health = _health(writer, versions, chart, environment)
        yield PastVersions(commit=commit, versions=versions, obstacle=obstacle, health=health)


def _health(writer: EnvironmentWriter, versions: DesiredVersions, chart: Reference | None, environment: str) -> str:
    """Return the health in the statuses of the commits that images and chart come from."""
    artifacts = [Reference.parse(image).with_digest(digest) for image, digest in versions.images.items()]
    states: set[StatusState] = set()
    # The digests of images are often in the chart itself.
    for artifact in (*artifacts, *([chart] if chart else [])):
        commit, source = provenance.read(writer.registries.client, artifact)
        if commit and source:
            try:
                status = writer.forges.connect(source).status(commit, f"shipway/{environment}")
            except (Misconfigured, Misuse):
                continue
            states |= {status.state} if status else set()
    if states & {StatusState.FAILURE, StatusState.ERROR}:
        return BROKEN
    return HEALTHY if StatusState.SUCCESS in states else UNKNOWN
