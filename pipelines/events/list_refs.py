"""The step `list-refs`: which branches and tags of a repository get a run tonight."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, TypeAlias

from pipelines.errors import Misconfigured, Misuse, ShipwayError
from pipelines.events import event as event_event
from pipelines.events import lanes
from pipelines.events.decode import LaneSettings
from pipelines.events.event import Lane, Nightly, NightlyRef, Tonight
from pipelines.events.lanes import LaneRules
from pipelines.release import unpublished
from pipelines.step.groups import ReadLogins, RegistrySettings
from pipelines.step.signature import Arg, Group
from pipelines.tools.git import history as git_history
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.refs import Resolved
from pipelines.tools.git.remote import Git
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.reference import Reference

MOST = 200
"""How many runs one night starts for one repository."""
DAY_SECONDS = 24 * 3600
Lacking: TypeAlias = Callable[[RepositoryUrl, Resolved, Mapping[str, str]], Collection[str]]
"""Returns those of some tags, each with its commit, whose images are not all published; of a repository and a head."""


def list_refs(
    *,
    event: Annotated[str, Arg("the calendar's event as the Sensor encodes it, as base64")],
    pause: Annotated[int, Arg("seconds to wait before, at most 600")] = 0,
    logins: Annotated[ReadLogins, Group()],
    rules: Annotated[LaneSettings, Group(without=("maintainers", "max_age", "branch_checks", "skip_ci"))],
    reconcile_days: Annotated[str, Arg("age in days up to which tags are listed", setting="reconcile-days")] = "7",
    settings: Annotated[RegistrySettings, Group(without=("mirrors", "shared_names"))],
) -> Tonight:
    """List the branch that the calendar's event names, every protected branch, and the protected tags of the last days.

    Of older tags, those of a version that the registry has not of all images of their commit. Names that a run would
    refuse are left out and reported. The age of a lightweight tag is its commit's. Raises Misuse for another event, and
    what Git raises.

    Example:
        shipway step list-refs --event="$(base64 -w0 event.json)" --outputs=out/list-refs
    """
    lane_rules = rules.read()
    night = event_event.read(event)
    if not isinstance(night, Nightly):
        raise Misuse("not the calendar's event", seen=type(night).__name__, todo="start `release` with it")
    if not reconcile_days.isdecimal():
        raise Misconfigured(
            "the setting `reconcile-days` is not a number", seen=repr(reconcile_days), todo="write a number of days"
        )
    time.sleep(max(0, min(pause, 600)))
    since = int(time.time()) - int(reconcile_days) * DAY_SECONDS
    with Git(GitCredentials.read(logins.credentials), ca_file=settings.authorities) as git:

        def lacking(repo: RepositoryUrl, head: Resolved, tags: Mapping[str, str]) -> Collection[str]:
            if not settings.registry:
                return ()
            registry = registry_client.connect(logins.docker_config, settings)

            def tags_of(name: str) -> Collection[str]:
                return registry.tags(Reference.under(settings.registry, settings.project, name))

            return unpublished.tags(git, repo, head, tags, tags_of)

        refs = list(_refs(git, night, lane_rules, since, lacking))
    if len(refs) > MOST:
        sys.stderr.write(f"{len(refs)} branches and tags, of which the first {MOST} are looked at\n")
    return Tonight(time=night.time, refs=tuple(refs[:MOST]))


def _refs(git: Git, night: Nightly, rules: LaneRules, since: int, lacking: Lacking) -> Iterator[NightlyRef]:
    repo = lanes.watched(lanes.target(night).repo, rules)
    refs = git.refs(repo, "heads", "tags").commits
    trusted = [name for name in refs if _lane(night, name, rules) is Lane.TRUSTED]
    tags = [name for name in trusted if name.startswith("refs/tags/")]
    with tempfile.TemporaryDirectory(prefix="shipway-tags-") as folder:
        times = git_history.times(git, repo, tags, Path(folder) / "git") if tags else {}
    recent = [name for name in tags if times.get(name, since) >= since]
    head = next((Resolved(commit=refs[name], ref=name) for name in refs if name.startswith("refs/heads/")), None)
    older = lacking(repo, head, {name: refs[name] for name in tags if name not in recent}) if head else ()
    branches = [name for name in trusted if name.startswith("refs/heads/")]
    named = [night.ref] if night.ref in refs and night.ref not in branches else []
    for ref in (*named, *branches, *recent, *sorted(older)):
        event = dataclasses.replace(night, repo=str(repo), ref=ref)
        lane = _lane(night, ref, rules)
        group = lanes.key(lanes.key(repo.host_and_path), lane, ref)
        written = event_event.write(event)
        yield NightlyRef(repo=str(repo), ref=ref, commit=refs[ref], lane=lane, group=group, event=written)


def _lane(night: Nightly, ref: str, rules: LaneRules) -> Lane:
    event = dataclasses.replace(night, ref=ref)
    try:
        lanes.target(event)
        return lanes.decide(event, rules).lane
    except ShipwayError as error:
        sys.stderr.write(f"left out: {error.what}: {error.seen}\n")
        return Lane.IGNORED
