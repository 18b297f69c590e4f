"""The step `start`: what a run is about and, if it may publish, what is to be done.

It is `locate` and `plan` in one pod: a second pod would take six seconds more before anything is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pipelines.errors import ShipwayError
from pipelines.events.decode import LaneSettings, RunInputs
from pipelines.events.event import Decoded, Lane
from pipelines.events.locate import PATIENCE_SECONDS, locate
from pipelines.release.model import Planned
from pipelines.release.plan import plan
from pipelines.step.groups import BuilderSettings, ChartSettings, CommitInputs, ReadLogins
from pipelines.step.parameters import Patience, Rebuild
from pipelines.step.signature import Group


def start(
    *,
    inputs: Annotated[RunInputs, Group()],
    rebuild: Rebuild = (),
    rules: Annotated[LaneSettings, Group()],
    logins: Annotated[ReadLogins, Group()],
    settings: Annotated[ChartSettings, Group()],
    builder: Annotated[BuilderSettings, Group()],
    patience: Patience = PATIENCE_SECONDS,
) -> Started:
    """Do what the step locate does and, in the trusted lane, what the step plan does. Raises what they raise.

    If the plan fails, the outputs still say what the event is about, for the report.

    Example:
        shipway step start --repo=https://example.org/shop.git --registry=registry.example.org --outputs=out/main
    """
    located = locate(inputs=inputs, rules=rules, credentials=logins.credentials, network=settings, patience=patience)
    if located.lane is not Lane.TRUSTED:
        return Started(**vars(located))
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
        error.result = Started(**vars(located))
        raise
    return Started(**{**vars(located), **vars(planned), "ref": planned.ref or located.ref})


@dataclass(frozen=True, kw_only=True)
class Started(Decoded, Planned):
    """An event with the plan of its commit; outside the trusted lane, the plan is empty.

    `ref` is the plan's, if there is one: a person may ask for HEAD.
    """
