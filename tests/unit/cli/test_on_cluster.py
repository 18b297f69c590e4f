"""The commands for runs on a cluster: what they send, what they refuse, and what each kind of cluster is told."""

from __future__ import annotations

import importlib
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.command import CommandParser, declare
from pipelines.cli.main import COMMANDS, main
from pipelines.events import event, run_labels
from tests import json_output
from tests.git_repositories import Repository
from tests.git_server import serving
from tests.kubernetes_api import RESET, Cluster, Reply, cluster
from tests.workflow_status import compiled, image, node, status

REPO = "https://git.example.com/shop.git"
SUBMIT = ("submit", "clone-build-push", "-p", f"repo={REPO}", "-p", "revision=main", "--engine", "argo")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster with the chart installed, as the current directory's kubeconfig names it."""
    with cluster() as state:
        state.templates["clone-build-push"] = compiled("clone-build-push")
        state.config = {"registry": "registry.example.com", "argo-ui": "https://argo.example.com/"}
        monkeypatch.setenv("KUBECONFIG", str(state.kubeconfig(tmp_path)))
        monkeypatch.delenv("SHIPWAY_SETTINGS", raising=False)
        monkeypatch.chdir(tmp_path)
        signal_before = signal.getsignal(signal.SIGTERM)
        yield state
        signal.signal(signal.SIGTERM, signal_before)


@pytest.fixture
def plays(fake: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The same, where each run that is submitted succeeds."""
    answer = fake.answer

    def with_states(method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        if method == "POST":
            name = body["metadata"]["name"]
            fake.states = [
                image(name, "Running", "Running", "Running", "Running"),
                image(name, "Succeeded", "Succeeded", "Succeeded", "Succeeded", digest="sha256:1"),
            ]
        return answer(method, path, body)

    monkeypatch.setattr(fake, "answer", with_states)
    return fake


def parameters(run: dict[str, Any]) -> dict[str, str]:
    """Return a Workflow's arguments."""
    return {p["name"]: p["value"] for p in run["spec"]["arguments"]["parameters"]}


def test_submit_runs_the_installed_template(plays: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing but the template's name and the arguments is sent; outputs, link and end come back."""
    assert main([*SUBMIT, "--jobs", "2"]) == 0
    run = plays.created
    assert run["spec"].keys() == {"workflowTemplateRef", "arguments", "parallelism"}
    assert run["spec"]["workflowTemplateRef"] == {"name": "clone-build-push"}
    assert parameters(run) == {"repo": REPO, "revision": "main"}
    told = capsys.readouterr()
    assert told.out == "digest  sha256:1\n"
    assert f"https://argo.example.com/workflows/ci/{run['metadata']['name']}\n" in told.err
    assert "build: Succeeded" in told.err


def test_the_exit_code_is_that_of_the_step(fake: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Argo tells it in a message alone."""
    fake.put("run-1", {"workflowTemplateRef": {"name": "clone-build-push"}}, {})
    fake.states = [image("run-1", "Failed", "Failed 78", "Error 64", "Error 64", message="clone: Error (exit code 78)")]
    assert main(["logs", "run-1"]) == 78
    told = capsys.readouterr().out
    assert "clone: Failed after 2.0 s: Error (exit code 78)" in told
    assert told.count("clone: ") == 2
    assert "build: " not in told


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (
            ["--registry", "evil.example.com"],
            3,
            r"key `registry` of ConfigMap `shipway` in namespace ci.*settings\.registry",
        ),
        (["-p", "registry=evil.example.com"], 3, r"key `registry` of ConfigMap `shipway`"),
        (["-p", "path={{workflow.uid}}"], 2, r"value of path is refused.*Argo would evaluate"),
        (["-p", "path={{=1+1}}"], 2, r"value of path is refused"),
        (["-p", "path=\U0001fae9"], 3, r"value of path is refused.*\\U0001fae9', which Argo cannot pass on"),
        (["-p", "nonsense=1"], 2, r"no parameter 'nonsense'.*its parameters: repo, revision"),
        (["-p", "lfs=perhaps"], 2, r"--lfs cannot be read.*'perhaps'"),
        (["-p", "build-args=A=1"], 2, r"--build-args cannot be read"),
        (["--namespace", "../x"], 2, r"not the name of a namespace"),
        (["--settings", "own.yaml"], 3, r"own.yaml sets builder"),
    ],
)
def test_what_no_run_may_say_is_refused_before_anything_is_sent(
    fake: Cluster, capsys: pytest.CaptureFixture[str], more: list[str], code: int, says: str
) -> None:
    """A setting names the place where it is changed."""
    Path("own.yaml").write_text("builder: buildkit\nargo-ui: https://argo.example.com\n")
    assert main([*SUBMIT, *more]) == code
    assert re.search(says, capsys.readouterr().err, re.DOTALL)
    assert fake.count("POST", "") == 0


def test_what_is_only_referred_to_is_not_started(fake: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Argo would make a run that cannot start."""
    fake.templates["work"] = compiled("work")
    assert main(["submit", "work", "--engine", "argo"]) == 2
    assert (
        "work is not started by itself\n  seen: no entrypoint\n  do:   start what refers to it"
        in capsys.readouterr().err
    )
    assert fake.count("POST", "") == 0


def test_missing_parameters_are_named(fake: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Before Argo makes a run that cannot start."""
    assert main(["submit", "clone-build-push", "--engine", "argo"]) == 2
    assert "add -p repo=…" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("case", "code", "says"),
    [
        ("argo", 78, r"has no Argo Workflows.*no group argoproj.io.*install Argo Workflows 4\.1"),
        ("argo, no right", 78, r"has no Argo Workflows"),
        ("chart", 78, r"namespace ci has no WorkflowTemplate clone-build-push.*it has none.*helm install shipway"),
        ("template", 78, r"no WorkflowTemplate clone-build-push.*its templates: other.*give one of these"),
        ("right", 78, r"not allowed to create workflows in namespace ci.*cannot create resource.*shipway-submitter"),
        ("login", 78, r"does not know this user.*Unauthorized.*log in again"),
        (
            "answer",
            75,
            (
                r"does not answer; asking again for \d+ s\n.*cluster http://127\.0\.0\.1:\d+ does not answer\n.*check "
                r"the network"
            ),
        ),
    ],
)
def test_what_the_cluster_lacks_is_one_clear_message(
    fake: Cluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    code: int,
    says: str,
) -> None:
    """In three parts: what failed, what was seen, what to do."""
    monkeypatch.setattr("pipelines.engines.cluster.runs.Runs.__init__.__kwdefaults__", {"again_seconds": (0.01,)})
    if case.startswith("argo"):
        fake.has_argo = False
        if case != "argo":  # authorization comes before the question whether there is such a thing
            fake.lie("GET", "workflowtemplates", Reply(403, "workflowtemplates.argoproj.io is forbidden"))
    elif case == "chart":
        fake.templates.clear()
    elif case == "template":
        fake.templates = {"other": {"metadata": {"name": "other"}}}
    elif case == "right":
        fake.lie("POST", "workflows$", Reply(403, 'User "ada" cannot create resource "workflows"'))
    elif case == "login":
        fake.lie("GET", ".", Reply(401, "Unauthorized"))
    else:
        fake.lie("GET", ".", RESET)
    assert main(list(SUBMIT)) == code
    told = capsys.readouterr().err
    assert re.search(says, told, re.DOTALL), told
    assert [line[:8] for line in told.splitlines()][-3:] == ["shipway:", "  seen: ", "  do:   "]


def test_no_kubeconfig_is_one_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the file that was looked for."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert main(["runs"]) == 78
    assert re.search(r"no cluster to run on\n  seen: .*none.*\n  do:   set KUBECONFIG", capsys.readouterr().err)


def test_detach_list_stop_and_retry(fake: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that was left can be listed, stopped, and submitted again with its arguments."""
    assert main([*SUBMIT, "--detach", "--json"]) == 0
    name = fake.created["metadata"]["name"]
    assert json_output.read("submit", capsys.readouterr().out) == {
        "version": 1,
        "name": name,
        "namespace": "ci",
        "link": f"https://argo.example.com/workflows/ci/{name}",
    }
    assert main(["retry", name, "--detach"]) == 2
    assert main(["stop", name]) == 0
    assert fake.workflows[name]["spec"]["shutdown"] == "Stop"
    fake.workflows[name]["status"] = status(name, "Failed", message="Stopped with strategy 'Stop'")
    fake.put("older", {}, {}, created="2020-01-01T00:00:00Z")
    capsys.readouterr()
    assert main(["runs", "--json"]) == 0
    assert [(row["name"], row["phase"]) for row in json_output.read("runs", capsys.readouterr().out)["runs"]] == [
        (name, "Failed"),
        ("older", "Pending"),
    ]
    assert main(["retry", name, "--detach"]) == 0
    again = fake.created
    assert again["metadata"]["name"] != name
    assert (parameters(again), "shutdown" in again["spec"]) == (parameters(fake.workflows[name]), False)
    assert main(["stop", "nobody"]) == 1
    assert "there is no workflow nobody in namespace ci" in capsys.readouterr().err


def test_the_newest_runs_alone_are_read(fake: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs are large and stay for days: of all but those that
    are shown the names are asked for; none is said to be none.
    """
    assert main(["runs"]) == 0
    assert re.search(r"no runs in namespace ci of http://", capsys.readouterr().err)
    for day in range(1, 10):
        fake.put(f"run-{day}", {}, status(f"run-{day}", "Succeeded"), created=f"2026-11-0{day}T10:00:00Z")
    fake.asked.clear()
    fake.accepts.clear()
    fake.lie("GET", "/workflows/run-8$", Reply(404, "it has gone meanwhile"))
    assert main(["runs", "--limit", "3"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["run-9", "run-7"]
    assert [asked[1].rpartition("/")[2] for asked in fake.asked] == ["workflows", "run-9", "run-8", "run-7"]
    assert "PartialObjectMetadataList" in fake.accepts[0]
    assert main(["runs", "--limit", "0", "--json"]) == 0
    assert len(json_output.read("runs", capsys.readouterr().out)["runs"]) == 9


def test_a_run_says_what_it_is_of(fake: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name, labels and title say repository and ref, or the commit; a retry says of what."""
    assert main([*SUBMIT, "--detach"]) == 0
    first = fake.created["metadata"]
    assert re.fullmatch(r"clone-build-push-shop-main-[0-9a-f]{6}", first["name"])
    assert first["labels"] == {
        "app.kubernetes.io/name": "shipway",
        "workflows.argoproj.io/workflow-template": "clone-build-push",
        "shipway.io/repository": "shop",
        "shipway.io/ref": "main",
    }
    assert first["annotations"]["workflows.argoproj.io/title"] == "`shop` `main`"
    assert first["annotations"]["workflows.argoproj.io/description"] == "asked for by hand"
    fake.workflows[first["name"]]["status"] = status(first["name"], "Failed")
    assert main(["retry", first["name"], "--detach"]) == 0
    again = fake.created["metadata"]
    assert re.fullmatch(r"clone-build-push-shop-main-[0-9a-f]{6}", again["name"])
    assert again["labels"] == first["labels"]
    assert again["annotations"] == first["annotations"] | {
        "shipway/submission": again["annotations"]["shipway/submission"],
        "shipway/retry-of": first["name"],
        "shipway/first-created": first["creationTimestamp"],
        "workflows.argoproj.io/description": f"retry of `{first['name']}`: asked for by hand",
    }
    again["creationTimestamp"] = "2026-11-24T10:00:00Z"
    again["labels"] |= {event.REF_LABEL: "1" * 32, event.GROUP_LABEL: "2" * 32}
    again["annotations"] |= {(tells := f"{event.FOR_ANNOTATION}push-0"): ""}
    fake.workflows[again["name"]]["status"] = status(again["name"], "Failed")
    assert main(["retry", again["name"], "--detach"]) == 0
    third = fake.created["metadata"]
    assert third["annotations"]["shipway/first-created"] == first["creationTimestamp"]
    assert tells in third["annotations"], "it tells the commits that the first was to tell"
    assert third["labels"] == {key: text for key, text in again["labels"].items() if key != event.GROUP_LABEL}
    text = again["annotations"]["workflows.argoproj.io/description"]
    again["annotations"]["workflows.argoproj.io/description"] = f"superseded by `push-2`; {text}"
    fake.workflows[again["name"]]["status"] = status(again["name"], "Failed")
    assert main(["retry", again["name"], "--detach"]) == 0
    third = fake.created["metadata"]["annotations"]["workflows.argoproj.io/description"]
    assert third == f"retry of `{again['name']}`: asked for by hand"
    commit = "c" * 40
    assert main([*SUBMIT[:-4], "-p", f"revision={commit}", "--engine", "argo", "--detach"]) == 0
    assert fake.created["metadata"]["labels"]["shipway.io/commit"] == commit
    assert fake.created["metadata"]["annotations"]["workflows.argoproj.io/title"] == "`shop` `cccccccccc`"


def test_a_run_is_found_by_what_a_person_knows(fake: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """By an address or a path, a ref in any form, the beginning of a commit, a pull request or a lane; and together."""
    runs = {
        "push-shop-a-b-1": run_labels.labels(
            "https://git.example.com/team/shop.git", "refs/heads/a/b", commit="1a2b" * 10
        ),
        "tag-shop-v1-1": run_labels.labels("git@git.example.com:team/shop", "refs/tags/v1", commit="1a99" * 10),
        "pull-request-web-1": run_labels.labels("https://h/team/web", "refs/pull/7/head", number=7, lane="untrusted"),
        "older": {},
    }
    for day, (name, labels) in enumerate(runs.items(), start=1):
        fake.put(name, {}, status(name, "Succeeded"), created=f"2026-11-0{day}T10:00:00Z")
        fake.workflows[name]["metadata"]["labels"] = {**labels, "workflows.argoproj.io/completed": "true"}

    def found(*words: str) -> list[str]:
        assert main(["runs", "-n", "ci", "--json", *words]) == 0
        return [row["name"].partition("-")[0] for row in json_output.read("runs", capsys.readouterr().out)["runs"]]

    assert found() == ["older", "pull", "tag", "push"]
    assert (
        found("--repository", "team/shop") == found("--repository", "ssh://git@h:22/team/shop.git") == ["tag", "push"]
    )
    assert found("--ref", "a/b") == found("--ref", "refs/heads/a/b") == ["push"]
    assert found("--commit", "1a") == ["tag", "push"]
    assert found("--commit", "1a2b" * 10) == ["push"]
    assert found("--repository", "team/shop", "--ref", "v1", "--commit", "1a2b") == []
    assert found("--pull-request", "7") == found("--lane", "untrusted") == found("--ref", "pull/7/head") == ["pull"]
    assert found("--ref", "a/b", "--limit", "0") == ["push"]


def test_a_list_of_runs_says_what_each_is_of(fake: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """A line has the title, and why a run ended or what started it; a superseded one says by whom."""
    for name, day in (("push-shop-main-1", 1), ("push-shop-main-2", 2)):
        fake.put(
            name,
            {},
            status(name, "Failed", message="Stopped with strategy 'Stop'"),
            created=f"2026-11-0{day}T10:00:00Z",
        )
    old, new = (fake.workflows[name] for name in ("push-shop-main-1", "push-shop-main-2"))
    notes = dict(run_labels.notes("https://h/team/shop.git", "refs/heads/main", "push at `1a2b3c4d5e`: `Mend`"))
    old["metadata"]["annotations"] = notes | {"shipway/superseded-by": "push-shop-main-2"}
    new["metadata"] |= {
        "annotations": notes,
        "labels": run_labels.labels("https://h/team/shop", "main", lane="trusted"),
    }
    new["status"] = status("push-shop-main-2", "Running")
    assert main(["runs"]) == 0
    lines = [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()]
    assert [(line[0], line[1], *line[-2:]) for line in lines] == [
        ("push-shop-main-2", "Running", "team/shop main", "push at 1a2b3c4d5e: Mend"),
        ("push-shop-main-1", "Failed", "team/shop main", "superseded by push-shop-main-2"),
    ]
    assert main(["runs", "--json"]) == 0
    rows = json_output.read("runs", capsys.readouterr().out)["runs"]
    assert [row["superseded_by"] for row in rows] == [None, "push-shop-main-2"]
    assert (rows[0]["repository"], rows[0]["ref"], rows[0]["commit"], rows[0]["lane"]) == (
        "team-shop",
        "main",
        None,
        "trusted",
    )


def test_n_is_namespace_in_every_command_that_has_one() -> None:
    """As in kubectl, argo and helm."""
    having = []
    for name, (reference, _) in COMMANDS.items():
        module, _, function = reference.partition(":")
        parser = CommandParser(prog=name, allow_abbrev=False)
        declare(parser, getattr(importlib.import_module(f"pipelines.cli.{module}"), function))
        flags = [action.option_strings for action in parser._actions]
        assert all(("-n" in strings) is ("--namespace" in strings) for strings in flags), name
        having += [name] if ["-n", "--namespace"] in flags else []
    assert {"build", "release", "check", "deploy", "submit", "runs", "logs", "stop", "retry"} <= set(having)


def test_build_composes_the_images_of_a_commit(
    fake: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parents come first, and the run has the installed template's accounts and keeping times."""
    repository = Repository(tmp_path / "served/shop")
    repository.write("base/Dockerfile", "FROM scratch\n").write("web/Dockerfile", "FROM base\n")
    commit = repository.commit()
    with serving(tmp_path / "served") as server:
        address = f"{server.url}/shop/.git"
        assert main(["build", address, "--engine", "argo", "--detach"]) == 0
    run = fake.created
    tasks = {task["name"]: task for task in run["spec"]["templates"][0]["dag"]["tasks"]}
    assert tasks["web"]["depends"] == "base"
    assert {p["name"]: p["value"] for p in tasks["web"]["arguments"]["parameters"]}["revision"] == commit
    installed = fake.templates["clone-build-push"]["spec"]
    frame = ("serviceAccountName", "executor", "ttlStrategy", "podGC", "automountServiceAccountToken")
    assert {key: run["spec"][key] for key in frame} == {key: installed[key] for key in frame}
    assert re.fullmatch(r"build-shop-main-[0-9a-f]{6}\n", capsys.readouterr().out)


def test_build_refuses_what_a_stranger_may_have_named(
    fake: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder's name becomes an argument, which Argo would evaluate."""
    repository = Repository(tmp_path / "served/shop")
    repository.write("{{workflow.uid}}/web/Dockerfile", "FROM scratch\n").commit()
    with serving(tmp_path / "served") as server:
        assert main(["build", f"{server.url}/shop/.git", "--engine", "argo", "--detach"]) == 3
    assert "the folder {{workflow.uid}}/web cannot be passed on" in capsys.readouterr().err
    assert main(["build", str(repository.path), "--engine", "argo"]) == 2
    assert "a cluster cannot read a folder of this machine" in capsys.readouterr().err
    assert fake.count("POST", "") == 0


def test_build_tells_of_each_image(
    fake: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The summary is the local engine's, read from the cluster's nodes."""
    Repository(tmp_path / "served/shop").write("web/Dockerfile", "FROM scratch\n").commit()
    answer = fake.answer

    def with_states(method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        if method == "POST":
            name = body["metadata"]["name"]
            values = {"reference": "registry.example.com/web@sha256:1", "tags": '["main"]', "size": "2000"}
            outputs = {"parameters": [{"name": key, "value": value} for key, value in values.items()]}
            fake.states = [
                status(
                    name,
                    "Succeeded",
                    node(name, "DAG", "Succeeded", children=(f"{name}.web",)),
                    node(f"{name}.web", "Retry", "Succeeded", bound=name, displayName="web", outputs=outputs),
                )
            ]
        return answer(method, path, body)

    monkeypatch.setattr(fake, "answer", with_states)
    with serving(tmp_path / "served") as server:
        assert main(["build", f"{server.url}/shop/.git", "--engine", "argo"]) == 0
    told = capsys.readouterr().out
    assert "registry.example.com/web@sha256:1" in told
    assert "1 of 1 images published" in told


def test_interrupted_without_a_terminal_the_run_is_left(fake: Cluster) -> None:
    """A CI job that is cancelled cannot be asked; it says how to go on."""
    with _shipway(*SUBMIT, stderr=subprocess.PIPE) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if b"logs:" in line:
                break
        child.send_signal(signal.SIGINT)
        rest = child.stderr.read().decode()
        assert child.wait() == 130
    assert f"shipway stop {fake.created['metadata']['name']} ends it" in rest
    assert "shutdown" not in fake.created["spec"]


def test_interrupted_at_a_terminal_somebody_is_asked(fake: Cluster) -> None:
    """Stopping goes on following until the exit handler is done, and exits like any interrupted command."""
    ours, theirs = pty.openpty()
    with _shipway(*SUBMIT, stdin=theirs, stderr=theirs) as child:
        os.close(theirs)
        _read_until(ours, b"logs:")
        name = fake.created["metadata"]["name"]
        fake.states_after_stop = [status(name, "Failed", message="Stopped with strategy 'Stop'")]
        child.send_signal(signal.SIGINT)
        _read_until(ours, b"ollowing? ")
        os.write(ours, b"s\n")
        _read_until(ours, b"Stopped with strategy")
        assert child.wait() == 130
    os.close(ours)
    assert fake.created["spec"]["shutdown"] == "Stop"


def _shipway(*words: str, **streams: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "pipelines", *words], stdout=subprocess.DEVNULL, **streams)


def _read_until(terminal: int, text: bytes) -> None:
    seen = b""
    while text not in seen:
        seen += os.read(terminal, 1024)
