"""The step `start`: what a run is about and, if it may publish, what is to be done.

It is `locate` and `plan` in one pod: a second pod would take six seconds more before anything is built.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated

from pipelines.errors import ShipwayError
from pipelines.events import lanes
from pipelines.events.decode import LaneSettings, RunInputs
from pipelines.events.event import Decoded, EventKind, Lane
from pipelines.events.locate import PATIENCE_SECONDS, locate
from pipelines.release import own_commit
from pipelines.release.model import Planned
from pipelines.release.own_commit import OwnCommit
from pipelines.release.plan import plan
from pipelines.step.groups import ChartSettings, CommitInputs, NetworkSettings, ReadLogins, TargetSettings
from pipelines.step.parameters import Patience, Rebuild
from pipelines.step.signature import Group
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git


def start(
    *,
    inputs: Annotated[RunInputs, Group()],
    rebuild: Rebuild = (),
    rules: Annotated[LaneSettings, Group()],
    logins: Annotated[ReadLogins, Group()],
    settings: Annotated[ChartSettings, Group()],
    builder: Annotated[TargetSettings, Group()],
    patience: Patience = PATIENCE_SECONDS,
) -> Started:
    """Do what the step locate does and, in the trusted lane, what the step plan does. Raises what they raise.

    A push of a commit that a run of ours made does nothing more: that run publishes what it moved. If the plan fails,
    the outputs still say what the event is about, for the report.

    Example:
        shipway step start --repo=https://example.org/shop.git --registry=registry.example.org --outputs=out/main
    """
    located = locate(inputs=inputs, rules=rules, credentials=logins.credentials, network=settings, patience=patience)
    if located.lane is not Lane.TRUSTED:
        return Started(**vars(located))
    with ThreadPoolExecutor(1) as beside:
        own = beside.submit(_own, located, logins, settings)
        try:
            planned = plan(
                inputs=CommitInputs(repo=located.repo, revision=located.revision, ref=located.ref),
                rebuild=rebuild,
                max_age=located.max_age,
                logins=logins,
                settings=settings,
                builder=builder,
            )
        except ShipwayError as error:
            if own.result() is None:
                error.result = Started(**vars(located))
                raise
            planned = Planned()
    if made := own.result():
        reason = lanes.made(made.run, made.source)
        sys.stderr.write(f"{reason}\n")
        return Started(**{**vars(located), "lane": Lane.OWN, "reason": reason})
    return Started(**{**vars(located), **vars(planned), "ref": planned.ref or located.ref})


def _own(located: Decoded, logins: ReadLogins, network: NetworkSettings) -> OwnCommit | None:
    """Return what a pushed branch's head was made of by a run of ours, or None."""
    if located.kind is not EventKind.PUSH or located.revision != located.head:
        return None
    with Git(GitCredentials.read(logins.credentials), ca_file=network.authorities) as git:
        return own_commit.read(git, RepositoryUrl(located.repo), located.head)


@dataclass(frozen=True, kw_only=True)
class Started(Decoded, Planned):
    """An event with the plan of its commit; outside the trusted lane, the plan is empty.

    `ref` is the plan's, if there is one: a person may ask for HEAD.
    """
