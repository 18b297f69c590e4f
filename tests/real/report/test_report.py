"""What a forge is told of a run: read through an API server, written to a forge, both at the network's edge."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import Misconfigured, ShipwayError, Transient
from pipelines.events import event as events
from pipelines.events import lanes
from pipelines.events.event import (
    BY_ANNOTATION,
    FIRST_ANNOTATION,
    FOR_ANNOTATION,
    RETRY_ANNOTATION,
    Comment,
    PullRequest,
    Push,
)
from pipelines.events.run_labels import LANE_LABEL
from pipelines.release.failure import IN_LOG, UNSAID
from pipelines.release.result import FAILED, IMAGE, SKIPPED, UNTRIED, PartResult, ReleaseResult
from pipelines.report import run as report_run
from pipelines.report.model import CHECK, MARKER, RELEASE, Reported
from pipelines.step import results, texts
from pipelines.tools import kubernetes
from pipelines.tools.forge import connect as forge_connect
from pipelines.tools.registry.connection import Timing
from tests import workflow_status
from tests.forge_server import TOKEN as FORGE_TOKEN
from tests.forge_server import ForgeServer, forge_server, said
from tests.kubernetes_api import NAMESPACE, TOKEN, Cluster, Log, cluster
from tests.steps import step

PHASE = "workflows.argoproj.io/phase"
COMMIT, SOURCE = "c" * 40, "d" * 40
REPO = "https://git.example.com/team/shop.git"
UI = "https://argo.example.com"
FAST = Timing(answer_seconds=5, attempts=2, backoff_seconds=0.01, longest_wait_seconds=0.02)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """An API server, which the account below speaks to."""
    with cluster() as found:
        first = kubernetes.Kubernetes.__init__

        def init(self: kubernetes.Kubernetes, account: Path) -> None:
            first(self, account, server=f"http://{found.address}", pauses=(0.0,))

        monkeypatch.setattr(kubernetes.Kubernetes, "__init__", init)
        yield found


@pytest.fixture
def forge() -> Iterator[ForgeServer]:
    """A forge that the setting `forges` below names."""
    with forge_server("gitea") as found:
        yield found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folders of the account and of the forge's token, as their Secrets are mounted."""
    for folder, files in {
        "account": {"token": TOKEN, "namespace": NAMESPACE},
        "forge": {"git.example.com.token": FORGE_TOKEN},
    }.items():
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text)
    return tmp_path


def node(template: str, phase: str = "Succeeded", message: str = "", **outputs: str) -> dict[str, Any]:
    """Return a pod's node of a run."""
    parameters = [{"name": name.replace("_", "-"), "value": value} for name, value in outputs.items()]
    return {
        "type": "Pod",
        "templateName": template,
        "displayName": f"{template}(0)",
        "phase": phase,
        "message": message,
        "outputs": {"parameters": parameters},
    }


def put(
    api: Cluster,
    *nodes: dict[str, Any],
    run: str = "push-1",
    phase: str = "Running",
    second: int = 1,
    number: int = 0,
    lane: str = "trusted",
    kind: str = "push",
    commit: str = COMMIT,
    ref: str = "refs/heads/main",
    is_decoded: bool = True,
) -> dict[str, Any]:
    """Place a run of the commit; its root node has the phase."""
    decoded = node(
        "start",
        repo=REPO,
        lane=lane,
        head=commit,
        revision=commit,
        ref=ref,
        kind=kind,
        number=str(number),
    )
    root = {"name": run, "type": "DAG", "templateName": "release", "phase": phase}
    every = [root, *([decoded] if is_decoded else []), *nodes]
    named = {f"{run}-{n}": {"id": f"{run}-{n}", "name": f"{run}.{n}", **one} for n, one in enumerate(every)}
    api.put(run, {}, {"nodes": named}, created=f"2026-11-24T03:00:{second:02d}Z")
    return api.workflows[run]


def report(place: Path, forge: ForgeServer, phase: str = "final", run: str = "push-1", ui: str = UI) -> Reported:
    """Run the step."""
    return step("report", Reported)(
        run=run,
        phase=phase,
        account=place / "account",
        logins=place / "forge",
        forges=f"git.example.com={forge.kind}+{forge.base}",
        plain_http=forge.address,
        argo_ui=ui,
        repositories=REPO,
        maintainers="ada",
    )


def summary() -> str:
    """Return what a verdict puts out for an image that failed."""
    part = PartResult(
        kind=IMAGE, name="web", path="web", result=FAILED, why="RUN false", lines=("$ RUN false", "@all exit 1")
    )
    found = ReleaseResult(
        repo=REPO, commit=COMMIT, ref="", is_good=False, verdict="0 of 1 published", parts=(part,), left_out=0
    )
    return texts.encode(results.text_of(found))


def test_a_run_is_pending_and_then_done(api: Cluster, forge: ForgeServer, place: Path) -> None:
    put(api)
    report(place, forge, "pending")
    put(api, node("verdict", verdict="2 of 2 published"), phase="Succeeded")
    report(place, forge)
    assert forge.states(COMMIT, RELEASE) == ["pending", "success"]
    assert forge.statuses[-1][1]["target_url"] == f"{UI}/workflows/{NAMESPACE}/push-1"
    assert forge.statuses[-1][1]["description"] == "2 of 2 published"
    assert not forge.comments


def test_a_pull_request_gets_one_comment_with_what_failed(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """A second run of it, for another commit, changes the comment; a late report of the first changes nothing of it."""
    failed = node("verdict", "Failed", "main: Error (exit code 1)", summary=summary())
    put(api, failed, phase="Failed", number=3, lane="untrusted", kind="pull_request")
    report(place, forge)
    assert forge.states(COMMIT, CHECK) == ["failure"]
    assert forge.statuses[-1][1]["description"] == "web: failed"
    [comment] = forge.comments
    assert "| image | `web` | failed | `RUN false` |" in comment["body"]
    assert "```text\n$ RUN false\n@all exit 1\n```" in comment["body"]
    put(api, run="push-2", second=2, phase="Succeeded", number=3, lane="untrusted", commit="d" * 40)
    report(place, forge, run="push-2")
    report(place, forge)
    [comment] = forge.comments
    assert comment["body"].startswith(f"<!-- {MARKER} -->")
    assert "**Shipway: done** at `dddddddddddd`" in comment["body"]


def test_whose_fault_it_is_follows_from_exit_codes(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """1 to 3 are the commit's; 75, 78 and kills are the run's own trouble, whatever the verdict says after them."""
    verdict = node("verdict", "Failed", "main: Error (exit code 1)")
    for code, state in {1: "failure", 3: "failure", 75: "error", 78: "error", 137: "error"}.items():
        put(api, node("plan", "Failed", f"main: Error (exit code {code})"), verdict, phase="Failed")
        assert report(place, forge).state == state
    put(api, node("plan", "Error", "pod deleted"), phase="Error")
    assert report(place, forge).state == "error"
    put(api, verdict, node("begin-pod", "Error", "account not found"), phase="Failed")
    assert report(place, forge).state == "failure"


def test_the_ends_of_logs_stand_in_for_a_verdict_that_never_came(api: Cluster, forge: ForgeServer, place: Path) -> None:
    run = put(api, node("plan", "Failed", "main: Error (exit code 3)"), phase="Failed", number=3, lane="untrusted")
    [pod] = report_run.failed_pods(run)
    api.logs[pod.pod, "main"] = Log(lines=[("2026-11-24T03:00:00Z", "web/Dockerfile:3: unknown word")])
    report(place, forge)
    assert "web/Dockerfile:3: unknown word" in forge.comments[0]["body"]
    assert forge.statuses[-1][1]["description"] == "plan failed"


@pytest.mark.parametrize("ui", [UI, ""], ids=["a link", "no link"])
def test_a_failure_is_told_in_the_words_of_its_step(api: Cluster, forge: ForgeServer, place: Path, ui: str) -> None:
    """Of the container that failed, as its log ends; the children that were not built for it are counted."""
    parts = (
        PartResult(kind=IMAGE, name="web", path="web", result=FAILED, why=IN_LOG),
        PartResult(kind=IMAGE, name="api", path="api", result=SKIPPED, why="its parent web failed"),
    )
    found = ReleaseResult(repo=REPO, commit=COMMIT, ref="", is_good=False, verdict="0 of 2", parts=parts, left_out=0)
    verdict = node("verdict", "Failed", "main: Error (exit code 1)", summary=texts.encode(results.text_of(found)))
    status = workflow_status.image("push-1.image", "Failed", "Succeeded", "Succeeded", "Failed 78")
    nodes = {name: dict(one) for name, one in status["nodes"].items()}
    inputs = {"parameters": [{"name": "name", "value": "web"}]}
    nodes["id-push-1.image(0)"] |= {"templateName": "clone-build-push", "inputs": inputs}
    workflow = put(api, verdict, phase="Failed")
    workflow["status"]["nodes"] |= nodes
    workflow["status"]["storedWorkflowTemplateSpec"] = status["storedWorkflowTemplateSpec"]
    [pod] = [one for one in report_run.failed_pods(workflow) if one.template == "clone-build-push"]
    assert (pod.subject, pod.container) == ("web", "main")
    seen = "r.example answered 403: DENIED: the robot may not push; token=s3cr3t-0f-mine"
    error = Misconfigured("cannot push r.example/web: not allowed", seen=seen, todo="give it the right")
    moment = "2026-11-24T03:00:00Z"
    api.logs[pod.pod, "main"] = Log(lines=[(moment, line) for line in f"shipway: {error}".splitlines()])
    report(place, forge, ui=ui)
    told = "web: its push was refused: r.example answered 403: DENIED: the robot may not push; token=***; and 1 more"
    assert forge.statuses[-1][1]["description"] == (told if ui else f"{told} [push-1]")


def test_a_deployment_that_failed_is_told_in_the_words_of_its_step(
    api: Cluster, forge: ForgeServer, place: Path
) -> None:
    """Which the last step of the pod passes on; the comment has the end of its log."""
    workflow = put(api, node("deploy", "Failed", "main: Error (exit code 1)"), phase="Failed", number=3)
    [pod] = report_run.failed_pods(workflow)
    error = ShipwayError("the step environments failed: cannot push main", seen="remote: protected")
    lines = f"shipway: {error}".splitlines()
    api.logs[pod.pod, "main"] = Log(lines=[("2026-11-24T03:00:00Z", line) for line in lines])
    report(place, forge)
    told = "deploy: the step environments failed: cannot push main: remote: protected"
    assert forge.statuses[-1][1]["description"] == told
    assert "remote: protected" in forge.comments[0]["body"]


def test_a_build_that_took_too_much_memory_says_so(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """In a release by its container, in a check by the images that its pod was to try; the chart's value is named."""
    oom = "build: OOMKilled (exit code 137): "
    for run, template, inputs, result, context in (
        ("push-1", "clone-build-push", {"name": "web"}, (FAILED, IN_LOG), RELEASE),
        ("push-2", "try-images", {"images": '["web", "api"]'}, (UNTRIED, UNSAID), CHECK),
    ):
        part = PartResult(kind=IMAGE, name="web", path="web", result=result[0], why=result[1])
        found = ReleaseResult(repo=REPO, commit=COMMIT, ref="", is_good=False, verdict="", parts=(part,), left_out=0)
        pod = node(template, "Failed", oom)
        pod["inputs"] = {"parameters": [{"name": name, "value": value} for name, value in inputs.items()]}
        verdict = node("verdict", "Failed", "main: Error (exit code 1)", summary=texts.encode(results.text_of(found)))
        build = {
            "type": "Container",
            "displayName": "build",
            "phase": "Failed",
            "boundaryID": f"{run}-3",
            "message": oom,
        }
        lane = "trusted" if context == RELEASE else "untrusted"
        put(api, verdict, pod, build, run=run, phase="Failed", lane=lane)
        report(place, forge, run=run)
        told = (
            f"web: its build took more memory than it may (OOMKilled); raise resources.{template}.build.limits.memory"
        )
        assert forge.statuses[-1][1]["description"] == told
        assert forge.states(COMMIT, context)[-1] == "error"


def test_a_stopped_run_is_an_error_unless_a_newer_one_tells_of_the_commit(
    api: Cluster, forge: ForgeServer, place: Path
) -> None:
    run = put(api, phase="Failed")
    run["spec"]["shutdown"] = "Stop"
    report(place, forge)
    assert forge.states(COMMIT) == ["error"]
    assert forge.statuses[-1][1]["description"] == "stopped"
    run["metadata"]["annotations"] = {BY_ANNOTATION: "push-2"}
    put(api, run="push-2", second=2, commit="d" * 40)
    assert report(place, forge).reason == "stopped: the newer run push-2 goes on"
    api.workflows["push-2"]["metadata"]["labels"] = {"workflows.argoproj.io/phase": "Failed"}
    assert report(place, forge).reason == "stopped: the newer run push-2 has ended"
    put(api, run="push-2", second=2)
    assert report(place, forge).reason == "push-2 tells of this commit"
    assert forge.states(COMMIT) == ["error", "error", "error"]
    del api.workflows["push-2"]
    assert report(place, forge).reason == "stopped: the newer run push-2 has ended"


def test_a_stopped_run_hands_its_commit_over(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """The newer run tells it that it goes on, and then how that ended; the stopped one says nothing any more."""
    older, newer = "d" * 40, "e" * 40
    run = put(api, phase="Failed", commit=older)
    report(place, forge, "pending")
    run["spec"]["shutdown"] = "Stop"
    run["metadata"]["annotations"] = {BY_ANNOTATION: "push-2"}
    notes = {f"{FOR_ANNOTATION}push-1": "", f"{FOR_ANNOTATION}gone": ""}
    put(api, run="push-2", second=2, commit=newer)["metadata"]["annotations"] = notes
    report(place, forge, "pending", run="push-2")
    assert report(place, forge).reason == "push-2 tells of this commit"
    assert forge.states(older, RELEASE) == ["pending", "pending"]
    assert forge.statuses[-1][1]["description"] == f"goes on with {newer[:12]}, pushed after it"
    done = node("verdict", verdict="all")
    put(api, done, run="push-2", second=2, commit=newer, phase="Succeeded")["metadata"]["annotations"] = notes
    report(place, forge, run="push-2")
    assert (forge.states(newer)[-1], forge.states(older)[-1]) == ("success", "success")
    assert forge.statuses[-1][1]["description"] == f"published with {newer[:12]}, pushed after it"
    put(api, run="push-2", second=2, commit=newer, phase="Failed")["metadata"]["annotations"] = notes
    report(place, forge, run="push-2")
    assert (forge.states(newer)[-1], forge.states(older)[-1]) == ("error", "success"), "what is published stays so"


def test_what_the_newer_run_could_not_publish_is_told_of_both(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """The stopped one published nothing by itself."""
    older, newer = "d" * 40, "e" * 40
    put(api, phase="Failed", commit=older)
    notes = {f"{FOR_ANNOTATION}push-1": ""}
    put(api, run="push-2", second=2, commit=newer, phase="Failed")["metadata"]["annotations"] = notes
    report(place, forge, run="push-2")
    assert (forge.states(newer), forge.states(older)) == (["error"], ["error"])


def test_a_run_that_was_stopped_too_late_tells_how_the_newer_one_ended(
    api: Cluster, forge: ForgeServer, place: Path
) -> None:
    """That one has told what it had to tell by then."""
    run = put(api, phase="Failed")
    run["spec"]["shutdown"] = "Stop"
    run["metadata"]["annotations"] = {BY_ANNOTATION: "push-2"}
    metadata = put(api, run="push-2", second=2, commit="d" * 40)["metadata"]
    metadata["annotations"] = {f"{FOR_ANNOTATION}push-1": ""}
    ended = "workflows.argoproj.io/completed"
    metadata["labels"] = {ended: "true", "workflows.argoproj.io/phase": "Succeeded"}
    assert report(place, forge).reason == "published by the newer run push-2"
    assert forge.states(COMMIT) == ["success"]


def test_a_commit_that_was_handed_over_follows_whoever_goes_on(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """Also where the newer run was terminated or failed, and the night or a retry does what it was to do."""
    older, newer, notes = "d" * 40, "e" * 40, {f"{FOR_ANNOTATION}push-1": ""}
    again = {**notes, RETRY_ANNOTATION: "push-2", FIRST_ANNOTATION: "2026-11-24T03:00:02Z"}
    for ended, run, kind, noted in (("", "night-1", "nightly", {}), ("Failed", "again", "push", again)):
        forge.statuses.clear()
        put(api, phase="Failed", commit=older)
        put(api, run="push-2", second=2, commit=newer)["metadata"]["annotations"] = notes
        report(place, forge, "pending", run="push-2")
        if ended:
            put(api, run="push-2", second=2, commit=newer, phase=ended)["metadata"]["annotations"] = notes
            report(place, forge, run="push-2")
        done = put(api, run=run, second=9, commit=newer, kind=kind, phase="Succeeded")
        done["metadata"]["annotations"] = noted
        report(place, forge, "pending", run=run)
        report(place, forge, run=run)
        assert (forge.states(newer)[-1], forge.states(older)[-1]) == ("success", "success")
        assert forge.statuses[-1][1]["description"] == f"published with {newer[:12]}, pushed after it"


def test_a_commit_of_two_refs_is_good_once_both_are(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """A branch and a tag that are pushed together have two runs, and the commit has one status."""
    for ended, told in (("Failed", "error"), ("Succeeded", "success")):
        for last, run in (("main", "push-1"), ("tag", "push-2")):
            forge.statuses.clear()
            put(api)
            put(api, run="push-2", second=2, kind="tag", ref="refs/tags/v1.0.0")
            report(place, forge, "pending")
            report(place, forge, "pending", run="push-2")
            first = put(api, phase="Succeeded") if last == "tag" else None
            tag = put(api, run="push-2", second=2, kind="tag", ref="refs/tags/v1.0.0", phase="Succeeded")
            tag["metadata"]["labels"] = {"workflows.argoproj.io/phase": "Succeeded"}
            report(place, forge, run="push-1" if first else "push-2")
            if last == "main":
                assert forge.states(COMMIT)[-1] == "pending", "the branch's run goes on"
                put(api, phase=ended)
            else:
                put(api, run="push-2", second=2, kind="tag", ref="refs/tags/v1.0.0", phase=ended)
            report(place, forge, run=run)
            assert forge.states(COMMIT)[-1] == told
            report(place, forge, run="push-2" if last == "main" else "push-1")
            assert forge.states(COMMIT)[-1] == told, "neither hides what the other says"


def test_a_tag_that_is_published_stays_so_whatever_becomes_of_a_newer_push(
    api: Cluster, forge: ForgeServer, place: Path
) -> None:
    """That push was to tell of the same commit as the head that its branch had before."""
    put(api, phase="Failed")
    put(api, run="tag-1", kind="tag", ref="refs/tags/v1.0.0")
    report(place, forge, "pending", run="tag-1")
    notes = {f"{FOR_ANNOTATION}push-1": ""}
    put(api, run="push-2", second=2, commit="e" * 40)["metadata"]["annotations"] = notes
    report(place, forge, "pending", run="push-2")
    put(api, run="tag-1", kind="tag", ref="refs/tags/v1.0.0", phase="Succeeded")
    report(place, forge, run="tag-1")
    put(api, run="push-2", second=2, commit="e" * 40, phase="Failed")["metadata"]["annotations"] = notes
    report(place, forge, run="push-2")
    assert (forge.states(COMMIT)[-1], forge.states("e" * 40)[-1]) == ("success", "error")


def test_a_check_is_not_handed_over(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """That a later commit was tried says nothing of this one."""
    put(api, lane="untrusted", phase="Failed", commit="d" * 40)
    notes = {f"{FOR_ANNOTATION}push-1": ""}
    put(api, run="push-2", second=2, phase="Succeeded", lane="untrusted")["metadata"]["annotations"] = notes
    report(place, forge, run="push-2")
    assert forge.states("d" * 40) == []


def test_an_environment_is_never_pending_for_good(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """What a killed run left waiting ends with it, or with the run that took its commit over; an end stays."""
    older = "d" * 40

    def left(commit: str) -> None:
        for context, state in {"shipway/dev": "success", "shipway/prod": "pending", "other/prod": "pending"}.items():
            forge.statuses.append((commit, {"context": context, "status": state, "description": "", "id": 1}))

    left(COMMIT)
    put(api, phase="Failed")
    report(place, forge, "pending")
    assert forge.states(COMMIT, "shipway/prod") == ["pending"]
    report(place, forge)
    assert forge.states(COMMIT, "shipway/prod") == ["pending", "error"]
    assert forge.states(COMMIT, "shipway/dev") == ["success"]
    assert forge.states(COMMIT, "other/prod") == ["pending"]
    left(older)
    put(api, phase="Failed", commit=older)
    done = put(api, run="push-2", second=2, phase="Succeeded")
    done["metadata"]["annotations"] = {f"{FOR_ANNOTATION}push-1": ""}
    report(place, forge, run="push-2")
    assert forge.states(older, "shipway/prod") == ["pending", "success"]
    assert f"published with {COMMIT[:12]}" in forge.statuses[-2][1]["description"]


def test_a_night_that_was_stopped_leaves_no_environment_pending(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """By a newer push or by a person; what its commit said before stays."""
    for newer in ("push-2", ""):
        forge.statuses.clear()
        put(api, phase="Succeeded")
        report(place, forge)
        forge.statuses.append((COMMIT, {"context": "shipway/dev", "status": "pending", "description": "", "id": 9}))
        night = put(api, run="night-1", second=2, kind="nightly", phase="Failed")
        night["spec"]["shutdown"] = "Stop"
        night["metadata"]["annotations"] = {BY_ANNOTATION: newer} if newer else {}
        done = put(api, run="push-2", second=3, phase="Succeeded", commit="d" * 40)
        done["metadata"]["annotations"] = {f"{FOR_ANNOTATION}night-1": ""}
        report(place, forge, run="night-1")
        report(place, forge, run="push-2") if newer else None
        assert forge.states(COMMIT, RELEASE) == ["success"]
        assert forge.states(COMMIT, "shipway/dev")[-1] == ("success" if newer else "error")


def test_a_retry_is_as_old_as_its_first_run(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """It says what it repeats, changes what that run said, also if that reports late, and nothing of a newer one."""
    put(api, phase="Failed")
    report(place, forge)
    again = put(api, node("verdict", verdict="all"), run="again", second=5, phase="Succeeded", number=3)
    notes = {RETRY_ANNOTATION: "push-1", FIRST_ANNOTATION: api.workflows["push-1"]["metadata"]["creationTimestamp"]}
    again["metadata"]["annotations"] = notes
    assert report(place, forge, run="again").reason == "retry of push-1: all"
    assert "retry of push-1" in forge.comments[0]["body"]
    assert report(place, forge).reason == "the newer run again tells of this commit"
    put(api, run="push-2", second=3, phase="Failed")
    report(place, forge, run="push-2")
    assert report(place, forge, run="again").reason == "the newer run push-2 tells of this commit"
    assert forge.states(COMMIT, RELEASE) == ["error", "success", "error"]


def test_a_run_that_was_stopped_leaves_a_success(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """As a retry of what is published, which yields to a newer push that then fails."""
    put(api, phase="Succeeded")
    report(place, forge)
    again = put(api, run="again", second=9, phase="Failed")
    again["spec"]["shutdown"] = "Stop"
    again["metadata"]["annotations"] = {RETRY_ANNOTATION: "push-1", BY_ANNOTATION: "push-2"}
    put(api, run="push-2", second=3, commit="d" * 40)["metadata"]["labels"] = {PHASE: "Failed"}
    assert report(place, forge, run="again").reason == "it says success already"
    assert forge.states(COMMIT, RELEASE) == ["success"]


def test_a_retry_leaves_a_success_whose_run_is_gone(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """A run that succeeded is kept for a shorter time than an older one that failed, which people may retry then."""
    put(api, phase="Failed")
    report(place, forge)
    put(api, run="push-2", second=2, phase="Succeeded")
    report(place, forge, run="push-2")
    again = put(api, run="again", second=9, phase="Failed")
    again["metadata"]["annotations"] = {RETRY_ANNOTATION: "push-1", FIRST_ANNOTATION: "2026-11-24T03:00:01Z"}
    del api.workflows["push-2"]
    assert report(place, forge, run="again").reason == "it says success already"
    assert forge.states(COMMIT, RELEASE) == ["error", "success"]


def test_a_retry_ends_what_a_terminated_run_left_pending(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """Argo runs no exit handler of a run that was terminated; whether its document is still there or not."""
    put(api)
    report(place, forge, "pending")
    api.workflows["push-1"]["spec"] = {"shutdown": "Terminate"}
    again = put(api, node("verdict", verdict="all"), run="again", second=9, phase="Succeeded")
    again["metadata"]["annotations"] = {RETRY_ANNOTATION: "push-1", FIRST_ANNOTATION: "2026-11-24T03:00:01Z"}
    assert report(place, forge, run="again").state == "success"
    assert forge.states(COMMIT, RELEASE) == ["pending", "success"]


def own(api: Cluster, run: str = "push-1", commit: str = COMMIT) -> None:
    """Place the run of a commit that the run push-0 made of another."""
    reason = lanes.made("push-0", SOURCE)
    root = put(api, run=run, lane="own", phase="Succeeded", commit=commit, second=9)
    root["status"]["nodes"][f"{run}-1"]["outputs"]["parameters"].append({"name": "reason", "value": reason})


@pytest.mark.parametrize(
    ("phase", "state", "told"), [("Succeeded", "success", "published"), ("Failed", "failure", "failed")]
)
def test_what_a_run_made_ends_as_that_run_does(
    api: Cluster, forge: ForgeServer, place: Path, phase: str, state: str, told: str
) -> None:
    """Its own run waits for that; it is told once."""
    verdict = node("verdict", "Failed" if state == "failure" else "Succeeded", "main: Error (exit code 1)")
    put(api, run="push-0", commit=SOURCE)
    own(api)
    with pytest.raises(Transient, match="nobody knows yet what becomes"):
        report(place, forge)
    assert forge.states(COMMIT) == []
    put(api, verdict, run="push-0", commit=SOURCE, phase=phase)
    report(place, forge, run="push-0")
    assert report(place, forge).reason == f"{told} with {SOURCE[:12]}, of which run push-0 made it"
    report(place, forge)
    assert forge.states(COMMIT, RELEASE) == [state]


def test_what_a_run_made_that_was_terminated_is_an_error_until_it_is_repeated(
    api: Cluster, forge: ForgeServer, place: Path
) -> None:
    """No exit handler tells of it; a retry finds the commit and tells it its end, which its own run said before it."""
    put(api, run="push-0", commit=SOURCE)
    report(place, forge, "pending", run="push-0")
    own(api)
    api.workflows["push-0"]["metadata"]["labels"] = {"workflows.argoproj.io/phase": "Failed"}
    assert report(place, forge).state == "error"
    done = [node("verdict", verdict="all"), node("deploy", made=COMMIT, made_of=SOURCE)]
    again = put(api, *done, run="again", second=20, phase="Succeeded", commit=SOURCE)
    again["metadata"]["annotations"] = {RETRY_ANNOTATION: "push-0", FIRST_ANNOTATION: "2026-11-24T03:00:01Z"}
    report(place, forge, run="again")
    assert (forge.states(SOURCE), forge.states(COMMIT)) == (["pending", "success"], ["error", "success"])
    assert forge.statuses[-1][1]["description"] == f"published with {SOURCE[:12]}, of which run push-0 made it"
    report(place, forge)
    del api.workflows["push-0"]
    own(api, "push-7", "e" * 40)
    forge.statuses.clear()
    assert report(place, forge, run="push-7").state == "error", "that run is gone, and its commit was told nothing"


def test_what_a_superseded_run_made_ends_as_the_newest_run_does(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """Not as the one that made it, which was stopped; if its own run is stopped, too, it says so in true words."""
    newer = "e" * 40
    for stopped in (False, True):
        forge.statuses.clear()
        maker = put(api, run="push-0", commit=SOURCE, phase="Failed")
        maker["spec"]["shutdown"] = "Stop"
        maker["metadata"] |= {"annotations": {BY_ANNOTATION: "push-2"}, "labels": {PHASE: "Failed"}}
        own(api)
        notes = {f"{FOR_ANNOTATION}{name}": "" for name in ("push-0", *["push-1"] * stopped)}
        put(api, run="push-2", second=20, commit=newer)["metadata"] |= {"annotations": notes}
        report(place, forge, "pending", run="push-2")
        if not stopped:
            with pytest.raises(Transient):
                report(place, forge)
        put(api, run="push-2", second=20, commit=newer, phase="Succeeded")["metadata"] |= {"annotations": notes}
        report(place, forge, run="push-2")
        report(place, forge)
        assert (forge.states(SOURCE)[-1], forge.states(COMMIT)[-1]) == ("success", "success")
        with_whom = f"{newer[:12]}, pushed after it" if stopped else f"{SOURCE[:12]}, of which run push-0 made it"
        assert forge.statuses[-1][1]["description"] == f"published with {with_whom}"


def test_a_persons_commit_whose_run_was_killed_ends_with_what_that_run_made(
    api: Cluster, forge: ForgeServer, place: Path
) -> None:
    """The branch's head is the run's commit by then, so that no night is about the person's; others are left alone."""
    put(api, run="push-0", commit=SOURCE)
    report(place, forge, "pending", run="push-0")
    deployed = node("deploy", made=COMMIT, made_of=SOURCE)
    put(api, deployed, run="night-1", second=9, kind="nightly", phase="Succeeded")
    report(place, forge, run="night-1")
    assert (forge.states(SOURCE), forge.states(COMMIT)) == (["pending", "success"], ["success"])
    assert forge.statuses[-1][1]["description"] == f"published with {COMMIT[:12]}, pushed after it"
    put(api, deployed, run="hand-1", second=10, kind="manual", phase="Failed", commit="b" * 40)
    report(place, forge, run="hand-1")
    assert forge.states(COMMIT) == ["success"], "it deployed the branch's head, and is about an older commit"


@pytest.mark.parametrize("ui", [UI, ""])
def test_a_late_report_of_an_older_run_changes_nothing(api: Cluster, forge: ForgeServer, place: Path, ui: str) -> None:
    put(api, node("verdict", verdict="all"), phase="Succeeded", run="push-2", second=2)
    report(place, forge, run="push-2", ui=ui)
    put(api, node("plan", "Failed", "main: Error (exit code 1)"), phase="Failed")
    assert report(place, forge, ui=ui).reason == "the newer run push-2 tells of this commit"
    report(place, forge, "pending", run="push-2", ui=ui)
    assert forge.states(COMMIT) == ["success"]
    put(api, phase="Failed", run="push-3", second=3)
    report(place, forge, run="push-3", ui=ui)
    assert forge.states(COMMIT) == ["success", "error"]


def test_the_night_mends_a_status_and_leaves_a_good_one(api: Cluster, forge: ForgeServer, place: Path) -> None:
    put(api, run="push-1")
    report(place, forge, "pending")
    put(api, node("verdict", verdict="all"), phase="Succeeded", run="night-1", second=2, kind="nightly")
    report(place, forge, run="night-1")
    put(api, node("verdict", verdict="all"), phase="Succeeded", run="night-2", second=3, kind="nightly")
    report(place, forge, run="night-2")
    assert forge.states(COMMIT) == ["pending", "success"]


def test_a_run_that_did_not_come_to_its_event_is_told_of_by_the_event(
    api: Cluster, forge: ForgeServer, place: Path
) -> None:
    run = put(api, phase="Failed", is_decoded=False)
    event = PullRequest(
        source="github",
        repo_id=1,
        repo=REPO,
        number=3,
        base="main",
        head=COMMIT,
        head_repo_id=1,
        draft="",
        author="ada",
        association="OWNER",
        action="opened",
        before="",
        updated="",
    )
    run["spec"] = {"shutdown": "Stop", "arguments": {"parameters": [{"name": "event", "value": events.write(event)}]}}
    report(place, forge)
    assert forge.states(COMMIT, CHECK) == ["error"]
    lie = base64.b64encode(json.dumps({"repo": REPO}).encode()).decode()
    run["spec"]["arguments"]["parameters"][0]["value"] = lie
    assert report(place, forge).state == ""


def test_a_strangers_pull_request_says_what_it_waits_for(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """A commit that nobody approved of is pending, without a comment; a status that it has stays, whoever asks."""
    put(api, phase="Succeeded", number=3, lane="waiting", kind="pull_request")
    assert report(place, forge).state == "pending"
    assert forge.states(COMMIT, CHECK) == ["pending"]
    assert "/ok-to-test" in forge.statuses[-1][1]["description"]
    assert forge.comments == []
    put(api, run="push-2", second=2, phase="Succeeded", number=3, lane="untrusted", kind="comment")
    report(place, forge, run="push-2")
    put(api, run="push-3", second=3, phase="Succeeded", number=4, lane="waiting", kind="pull_request")
    assert "says success already" in report(place, forge, run="push-3").reason
    assert forge.states(COMMIT, CHECK) == ["pending", "success"]


def put_pull_request(api: Cluster, run: str, second: int, *, number: int = 3, **more: Any) -> dict[str, Any]:
    """Place a run of a pull request, with the label that it has from `supersede`."""
    ref = f"refs/pull/{number}/head"
    found = put(api, run=run, second=second, number=number, kind="pull_request", ref=ref, **more)
    found["metadata"]["labels"] = {LANE_LABEL: more.get("lane", "trusted")}
    return found


def test_a_closed_pull_request_leaves_nothing_pending(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """Its run is stopped, and its commit says so, once; nobody is told under it, and what has ended stays."""
    older = put_pull_request(api, "opened", 1, lane="untrusted")
    report(place, forge, "pending", run="opened")
    older["spec"]["shutdown"] = "Stop"
    older["metadata"]["annotations"] = {BY_ANNOTATION: "closed"}
    closed = put_pull_request(api, "closed", 2, lane="closed", phase="Succeeded")
    assert report(place, forge, "pending", run="opened").reason == "it was stopped"
    assert report(place, forge, run="opened").reason == "closed tells of this commit"
    assert report(place, forge, "pending", run="closed").state == ""
    assert report(place, forge, run="closed").state == "error"
    assert forge.states(COMMIT, CHECK) == ["pending", "error"]
    assert forge.statuses[-1][1]["description"] == "stopped: its pull request was closed"
    assert report(place, forge, run="closed").reason == "nothing of the pull request is pending"
    put_pull_request(api, "reopened", 3, lane="untrusted", phase="Succeeded")
    report(place, forge, run="reopened")
    report(place, forge, run="closed")
    assert forge.states(COMMIT, CHECK) == ["pending", "error", "success"]
    assert "closed" not in str(forge.comments)
    closed["spec"]["shutdown"] = "Stop"
    assert report(place, forge, run="closed").reason == "it was stopped"


def test_an_older_commit_of_a_closed_pull_request_says_that_it_was_closed(
    api: Cluster, forge: ForgeServer, place: Path
) -> None:
    """Nothing newer goes on."""
    older = put_pull_request(api, "opened", 1, lane="untrusted", commit="d" * 40)
    older["spec"]["shutdown"] = "Stop"
    older["metadata"]["annotations"] = {BY_ANNOTATION: "closed"}
    put_pull_request(api, "closed", 2, lane="closed", phase="Succeeded")
    assert report(place, forge, run="opened").reason == "stopped: its pull request was closed"
    assert forge.states("d" * 40, CHECK) == ["error"]


def test_what_waited_for_a_maintainer_ends_with_its_pull_request(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """Also after a run that was terminated, or is gone; another pull request of the same commit goes on."""
    put_pull_request(api, "opened", 1, lane="waiting", phase="Succeeded")
    report(place, forge, run="opened")
    put_pull_request(api, "other", 2, number=4, lane="closed", phase="Succeeded")
    assert report(place, forge, run="other").reason.startswith("opened tells of this commit, which is another")
    put_pull_request(api, "closed", 3, lane="closed", phase="Succeeded")
    del api.workflows["opened"]
    assert report(place, forge, run="closed").state == "error"
    put_pull_request(api, "reopened", 4, lane="waiting", phase="Succeeded")
    assert report(place, forge, run="reopened").state == "pending"
    assert forge.states(COMMIT, CHECK) == ["pending", "error", "pending"]


def test_a_pull_request_has_its_comment_beside_the_push_of_its_commit(
    api: Cluster, forge: ForgeServer, place: Path
) -> None:
    """A push to a pull request's branch starts two runs within a second; whichever has the status, one comments."""
    put(api, node("verdict", verdict="all"), phase="Succeeded", run="push-1", lane="untrusted")
    report(place, forge, run="push-1")
    put(api, phase="Succeeded", run="pull-request-1", number=3, lane="untrusted", kind="pull_request")
    told = report(place, forge, run="pull-request-1")
    assert told.reason == "the newer run push-1 tells of this commit"
    [comment] = forge.comments
    assert told.comment == comment["html_url"]
    assert f"**Shipway: done** at `{COMMIT[:12]}`" in comment["body"]
    assert forge.states(COMMIT) == ["success"]


def comment_event(text: str, author: str = "ada") -> str:
    """Return an event of a comment under a pull request, as a Sensor passes it on."""
    return events.write(
        Comment(
            source="gitea",
            repo_id=1,
            repo=REPO,
            number=3,
            comment_id=1,
            author=author,
            association="",
            text=text,
        )
    )


@pytest.mark.parametrize(
    ("text", "lane", "why"),
    [
        ("/ok-to-test 10e54295d7", "waiting", "/ok-to-test needs all 40 digits of a commit; the pull request is at x"),
        (f"/ok-to-test {'d' * 40}", "ignored", "it is late: refs/pull/3/head is at x by now"),
        ("/retest", "ignored", "the ref is gone"),
    ],
)
def test_a_maintainers_command_that_starts_nothing_is_answered(
    api: Cluster, forge: ForgeServer, place: Path, text: str, lane: str, why: str
) -> None:
    """Once, under the pull request; the commit that it names gets no status, and a stranger no answer."""
    run = put(api, phase="Succeeded", number=3, lane=lane, kind="comment", commit="")
    start = run["status"]["nodes"]["push-1-1"]["outputs"]["parameters"]
    start.append({"name": "reason", "value": why})
    for author, answers in (("mallory", 0), ("ada", 1), ("ada", 1)):
        run["spec"] = {"arguments": {"parameters": [{"name": "event", "value": comment_event(text, author)}]}}
        report(place, forge)
        assert len(forge.comments) == answers
    assert f"`{why}`" in forge.comments[0]["body"]
    assert forge.statuses == []


def test_a_push_that_was_ignored_gives_its_commit_no_status(api: Cluster, forge: ForgeServer, place: Path) -> None:
    """Nothing of it was published, although its run succeeded."""
    run = put(api, phase="Succeeded", lane="ignored")
    event = Push(
        source="gitea", repo_id=1, repo=REPO, ref="refs/heads/main", before="1" * 40, head=COMMIT, pushed="", message=""
    )
    run["spec"] = {"arguments": {"parameters": [{"name": "event", "value": events.write(event)}]}}
    assert report(place, forge).state == ""
    assert forge.statuses == []


def test_a_push_that_came_late_is_told_what_became_of_the_newer_one(
    api: Cluster, forge: ForgeServer, place: Path
) -> None:
    """Once that is known, and once; a commit that was told something itself keeps it."""
    old, new = COMMIT, "d" * 40
    run = put(api, phase="Succeeded", lane="ignored")
    start = run["status"]["nodes"]["push-1-1"]["outputs"]["parameters"]
    start.append({"name": "reason", "value": f"it is late: refs/heads/main is at {new} by now"})
    event = Push(
        source="gitea", repo_id=1, repo=REPO, ref="refs/heads/main", before="1" * 40, head=old, pushed="", message=""
    )
    run["spec"] = {"arguments": {"parameters": [{"name": "event", "value": events.write(event)}]}}
    with pytest.raises(Transient, match="nobody knows yet what becomes of"):
        report(place, forge)
    put(api, run="push-2", second=2, commit=new)
    report(place, forge, "pending", run="push-2")
    with pytest.raises(Transient):
        report(place, forge)
    put(api, node("verdict", verdict="all"), phase="Succeeded", run="push-2", second=2, commit=new)
    report(place, forge, run="push-2")
    assert forge.states(old) == []
    for _ in range(2):
        report(place, forge)
        assert forge.states(old, RELEASE) == ["success"]
    # A retry of a run that was terminated comes late, too, and ends what that one left pending.
    forge.statuses.append((old, {**forge.statuses[-1][1], "status": "pending", "target_url": f"{UI}/push-0"}))
    put(api, run="push-0", commit=old)
    assert report(place, forge).reason == "it says pending already"
    api.workflows["push-0"]["metadata"]["labels"] = {PHASE: "Failed"}
    report(place, forge)
    assert forge.states(old, RELEASE) == ["success", "pending", "success"]
    assert forge.statuses[-1][1]["description"] == f"published with {new[:12]}, pushed after it"


def test_where_there_is_nobody_to_tell_nothing_fails(api: Cluster, forge: ForgeServer, place: Path) -> None:
    put(api, lane="ignored")
    assert report(place, forge).state == ""
    put(api, phase="Succeeded")
    (place / "forge" / "git.example.com.token").unlink()
    assert "no login for git.example.com" in report(place, forge).reason
    (place / "account" / "token").unlink()
    assert "not on a cluster" in report(place, forge).reason
    assert not forge.asked


def test_a_forge_that_is_away_is_tried_again_later(
    api: Cluster, forge: ForgeServer, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {**(forge_connect.connect.__kwdefaults__ or {}), "timing": FAST}
    monkeypatch.setattr(forge_connect.connect, "__kwdefaults__", given)
    put(api, phase="Succeeded")
    forge.lie("POST", "statuses", said(503, "maintenance"))
    with pytest.raises(Transient):
        report(place, forge)
    forge.lies.clear()
    forge.lie("POST", "statuses", said(401, "token is gone"))
    with pytest.raises(Misconfigured):
        report(place, forge)
