"""The step `start`: what a run is about and, if it may publish, what is to be done.

It is `locate` and `plan` in one pod: a second pod would take six seconds more before anything is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pipelines.errors import ShipwayError
from pipelines.events.decode import MAX_AGE, PROTECTED_BRANCHES, PROTECTED_TAGS
from pipelines.events.event import Decoded, Lane
from pipelines.events.locate import PATIENCE_SECONDS, locate
from pipelines.release.model import Planned
from pipelines.release.plan import plan
from pipelines.step.groups import BuilderSettings, ChartSettings
from pipelines.step.parameters import (
    AskedRef,
    AskedRepo,
    AskedRevision,
    EventText,
    GitLogin,
    Maintainers,
    NightlyAge,
    Patience,
    ProtectedBranches,
    ProtectedTags,
    PullLogins,
    Rebuild,
    Repositories,
)
from pipelines.step.signature import Group


def start(
    *,
    event: EventText = "",
    repo: AskedRepo = "",
    revision: AskedRevision = "",
    ref: AskedRef = "",
    rebuild: Rebuild = (),
    protected_branches: ProtectedBranches = PROTECTED_BRANCHES,
    protected_tags: ProtectedTags = PROTECTED_TAGS,
    maintainers: Maintainers = "",
    repositories: Repositories = "",
    max_age: NightlyAge = MAX_AGE,
    credentials: GitLogin = Path("../git"),
    docker_config: PullLogins = Path("../pull"),
    settings: Annotated[ChartSettings, Group()],
    builder: Annotated[BuilderSettings, Group()],
    patience: Patience = PATIENCE_SECONDS,
) -> Started:
    """Do what the step locate does and, in the trusted lane, what the step plan does. Raises what they raise.

    If the plan fails, the outputs still say what the event is about, for the report.

    Example:
        shipway step start --repo=https://example.org/team/shop.git --revision=main --registry=registry.example.org --outputs=out/main
    """
    found = locate(
        event=event,
        repo=repo,
        revision=revision,
        ref=ref,
        protected_branches=protected_branches,
        protected_tags=protected_tags,
        maintainers=maintainers,
        repositories=repositories,
        max_age=max_age,
        credentials=credentials,
        ca_file=settings.ca_file,
        patience=patience,
    )
    if found.lane is not Lane.TRUSTED:
        return Started(**vars(found))
    try:
        planned = plan(
            repo=found.repo,
            revision=found.revision,
            ref=found.ref,
            rebuild=rebuild,
            max_age=found.max_age,
            credentials=credentials,
            docker_config=docker_config,
            settings=settings,
            builder=builder,
        )
    except ShipwayError as error:
        error.result = Started(**vars(found))
        raise
    return Started(**{**vars(found), **vars(planned), "ref": planned.ref or found.ref})


@dataclass(frozen=True, kw_only=True)
class Started(Decoded, Planned):
    """An event with the plan of its commit; outside the trusted lane, the plan is empty.

    `ref` is the plan's, if there is one: a person may ask for HEAD.
    """
