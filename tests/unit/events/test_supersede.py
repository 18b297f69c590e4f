"""Which run of a branch goes on: over an API server at the network's edge, from labels and times alone."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import Misuse, Transient
from pipelines.events.event import (
    BY_ANNOTATION,
    FIRST_ANNOTATION,
    FOR_ANNOTATION,
    GROUP_LABEL,
    REF_LABEL,
    NightlyRef,
    Tonight,
)
from pipelines.events.reconcile import reconcile
from pipelines.events.run_labels import DESCRIPTION
from pipelines.events.supersede import supersede
from pipelines.tools import kubernetes
from tests.kubernetes_api import HEEDED_RESET, NAMESPACE, TOKEN, Cluster, Reply, cluster

GROUP, REF = "a" * 32, "b" * 32


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """An API server, which the account below speaks to."""
    with cluster() as found:
        first = kubernetes.Kubernetes.__init__

        def init(self: kubernetes.Kubernetes, account: Path) -> None:
            first(self, account, server=f"http://{found.address}", pauses=(0.0, 0.0))

        monkeypatch.setattr(kubernetes.Kubernetes, "__init__", init)
        yield found


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """The folder of an account, as its Secret is mounted."""
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "namespace").write_text(f"{NAMESPACE}\n")
    return tmp_path


def put(api: Cluster, name: str, second: int, **labels: str) -> None:
    """Place a run that was made in that second, with the labels `group` and `ref`, and maybe ended."""
    api.put(name, {}, {}, created=f"2026-11-24T03:00:{second:02d}Z")
    names = {"group": GROUP_LABEL, "ref": REF_LABEL, "completed": "workflows.argoproj.io/completed"}
    api.workflows[name]["metadata"]["labels"] = {names[key]: value for key, value in labels.items()}


def stopped(api: Cluster) -> dict[str, str]:
    """Return the runs that were stopped, and for whose sake."""
    return {
        name: run["metadata"]["annotations"][BY_ANNOTATION]
        for name, run in api.workflows.items()
        if run["spec"].get("shutdown") == "Stop"
    }


def test_the_newest_stops_the_others(api: Cluster, account: Path) -> None:
    """Older runs of the group are stopped, begun or pending.

    Newer ones that may be late events, ended and foreign ones are not.
    """
    put(api, "begun", 1, group=GROUP, ref=REF)
    put(api, "pending", 2, ref=REF)
    put(api, "nightly", 3, group=GROUP)
    put(api, "same-second-a", 10, ref=REF)
    put(api, "same-second-b", 10, ref=REF)
    put(api, "same-second-c", 10, ref=REF)
    put(api, "late-event", 20, ref=REF)
    put(api, "ended", 4, group=GROUP, ref=REF, completed="true")
    put(api, "other", 5, group="c" * 32, ref="d" * 32)
    put(api, "by-hand", 6)
    put(api, "other-lane", 7, group="e" * 32, ref=REF)
    api.workflows["begun"]["metadata"]["annotations"] = {DESCRIPTION: "push at `1a2b3c4d5e`: `Mend`"}
    found = supersede(run="same-second-b", group=GROUP, lane="trusted", head="c" * 40, account=account)
    assert found.newest == "same-second-b"
    assert set(found.stopped) == {"begun", "pending", "nightly", "same-second-a"}
    assert stopped(api) == dict.fromkeys(found.stopped, "same-second-b")
    assert api.workflows["same-second-b"]["metadata"]["labels"] == {
        GROUP_LABEL: GROUP,
        REF_LABEL: REF,
        "shipway.io/lane": "trusted",
        "shipway.io/commit": "c" * 40,
    }
    why = {name: api.workflows[name]["metadata"]["annotations"][DESCRIPTION] for name in ("begun", "pending")}
    assert why == {
        "begun": "superseded by `same-second-b`; push at `1a2b3c4d5e`: `Mend`",
        "pending": "superseded by `same-second-b`",
    }


def test_a_closed_pull_request_stops_its_runs(api: Cluster, account: Path) -> None:
    """Those that have begun and those that have not; one of a pull request that was opened again goes on."""
    put(api, "begun", 1, group=GROUP, ref=REF)
    put(api, "pending", 2, ref=REF)
    put(api, "closed", 3, ref=REF)
    found = supersede(run="closed", group=GROUP, lane="closed", account=account)
    assert (found.newest, set(found.stopped)) == ("closed", {"begun", "pending"})
    put(api, "reopened", 4, group=GROUP, ref=REF)
    assert supersede(run="closed", group=GROUP, lane="closed", account=account).newest == "reopened"


def test_an_older_run_yields_to_one_that_has_come_so_far(api: Cluster, account: Path) -> None:
    """Whoever comes second stops, whichever of the two asks first: never both, never neither."""
    put(api, "old", 1, ref=REF)
    put(api, "new", 2, ref=REF)
    assert supersede(run="old", group=GROUP, account=account).stopped == ()
    assert stopped(api) == {}
    assert supersede(run="new", group=GROUP, account=account).stopped == ("old",)
    api.workflows["old"]["spec"].clear()
    assert supersede(run="old", group=GROUP, account=account).newest == "new"
    assert stopped(api) == {"old": "new"}


def test_a_retry_of_an_old_run_yields_to_a_run_that_has_begun_since(api: Cluster, account: Path) -> None:
    """It is as old as its first run, for who stops whom as for whose report counts; else each leaves it to the other.

    Over the run that it repeats, it wins.
    """
    put(api, "first", 1, group=GROUP, ref=REF)
    put(api, "retry", 9, ref=REF)
    api.workflows["retry"]["metadata"]["annotations"] = {FIRST_ANNOTATION: "2026-11-24T03:00:01Z"}
    assert supersede(run="retry", group=GROUP, account=account).stopped == ("first",)
    put(api, "since", 5, group=GROUP, ref=REF)
    assert supersede(run="retry", group=GROUP, account=account).newest == "since"
    assert stopped(api) == {"first": "retry", "retry": "since"}


def test_the_api_is_asked_for_names_and_labels_only(api: Cluster, account: Path) -> None:
    """What a run was started with does not come; a lost answer is asked for again, silence is worth another attempt."""
    put(api, "run", 1, ref=REF)
    api.lie("PATCH", "run$", HEEDED_RESET, times=1)
    api.lie("GET", "workflows$", Reply(503, "busy"), times=2)
    assert supersede(run="run", group=GROUP, account=account).newest == "run"
    assert all("PartialObjectMetadata" in accept for accept in api.accepts)
    api.lie("PATCH", "run$", Reply(500, "etcd"))
    with pytest.raises(Transient, match="does not answer"):
        supersede(run="run", group=GROUP, account=account)
    for run, group in (("../x", GROUP), ("run", "main"), ("run", "")):
        with pytest.raises(Misuse):
            supersede(run=run, group=group, account=account)


def test_a_night_starts_each_run_once(api: Cluster, account: Path) -> None:
    """A second attempt finds the runs of the first.

    Another night has its own; nothing of a name stands in a specification as it is.
    """
    ref = "refs/heads/$(id)"
    event = base64.b64encode(ref.encode()).decode()
    repo = "https://git.example.com/a.git"
    refs = (NightlyRef(repo=repo, ref=ref, commit="c" * 40, lane="trusted", group=GROUP, event=event),)
    first = reconcile(tonight=Tonight(time="1", refs=refs), account=account)
    assert len(first.started) == 1
    again = reconcile(tonight=Tonight(time="1", refs=refs), account=account)
    assert (again.started, again.existing) == ((), first.started)
    assert reconcile(tonight=Tonight(time="2", refs=refs), account=account).started != first.started
    assert "$(id)" not in str([run["spec"] for run in api.workflows.values()])
    [name, _] = api.workflows
    metadata = api.workflows[name]["metadata"]
    assert re.fullmatch(r"nightly-a-id-[0-9a-f]{16}", name)
    assert metadata["labels"] == {
        "app.kubernetes.io/name": "shipway",
        "app.kubernetes.io/component": "run",
        GROUP_LABEL: GROUP,
        "shipway.io/repository": "a",
        "shipway.io/ref": "id",
        "shipway.io/commit": "c" * 40,
        "shipway.io/lane": "trusted",
    }
    assert metadata["annotations"]["workflows.argoproj.io/title"] == "`a` `$(id)`"
    assert {run["spec"]["workflowTemplateRef"]["name"] for run in api.workflows.values()} == {"release"}


def test_who_goes_on_tells_of_those_that_were_stopped(api: Cluster, account: Path) -> None:
    """It has their names, also of those that they were to tell of; so it has when the older one asks last."""
    put(api, "first", 1, ref=REF)
    put(api, "second", 2, ref=REF)
    put(api, "third", 3, ref=REF)
    supersede(run="second", group=GROUP, account=account)
    assert noted(api, "second") == {"first"}
    supersede(run="third", group=GROUP, account=account)
    assert noted(api, "third") == {"first", "second"}
    put(api, "late", 2, ref=REF)
    assert supersede(run="late", group=GROUP, account=account).newest == "third"
    assert noted(api, "third") == {"first", "second", "late"}


def noted(api: Cluster, name: str) -> set[str]:
    """Return the runs that one is to tell of."""
    annotations = api.workflows[name]["metadata"].get("annotations", {})
    return {key.removeprefix(FOR_ANNOTATION) for key in annotations if key.startswith(FOR_ANNOTATION)}
