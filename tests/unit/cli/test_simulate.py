"""`shipway simulate`: what each saved payload starts; its answers are compared with Argo Events itself in tests/e2e."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli import simulate
from pipelines.cli.main import main
from pipelines.cli.simulate import SENSOR
from pipelines.errors import Refused
from pipelines.events.event import REF_LABEL, Sender
from pipelines.events.simulation import go_json, go_template, webhook
from pipelines.events.simulation import sensor as simulated_sensor
from pipelines.events.simulation.go_template import TemplateError

PAYLOADS = Path(__file__).parents[3] / "examples" / "payloads"
DOCUMENT = yaml.load(SENSOR.read_text(), Loader=yaml.CSafeLoader)


@pytest.fixture(scope="module", autouse=True)
def compiled_sensor() -> Iterator[None]:
    """Let the command read the compiled Sensor once for all of these tests: nearly all of its time goes there."""
    read = simulate._sensor
    compiled = read(SENSOR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "_sensor", lambda path: compiled if path == SENSOR else read(path))
        yield


def simulated(capsys: pytest.CaptureFixture[str], payload: Path, *words: str) -> list[dict[str, Any]]:
    """Return what the command says of each trigger."""
    assert main(["simulate", str(payload), "--json", *words]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["triggers"]
    return found


@pytest.mark.parametrize(
    ("payload", "fires", "lane"),
    [
        ("calendar-nightly", "calendar-nightly", "trusted"),
        ("gitea-fork-pull-request", "gitea-pull-request", "waiting"),
        ("gitea-push", "gitea-push", "trusted"),
        ("gitea-ready-pull-request", "gitea-ready", "untrusted"),
        ("github-900-kb", "github-push", "trusted"),
        ("github-closed-pull-request", "github-pull-request", "closed"),
        ("github-comment", "", ""),
        ("github-comment-by-stranger", "github-comment", "ignored"),
        ("github-comment-ok-to-test", "github-comment", "untrusted"),
        ("github-comment-on-closed-pull-request", "", ""),
        ("github-comment-on-issue", "", ""),
        ("github-comment-retest", "github-comment", "untrusted"),
        ("github-comment-short-commit", "github-comment", "waiting"),
        ("github-deleted-branch", "", ""),
        ("github-draft-pull-request", "github-pull-request", "ignored"),
        ("github-force-push", "github-push", "ignored"),
        ("github-fork-pull-request", "github-pull-request", "waiting"),
        ("github-gone-fork-pull-request", "github-pull-request", "waiting"),
        ("github-hostile-branch", "github-push", "refused"),
        ("github-long-branch", "github-push", "ignored"),
        ("github-merge-queue", "github-push", "untrusted"),
        ("github-new-branch", "github-push", "ignored"),
        ("github-odd-tag", "github-tag", "untrusted"),
        ("github-pull-request", "github-pull-request", "untrusted"),
        ("github-push", "github-push", "trusted"),
        ("github-push-skip-ci", "github-push", "ignored"),
        ("github-removed-folder", "github-push", "trusted"),
        ("github-shared-folder", "github-push", "trusted"),
        ("github-switched-off-image", "github-push", "trusted"),
        ("github-two-commits", "github-push", "trusted"),
        ("github-tag", "github-tag", "trusted"),
        ("github-tag-deleted", "", ""),
        ("github-unraised-version", "github-push", "trusted"),
        ("gitlab-comment", "gitlab-comment", "ignored"),
        ("gitlab-edited-comment", "", ""),
        ("gitlab-labelled-merge-request", "", ""),
        ("gitlab-merge-request", "gitlab-pull-request", "untrusted"),
        ("gitlab-push", "gitlab-push", "trusted"),
        ("gitlab-tag", "gitlab-tag", "trusted"),
        ("webhook-manual", "webhook-manual", "ignored"),
        ("webhook-manual-without-id", "webhook-manual", "refused"),
    ],
)
def test_each_payload_starts_what_it_should(
    payload: str, fires: str, lane: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """At most one trigger fires, in the lane that follows; every other names the filter that said no."""
    found = simulated(capsys, PAYLOADS / f"{payload}.json", "--source", payload.partition("-")[0])
    assert [(one["trigger"], one["lane"]) for one in found if one["fires"]] == ([(fires, lane)] if fires else [])
    assert all("is not in the payload" in one["no"] or "does not match" in one["no"] for one in found if "no" in one)


def test_every_payload_is_tried() -> None:
    """No file of the folder is without a line above."""
    marks = test_each_payload_starts_what_it_should.pytestmark  # type: ignore[attr-defined]
    [mark] = [m for m in marks if m.name == "parametrize"]
    assert {row[0] for row in mark.args[1]} == {path.stem for path in PAYLOADS.glob("*.json")}


def faults() -> Iterator[tuple[str, str]]:
    """Give each payload that the guide to migration shows, and what it says of it."""
    for line in (PAYLOADS.parents[1] / "docs/migration.md").read_text().partition("## What becomes of")[2].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 3 and cells[0] != "what went wrong":
            names = re.findall(r"`(\w+(?:-\w+)+)`(?! `)", cells[1])
            assert names, f"no payload: {line}"
            yield from ((name, cells[2]) for name in names)


def test_the_guide_to_migration_says_what_happens(capsys: pytest.CaptureFixture[str]) -> None:
    """Each fault has a payload, and what is written of its run is so."""
    found = list(faults())
    assert len(found) > 20
    for name, told in found:
        fires = [
            one
            for one in simulated(capsys, PAYLOADS / f"{name}.json", "--source", name.partition("-")[0])
            if one["fires"]
        ]
        if told.startswith(("One run", "No run")):
            assert len(fires) == (0 if told.startswith("No") else 1), name
        if told.startswith("Waiting"):
            assert [one["lane"] for one in fires] == ["waiting"]
        if "the lane is untrusted" in told:
            assert [one["lane"] for one in fires] == ["untrusted"]


def test_runs_of_one_ref_have_one_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pull request and a comment under it share the label by which
    older runs are found; look-alike refs and repositories do not.
    """

    def label(payload: str, **changes: Any) -> str:
        body = json.loads((PAYLOADS / f"{payload}.json").read_text()) | changes
        path = tmp_path / "payload.json"
        path.write_text(json.dumps(body))
        [made] = [one for one in simulated(capsys, path, "--source", payload.partition("-")[0]) if one["fires"]]
        return str(made["workflow"]["metadata"]["labels"][REF_LABEL])

    repository = json.loads((PAYLOADS / "github-push.json").read_text())["repository"]
    others = [
        label("github-push", ref="refs/heads/a/b"),
        label("github-push", ref="refs/heads/a-b"),
        label("github-push", ref="refs/heads/a/b", repository=repository | {"id": 2}),
        label("github-push", ref="refs/tags/a/b"),
        label("gitea-push", ref="refs/heads/a/b"),
        label("github-pull-request"),
        label("github-fork-pull-request"),
    ]
    assert len(set(others)) == len(others)
    assert label("github-push", ref="refs/heads/a/b", after="e" * 40) == others[0]
    assert label("github-pull-request") == label("github-comment-retest")


def test_the_header_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The body is signed and decides; what X-GitHub-Event says is not looked at."""
    said = [simulated(capsys, PAYLOADS / "github-push.json", "--event", name) for name in ("push", "pull_request", "")]
    assert said[0] == said[1] == said[2]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["missing.json"], r"the payload missing\.json cannot be read\n  seen: No such file"),
        (["push.json", "--sensor", "missing.yaml"], r"the Sensor missing\.yaml cannot be read\n  seen: No such file"),
        (["push.json", "--sensor", "tabs.yaml"], r"the Sensor tabs\.yaml cannot be read\n  seen: while scanning"),
        (["push.json", "--sensor", "latin.yaml"], r"the Sensor latin\.yaml cannot be read\n  seen: .*decode"),
        (["push.json", "--sensor", "push.json"], r"this is not a Sensor"),
        (["push.json", "--source", "hand"], r"invalid choice: 'hand'"),
    ],
)
def test_files_that_cannot_be_read_are_wrong_usage(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files that are not there or hold something else, and runs that no webhook starts, are wrong usage."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "push.json").write_bytes((PAYLOADS / "github-push.json").read_bytes())
    (tmp_path / "tabs.yaml").write_text("kind:\n\t- Sensor\n")
    (tmp_path / "latin.yaml").write_bytes(b"kind: \xe9\n")
    assert main(["simulate", *words]) == 2
    assert re.search(told, capsys.readouterr().err)


def test_runs_are_named_after_what_they_are_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One state of one ref has one name, however often and with whatever else it is told; any other has another."""
    push = json.loads((PAYLOADS / "github-push.json").read_text())

    def name(**changed: Any) -> str:
        path = tmp_path / "push.json"
        path.write_text(json.dumps(push | changed))
        [fired] = [one for one in simulated(capsys, path) if one["fires"]]
        return str(fired["workflow"]["metadata"]["name"])

    first = name()
    assert first == name(commits=[], sender={"login": "bob"}, forced=True)
    others = [
        name(repository=push["repository"] | {"pushed_at": push["repository"]["pushed_at"] + 60}),
        name(ref="refs/heads/a/b"),
        name(ref="refs/heads/a-b"),
        name(after="c" * 40),
        name(before="d" * 40),
        name(repository=push["repository"] | {"id": 7}),
        name(ref="refs/tags/main"),
    ]
    assert len({first, *others}) == len(others) + 1
    assert all(len(one) <= 57 for one in others)


def test_a_pull_requests_run_is_for_what_happened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Coming back to a commit, and reopening, is a run of its own; what is delivered twice is none, whatever else
    changes in a body; a title or a label that was edited starts nothing.
    """

    def names(payload: str, *changes: Callable[[dict[str, Any]], object]) -> list[str]:
        body = json.loads((PAYLOADS / f"{payload}.json").read_text())
        for change in changes:
            change(body)
        path = tmp_path / "payload.json"
        path.write_text(json.dumps(body))
        fired = [one for one in simulated(capsys, path, "--source", payload.partition("-")[0]) if one["fires"]]
        return [one["workflow"]["metadata"]["name"] for one in fired]

    def change(**fields: Any) -> Callable[[dict[str, Any]], object]:
        return lambda body: body.update(fields)

    def pull(**fields: Any) -> Callable[[dict[str, Any]], object]:
        return lambda body: body["pull_request"].update(fields)

    def merge(**fields: Any) -> Callable[[dict[str, Any]], object]:
        return lambda body: body["object_attributes"].update(fields)

    a, b, later = "a" * 40, "b" * 40, "2026-11-24T10:09:00Z"
    for payload, new in (("github-pull-request", "synchronize"), ("gitea-fork-pull-request", "synchronized")):
        made = [
            names(payload),
            names(payload, change(action="reopened")),
            names(payload, change(action="reopened"), pull(updated_at=later)),
            names(payload, change(action=new, before=a, after=b), pull(head={"sha": b, "repo": {"id": 7}})),
            names(payload, change(action=new, before=b, after=a), pull(head={"sha": a, "repo": {"id": 7}})),
            names(payload, change(action="closed")),
            names(payload, change(action="closed"), pull(updated_at=later)),
        ]
        assert len({one for [one] in made}) == len(made)
        assert names(payload, change(sender={"login": "bob"}), pull(body="", labels=["x"])) == made[0]
    assert names("gitea-ready-pull-request") != names("gitea-ready-pull-request", pull(updated_at=later))
    assert names("gitea-ready-pull-request", change(changes={"title": {"from": "Chnage the shop"}})) == []
    assert len(names("gitea-ready-pull-request", change(changes={"title": {"from": "[wip] Change the shop"}}))) == 1
    mr = "gitlab-merge-request"
    ready = change(changes={"draft": {"previous": True, "current": False}})
    made = [
        names(mr),
        names(mr, merge(action="reopen")),
        names(mr, merge(action="reopen", updated_at="2026-11-24 11:00:00 UTC")),
        names(mr, merge(action="update", oldrev=a)),
        names(mr, merge(action="update"), ready),
        names(mr, merge(action="close")),
        names(mr, merge(action="merge")),
    ]
    assert len({one for [one] in made}) == len(made)
    assert names(mr, change(user={"username": "bob"})) == made[0]
    assert set(names(mr, merge(action="update", oldrev=a), ready)) == set(made[3])
    assert names(mr, merge(action="update"), change(changes={"title": {"previous": "x", "current": "y"}})) == []


def test_whoever_edits_a_strangers_merge_request_approves_of_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """GitLab names who did something, not whose it is: a maintainer's label is no `/ok-to-test`."""
    body = json.loads((PAYLOADS / "gitlab-merge-request.json").read_text())
    body["object_attributes"] |= {"action": "update", "oldrev": "a" * 40, "source_project_id": 666}
    body["user"] = {"username": "ada"}
    path, settings = tmp_path / "payload.json", tmp_path / "settings.yaml"
    path.write_text(json.dumps(body))
    settings.write_text("maintainers: ada\n")
    found = simulated(capsys, path, "--source", "gitlab", "--settings", str(settings))
    assert [one["lane"] for one in found if one["fires"]] == ["waiting"]


def test_settings_decide_the_lane(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lane is what `decode` would say in the cluster with the same settings."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("protected-branches: release/*\nrepositories: git@github.com:team/shop\nmaintainers: ada\n")
    words = ("--settings", str(settings))
    [push] = [one for one in simulated(capsys, PAYLOADS / "github-push.json", *words) if one["fires"]]
    assert (push["lane"], push["decoded"]["repo"]) == ("ignored", "git@github.com:team/shop")
    [manual] = simulated(capsys, PAYLOADS / "webhook-manual.json", "--source", "webhook", *words)
    assert manual["lane"] == "untrusted"


@pytest.mark.parametrize("by", ["pull-request", "push"])
def test_a_commit_of_an_own_pull_request_is_checked_once(
    by: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the event that the setting names; the other says so, and a stranger's has no push here."""
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"branch-checks: {by}\n")

    def lane(payload: str) -> tuple[str, str]:
        words = ("--source", payload.partition("-")[0], "--settings", str(settings))
        [fired] = [one for one in simulated(capsys, PAYLOADS / f"{payload}.json", *words) if one["fires"]]
        return fired["lane"], fired["reason"]

    checks, other = ("github-new-branch", "github-pull-request") if by == "push" else (
        "github-pull-request", "github-new-branch",
    )  # fmt: skip
    assert lane(checks)[0] == "untrusted"
    assert lane(other)[0] == "ignored"
    assert "says the setting branch-checks" in lane(other)[1]
    assert lane("gitlab-merge-request")[0] == ("ignored" if by == "push" else "untrusted")
    assert lane("gitea-fork-pull-request")[0] == "waiting"
    assert lane("github-push")[0] == "trusted"


def test_a_registry_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """No trigger depends on it."""
    assert main(["simulate", str(PAYLOADS / "github-push.json"), "--registry", "registry.example.org"]) == 2
    assert "unrecognized arguments: --registry registry.example.org" in capsys.readouterr().err


def test_a_large_payload_is_carried_as_few_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A push of 8,700 files makes no larger run; more than the source takes is refused as the source would."""
    large = PAYLOADS / "github-900-kb.json"
    assert 900_000 <= large.stat().st_size < webhook.MOST_BYTES
    [found] = [one for one in simulated(capsys, large) if one["fires"]]
    [other] = [one for one in simulated(capsys, PAYLOADS / "github-push.json") if one["fires"]]
    assert abs(len(json.dumps(found)) - len(json.dumps(other))) < 100
    push = json.loads(large.read_text())
    push["commits"][0]["added"] *= 2
    path = tmp_path / "larger.json"
    path.write_text(json.dumps(push))
    assert main(["simulate", str(path)]) == Refused.exit_code
    assert "the event source refuses the payload" in capsys.readouterr().err


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A reader sees the lane, the reason, the Workflow as YAML, and why the other triggers stay quiet."""
    assert main(["simulate", str(PAYLOADS / "github-tag.json"), "--event", "push"]) == 0
    shown, aside = capsys.readouterr()
    assert aside == ""
    assert "github-tag: fires\n  lane: trusted\n  reason: a protected tag: it matches v*\n" in shown
    assert "github-push: does not fire: body.ref is 'refs/tags/v1.2.3' and does not match ^refs/heads/.+$" in shown
    [_, workflow] = shown.split("  workflow:\n")
    made = yaml.safe_load("".join(line + "\n" for line in workflow.splitlines() if line.startswith("    ")))
    assert made["spec"]["workflowTemplateRef"] == {"name": "release"}


def test_a_text_cut_within_a_letter_is_written_as_go_does() -> None:
    """The name of a run is a hash of these bytes."""
    assert go_json.dumps({"b": go_json.cut("aä", 2), "a": "<&>\u2028ä\x7f\t"}) == (
        '{"a":"\\u003c\\u0026\\u003e\\u2028ä\x7f\\t","b":"a\\ufffd"}'
    )
    assert go_json.loads(b'{"x": "\\ud800"}') == {"x": "\ufffd"}


@pytest.mark.parametrize(
    "template",
    [
        "{{ .Input.a }} and more",
        "{{ if .Input.a }}x{{ end }}",
        "{{ .Input.a | upper }}",
        "{{ env `HOME` }}",
        "{{ .Input.a | trunc 3 4 }}",
        "{{ (.Input.a }}",
        "{{ index .Input 0 }}",
        "{{ $x }}",
        '{{ dict "a" | toJson }}',
    ],
)
def test_other_templates_are_refused(template: str) -> None:
    """What no compiled Sensor holds is named, not guessed at."""
    with pytest.raises(Refused, match="not simulated"):
        go_template.render(template, {"Input": {"a": "x"}})


def test_templates_fail_where_go_fails() -> None:
    """A null on the way is an error; a null at the end is an empty text where there is a default."""
    assert go_template.render('{{ .Input.a | default "" | toString | trunc 3 | toJson }}', {"Input": {}}) == '""'
    assert go_template.render("{{ .Input.a | int64 | toString }}", {"Input": {"a": 1.7e9}}) == "1700000000"
    with pytest.raises(Refused, match="where the payload should have a text"):  # 1.7e+09, to Go
        go_template.render('{{ .Input.a | default "" | toString }}', {"Input": {"a": 1700000000}})
    for template in ("{{ .Input.a.b | toJson }}", "{{ .Input.a | trunc 3 }}", '{{ get .Input.a "x" | toJson }}'):
        with pytest.raises(TemplateError):
            go_template.render(template, {"Input": {"a": None}})


def test_numbers_that_go_reads_in_another_way_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a fraction nor what no float holds exactly is guessed at."""
    push = json.loads((PAYLOADS / "github-push.json").read_text())
    path = tmp_path / "push.json"
    for value in (1e40, 2**53 + 1, 1.5):
        path.write_text(json.dumps(push | {"repository": push["repository"] | {"id": value}}))
        assert main(["simulate", str(path)]) == Refused.exit_code
        assert "this is not simulated" in capsys.readouterr().err
    with pytest.raises(Refused, match="another one"):
        go_template.render("{{ .Input.a | int64 | toString }}", {"Input": {"a": 2**60}})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s["dependencies"][0].update(transform={}), "the field transform of a dependency"),
        (lambda s: s["dependencies"][0]["filters"].update(exprs=[]), "the field exprs of a filters"),
        (lambda s: s["dependencies"][0]["filters"]["data"][0].update(type="bool"), "a filter"),
        (lambda s: s["dependencies"][0]["filters"]["data"][0].update(path="body.commits.#.id"), "a filter"),
        (lambda s: s["dependencies"][0]["filters"]["data"][0].update(value=["^(?i)a$"]), "a pattern"),
        (lambda s: s["dependencies"][0]["filters"]["data"][0].update(value=["^\\d$"]), "a pattern"),
        (lambda s: s["triggers"][0].update(rateLimit={}), "the field rateLimit of a trigger"),
        (lambda s: s["triggers"][0]["template"].update(conditions="a && b"), "the condition"),
        (lambda s: s["triggers"][0]["template"]["k8s"].update(operation="create"), "an operation"),
        (lambda s: s["triggers"][0]["template"]["k8s"]["parameters"][0].update(dest="spec.x"), "a place"),
        (
            lambda s: s["triggers"][0]["template"]["k8s"]["parameters"][0]["src"].update(dataKey="x"),
            "the field dataKey",
        ),
    ],
)
def test_other_sensors_are_refused(change: Any, told: str) -> None:
    """A construct that is not compiled is named, and nothing is said of the rest."""
    document = copy.deepcopy(DOCUMENT)
    change(document["spec"])
    data = webhook.event(Sender.GITHUB, (PAYLOADS / "github-push.json").read_bytes(), "push")
    with pytest.raises(Refused, match=told):
        simulated_sensor.run(document, source="shipway-webhooks", event="github", data=data)


def test_what_cannot_be_simulated_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither other JSON nor another document gets a trace of Python."""
    path = tmp_path / "x.json"
    for text, told in (("[]", "not a JSON object"), ("{", "not JSON")):
        path.write_text(text)
        assert main(["simulate", str(path)]) == 2
        assert told in capsys.readouterr().err
    assert main(["simulate", str(path), "--sensor", str(SENSOR.parent / "event-bus.yaml")]) == 2
    few = copy.deepcopy(DOCUMENT)
    few["spec"]["triggers"] = few["spec"]["triggers"][:1]
    sensor = tmp_path / "sensor.yaml"
    sensor.write_text(yaml.safe_dump(few))
    push = PAYLOADS / "gitea-push.json"
    assert main(["simulate", str(push), "--source", "gitea", "--sensor", str(sensor)]) == 2
    assert "no trigger of this Sensor waits for events of gitea" in capsys.readouterr().err
