"""The first pod of a run: an event with its plan where it may publish, and without one where it may not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipelines.errors import Misconfigured
from pipelines.events import event as events
from pipelines.events.event import EventKind, Lane, Nightly, PullRequest, Push
from pipelines.events.start import Started
from pipelines.release.model import Planned
from tests.git_repositories import Repository
from tests.git_server import GitServer
from tests.real.events.test_locate import PULL, PUSH, made_of
from tests.registry_process import registry
from tests.steps import step

start = step("start", Started)
plan = step("plan", Planned)

NOWHERE = "127.0.0.1:1"


def started(server: GitServer, event: Push | PullRequest | Nightly, address: str) -> Started:
    """Return what the step makes of an event of the repository that is served."""
    repo = f"{server.url}/app/.git"
    return start(
        event=events.write(dataclasses.replace(event, repo=repo)),
        repositories=repo,
        credentials=Path("none"),
        docker_config=Path("none"),
        registry=address,
        plain_http=address,
        patience=0,
    )


def test_a_trusted_event_brings_the_plan_of_its_commit(server: GitServer, app: Repository, tmp_path: Path) -> None:
    """It is the one that the step plan makes of the same commit; what is asked for by hand gets its ref's full name."""
    head = app.git("rev-parse", "main")
    with registry(tmp_path) as address:
        found = started(server, dataclasses.replace(PUSH, head=head), address)
        assert (found.kind, found.lane, found.commit, found.ref) == (
            EventKind.PUSH,
            Lane.TRUSTED,
            head,
            "refs/heads/main",
        )
        given = {"credentials": Path("none"), "docker_config": Path("none"), "registry": address, "plain_http": address}
        planned = plan(repo=found.repo, revision=head, ref=found.ref, now=found.now, **given)
        assert planned.to_do == len(planned.builds) == 1
        assert vars(planned) == {name: getattr(found, name) for name in vars(planned)}
        by_hand = start(repo=found.repo, **given)
        assert (by_hand.kind, by_hand.revision, by_hand.ref) == (EventKind.MANUAL, "HEAD", "refs/heads/main")
        assert (by_hand.commit, by_hand.builds) == (head, planned.builds)


def test_no_registry_is_asked_for_what_may_not_publish(server: GitServer, app: Repository) -> None:
    """A pull request, a merge queue's branch and a late event get no plan, and say what they are about."""
    old, new = app.git("rev-parse", "main"), app.write("more", "x").commit()
    app.git("update-ref", "refs/pull/3/head", new)
    app.git("update-ref", "refs/heads/gh-readonly-queue/main/pr-3", new)
    pull = dataclasses.replace(PULL, number=3, head=new)
    side = dataclasses.replace(PUSH, ref="refs/heads/gh-readonly-queue/main/pr-3", head=new)
    for event, lane in (
        (pull, Lane.UNTRUSTED),
        (side, Lane.UNTRUSTED),
        (dataclasses.replace(PUSH, head=old), Lane.IGNORED),
    ):
        found = started(server, event, NOWHERE)
        assert found.lane is lane
        nothing = vars(Planned())
        del nothing["ref"]
        assert nothing == {name: getattr(found, name) for name in nothing}


def test_what_a_run_made_starts_nothing(server: GitServer, app: Repository, tmp_path: Path) -> None:
    """Its webhook says which run made it of which commit, also if no plan can be made; a night and a person plan it."""
    pushed = app.write("charts/web/values.yaml", "tag: a\n").commit()
    made = made_of(server, app, pushed, "tag: b\n")
    with registry(tmp_path) as address:
        found = started(server, dataclasses.replace(PUSH, head=made), address)
        assert (found.lane, found.head, found.commit, found.builds) == (Lane.OWN, made, "", ())
        assert found.reason == f"nothing to do: made by run push-1 for commit {pushed}"
        assert started(server, dataclasses.replace(PUSH, head=pushed), address).commit == made
        night = Nightly(source="calendar", repo="", ref="refs/heads/main", time="2026-11-24T03:00")
        assert started(server, night, address).commit == made
    assert started(server, dataclasses.replace(PUSH, head=made), "").lane is Lane.OWN


def test_a_plan_that_cannot_be_made_leaves_what_the_event_is_about(server: GitServer, app: Repository) -> None:
    """The report has a commit and a lane to tell of, and the next attempt finds the same."""
    head = app.git("rev-parse", "main")
    with pytest.raises(Misconfigured) as caught:
        started(server, dataclasses.replace(PUSH, head=head), "")
    found = caught.value.result
    assert isinstance(found, Started)
    assert (found.lane, found.revision, found.commit, found.builds) == (Lane.TRUSTED, head, "", ())
