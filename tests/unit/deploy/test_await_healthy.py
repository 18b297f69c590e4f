"""The status of an application, compared with its files, and the wait until it is healthy."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from pipelines.deploy import await_healthy
from pipelines.deploy import status as application_status
from pipelines.deploy.commit_statuses import CommitStatuses
from pipelines.deploy.status import BROKEN, SETTLED, WAITING, ApplicationStatus, DeployedImage, LiveState
from pipelines.errors import Misuse, ShipwayError
from pipelines.tools.forge.forge import StatusState

COMMIT, OTHER, SOURCE = "a" * 40, "b" * 40, "c" * 40
DIGEST = f"sha256:{'d' * 64}"
IMAGE = DeployedImage(image="r.example/web", tag="main", digest=DIGEST, revision=SOURCE, source="", runs=True)
HEALTHY = LiveState(
    sync="Synced",
    health="Healthy",
    operation="Succeeded",
    message="",
    revisions=("1.0.0", COMMIT),
    targets=("1.0.0", "main"),
    images=(f"r.example/web@{DIGEST}",),
)
ROW = ApplicationStatus(
    environment="dev",
    application="web",
    chart="web",
    version="1.0.0",
    chart_digest="sha256:" + "e" * 64,
    chart_revision=OTHER,
    commit=COMMIT,
    images=(IMAGE,),
    state=HEALTHY,
    fault="",
)


def test_an_application_is_read_as_argo_cd_writes_it() -> None:
    """With one source or several, at rest, failed, or never compared."""
    document = {
        "status": {
            "sync": {
                "status": "OutOfSync",
                "revisions": ["1.0.0", COMMIT],
                "comparedTo": {"sources": [{"targetRevision": "1.0.0"}, {"targetRevision": "main"}]},
            },
            "health": {"status": "Degraded"},
            "operationState": {"phase": "Failed", "message": "one\n  object failed"},
            "conditions": [{"type": "ComparisonError", "message": "no such chart"}, {"type": "Note", "message": "x"}],
            "summary": {"images": ["a", "b"]},
        }
    }
    found = application_status.live_state(document)
    assert found.message == "one object failed no such chart"
    assert (found.revisions, found.targets, found.images) == (("1.0.0", COMMIT), ("1.0.0", "main"), ("a", "b"))
    single = application_status.live_state(
        {"status": {"sync": {"revision": "x", "comparedTo": {"source": {"targetRevision": "y"}}}}}
    )
    assert (single.revisions, single.targets, single.sync) == (("x",), ("y",), "")
    assert application_status.live_state({}).health == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, SETTLED),
        # A later commit of the environments repository took over, and left this application as it was.
        ({"revisions": ("1.0.0", OTHER)}, SETTLED),
        ({"revisions": ("0.9.0", OTHER), "targets": ("0.9.0", "main")}, WAITING),
        # Argo CD has seen the commit of the files, and the ApplicationSet has not written their version yet.
        ({"revisions": ("0.9.0", COMMIT), "targets": ("0.9.0", "main")}, WAITING),
        ({"sync": "OutOfSync"}, WAITING),
        ({"health": "Progressing"}, WAITING),
        ({"operation": "Running"}, WAITING),
        ({"health": "Degraded"}, BROKEN),
        ({"health": "Degraded", "operation": "Running"}, BROKEN),
        ({"sync": "OutOfSync", "operation": "Failed"}, BROKEN),
        # What failed is what was there before.
        ({"revisions": ("0.9.0", OTHER), "targets": ("0.9.0", "main"), "health": "Degraded"}, WAITING),
    ],
)
def test_an_application_is_settled_only_as_its_files_ask(changes: dict[str, object], expected: str) -> None:
    """Synced and Healthy with an older commit is not enough."""
    row = replace(ROW, state=replace(HEALTHY, **changes))  # type: ignore[arg-type]
    assert application_status.rollout(row) == expected


def test_an_older_image_is_waited_for() -> None:
    """Even if Argo CD compared the application with another commit."""
    old = replace(ROW, images=(replace(IMAGE, runs=False),), state=replace(HEALTHY, revisions=("1.0.0", OTHER)))
    assert application_status.rollout(old) == WAITING
    assert application_status.rollout(replace(ROW, state=None)) == WAITING


def test_a_question_is_a_commit_a_digest_or_a_name() -> None:
    """In full or as a prefix; a commit of the image, of the chart, or of the environments repository."""
    api = replace(ROW, application="api", images=(), chart_revision="", chart_digest="", state=None)
    rows = (ROW, api)
    for question in (SOURCE, SOURCE[:7], OTHER, DIGEST, DIGEST[:20], ROW.chart_digest, "web", "dev/web"):
        assert application_status.matching(rows, question) == (ROW,), question
    assert application_status.matching(rows, COMMIT) == rows
    assert application_status.matching(rows, "f" * 40) == ()
    assert application_status.matching(rows, "f" * 40, [SOURCE]) == (ROW,)
    assert application_status.matching(rows, "nothing") == ()
    with pytest.raises(Misuse):
        application_status.matching(rows, "no such/thing/../x")


def test_the_table_has_a_line_for_each_image() -> None:
    """From the source commit to what runs, with the faults below."""
    text = application_status.table(
        [ROW, replace(ROW, application="bad", images=(), state=None, fault="no such chart")]
    )
    lines = text.splitlines()
    assert lines[1].split() == [
        "dev/web",
        "web",
        "1.0.0",
        "web",
        "d" * 12,
        "c" * 8,
        "a" * 8,
        "Synced",
        "Healthy",
        "yes",
    ]
    assert lines[-1] == "dev/bad: no such chart"


def wait(
    series: Sequence[ApplicationStatus | None], seconds: float = 60.0, *, steady: float = 0.0
) -> tuple[list[str], str]:
    """Wait over a series of statuses, the last of which stays; return the commit statuses and the result."""
    left: Iterator[ApplicationStatus | None] = iter(series)
    last: list[ApplicationStatus | None] = [None]

    def read() -> tuple[ApplicationStatus, ...]:
        last[0] = next(left, last[0])
        return (last[0],) if last[0] else ()

    said: list[str] = []

    class Recorder(CommitStatuses):
        def report(
            self, environment: str, applications: Sequence[ApplicationStatus], state: StatusState, text: str
        ) -> None:
            before = dict(self.reported)
            super().report(environment, applications, state, text)
            said.extend(
                f"{commit[0]} {where} {self.reported[commit, where][0]}: {self.reported[commit, where][1]}"
                for commit, where in self.reported
                if self.reported[commit, where] != before.get((commit, where))
            )

    commit_statuses = Recorder(commit=SOURCE, repo="git.example.com/team/shop", forge=None, reported={})
    try:
        return said, await_healthy.wait(read, commit_statuses, seconds=seconds, pause=0.0, steady=steady).summary
    except ShipwayError as error:
        return said, error.seen


def test_waiting_ends_when_everything_is_settled() -> None:
    """The commit's status is pending, then success, each set once; nothing to wait for is no failure."""
    behind = replace(ROW, state=replace(HEALTHY, sync="OutOfSync"))
    said, end = wait([behind, behind, ROW])
    assert said == [
        "c dev pending: waiting for Argo CD: web",
        "c dev success: runs, Synced and Healthy: web",
    ]
    assert end == "1 of 1 applications are Synced and Healthy"
    deployed = replace(IMAGE, revision=OTHER, source="https://git.example.com/team/shop.git")
    changed = replace(ROW, chart_revision=SOURCE, images=(deployed,))
    assert [text[:5] for text in wait([changed])[0]] == ["c dev", "b dev"]
    for text in ("..", "main", "x/../../y", f"{OTHER[:39]}"):
        forged = replace(changed, images=(replace(deployed, revision=text),))
        assert [told[:5] for told in wait([forged])[0]] == ["c dev"], "an annotation may say anything"
    late = replace(changed, state=replace(HEALTHY, sync="OutOfSync"))
    assert [text[:13] for text in wait([late, changed])[0]] == ["c dev pending", "c dev success", "b dev success"]
    assert wait([None]) == ([], "no application runs anything of this commit")


def test_what_a_later_commit_replaces_is_not_pending_for_good() -> None:
    """The environment runs something else by then, and nobody looks at this commit's again."""
    behind = replace(ROW, state=replace(HEALTHY, sync="OutOfSync"))
    said, _ = wait([behind, replace(ROW, environment="prod")])
    assert said == [
        "c dev pending: waiting for Argo CD: web",
        "c dev success: a later commit has taken its place",
        "c prod success: runs, Synced and Healthy: web",
    ]


def test_how_long_it_is_settled_is_what_argo_cd_says() -> None:
    """One that has long been settled is told at once; one that just became so waits, also by a clock ahead of ours."""
    long_ago = replace(ROW, state=replace(HEALTHY, since=time.time() - 600))
    assert wait([long_ago], steady=500.0)[0] == ["c dev success: runs, Synced and Healthy: web"]
    for since in (time.time(), time.time() + 600, 0.0):
        just = replace(ROW, state=replace(HEALTHY, since=since))
        said, _ = wait([just], steady=0.05)
        assert [text[:13] for text in said] == ["c dev pending", "c dev success"]
    document = {
        "status": {
            "operationState": {"finishedAt": "2026-11-30T10:00:00Z"},
            "health": {"lastTransitionTime": "2026-11-30T10:00:07Z"},
        }
    }
    first = application_status.live_state(document).since
    del document["status"]["health"]
    assert first - application_status.live_state(document).since == 7.0


def test_what_runs_unseen_is_unknown_and_pods_of_before_are_not_settled() -> None:
    """Neither is pending for good: the first is told with its words, the second fails when the time is over."""
    unseen = replace(ROW, images=(replace(IMAGE, runs=None, why="unknown: main is a moving tag, and so on"),))
    told = "Synced and Healthy: web; unknown what runs: web (main is a moving tag, and so on)"
    assert wait([unseen])[0] == [f"c dev success: {told}"]
    before = replace(ROW, images=(replace(IMAGE, runs=False, why="pods run sha256:aa", pods=("sha256:aa",)),))
    assert application_status.rollout(before) == WAITING
    assert wait([before], seconds=0.0)[0][-1] == "c dev failure: web is Synced, Healthy, pods run sha256:aa"
    unnamed = replace(ROW, images=(replace(IMAGE, runs=False),))
    assert application_status.rollout(unnamed) == SETTLED


def test_waiting_ends_with_its_time() -> None:
    """A broken or late application fails, and the commit's status has Argo CD's message."""
    broken = replace(ROW, state=replace(HEALTHY, health="Degraded", message="image not found"))
    said, end = wait([broken], seconds=0.0)
    assert said[-1] == "c dev failure: web is Synced, Degraded, image not found"
    assert end == "dev/web is Synced, Degraded, image not found"
    late = replace(ROW, images=(replace(IMAGE, runs=False),), state=replace(HEALTHY, revisions=("1.0.0", OTHER)))
    said, _ = wait([late], seconds=0.0)
    assert said[-1] == "c dev failure: web is Synced, Healthy, not at aaaaaaaa yet"
    assert "not in Argo CD" in wait([replace(ROW, state=None)], seconds=0.0)[1]
