"""`shipway simulate`: what each saved payload starts; its answers are compared with Argo Events itself in tests/e2e."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli.main import main
from pipelines.cli.simulate import SENSOR
from pipelines.errors import Refused
from pipelines.model.event import Source
from pipelines.model.runs import REF_LABEL
from pipelines.simulation import go_json, go_template, sensors, webhooks
from pipelines.simulation.go_template import TemplateError

PAYLOADS = Path(__file__).parents[2] / "examples" / "payloads"
DOCUMENT = yaml.safe_load(SENSOR.read_text())


def simulated(capsys: pytest.CaptureFixture[str], payload: Path, *words: str) -> list[dict[str, Any]]:
    """Return what the command says of each trigger."""
    assert main(["simulate", str(payload), "--json", *words]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["triggers"]
    return found


@pytest.mark.parametrize(
    ("payload", "fires", "lane"),
    [
        ("calendar-nightly", "calendar-nightly", "trusted"),
        ("gitea-fork-pull-request", "gitea-pull-request", "ignored"),
        ("gitea-push", "gitea-push", "trusted"),
        ("github-closed-pull-request", "", ""),
        ("github-comment", "", ""),
        ("github-comment-by-stranger", "github-comment", "ignored"),
        ("github-comment-ok-to-test", "github-comment", "untrusted"),
        ("github-comment-on-issue", "", ""),
        ("github-comment-retest", "github-comment", "untrusted"),
        ("github-deleted-branch", "", ""),
        ("github-draft-pull-request", "github-pull-request", "ignored"),
        ("github-force-push", "github-push", "untrusted"),
        ("github-fork-pull-request", "github-pull-request", "ignored"),
        ("github-gone-fork-pull-request", "github-pull-request", "ignored"),
        ("github-hostile-branch", "github-push", "refused"),
        ("github-long-branch", "github-push", "untrusted"),
        ("github-new-branch", "github-push", "untrusted"),
        ("github-odd-tag", "github-tag", "untrusted"),
        ("github-pull-request", "github-pull-request", "untrusted"),
        ("github-push", "github-push", "trusted"),
        ("github-removed-folder", "github-push", "trusted"),
        ("github-shared-folder", "github-push", "trusted"),
        ("github-two-commits", "github-push", "trusted"),
        ("github-tag", "github-tag", "trusted"),
        ("github-tag-deleted", "", ""),
        ("gitlab-comment", "gitlab-comment", "ignored"),
        ("gitlab-merge-request", "gitlab-pull-request", "untrusted"),
        ("gitlab-push", "gitlab-push", "trusted"),
        ("gitlab-tag", "gitlab-tag", "trusted"),
        ("webhook-manual", "webhook-manual", "ignored"),
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
    [mark] = [m for m in test_each_payload_starts_what_it_should.pytestmark if m.name == "parametrize"]  # type: ignore[attr-defined]
    assert {row[0] for row in mark.args[1]} == {path.stem for path in PAYLOADS.glob("*.json")}


def test_runs_of_one_ref_have_one_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pull request and a comment under it share the label by which older runs are found; look-alike refs and repositories do not."""

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
        name(ref="refs/heads/a/b"),
        name(ref="refs/heads/a-b"),
        name(after="c" * 40),
        name(before="d" * 40),
        name(repository=push["repository"] | {"id": 7}),
        name(ref="refs/tags/main"),
    ]
    assert len({first, *others}) == len(others) + 1
    assert all(len(one) <= 57 for one in others)


def test_settings_decide_the_lane(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lane is what `decode` would say in the cluster with the same settings."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("protected-branches: release/*\nrepositories: git@github.com:team/shop\nmaintainers: ada\n")
    words = ("--settings", str(settings))
    [push] = [one for one in simulated(capsys, PAYLOADS / "github-push.json", *words) if one["fires"]]
    assert (push["lane"], push["decoded"]["repo"]) == ("untrusted", "git@github.com:team/shop")
    [manual] = simulated(capsys, PAYLOADS / "webhook-manual.json", "--source", "webhook", *words)
    assert manual["lane"] == "untrusted"


def test_a_large_payload_is_carried_as_few_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A push of 5,000 files makes no larger run; more than the source takes is refused as the source would."""
    push = json.loads((PAYLOADS / "github-push.json").read_text())
    small = simulated(capsys, PAYLOADS / "github-push.json")
    path = tmp_path / "large.json"
    push["commits"][0]["added"] = [f"folder/{number:06}/{'<' * 150}.txt" for number in range(5000)]
    path.write_text(json.dumps(push))
    assert 800_000 < path.stat().st_size < webhooks.MOST_BYTES
    assert simulated(capsys, path) == small
    push["commits"][0]["added"] *= 2
    path.write_text(json.dumps(push))
    assert main(["simulate", str(path)]) == Refused.exit_code
    assert "the event source refuses the payload" in capsys.readouterr().err


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A reader sees the lane, the reason, the Workflow as YAML, and why the other triggers stay quiet."""
    assert main(["simulate", str(PAYLOADS / "github-tag.json"), "--event", "push"]) == 0
    shown = capsys.readouterr().out
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
    for template in ("{{ .Input.a.b | toJson }}", "{{ .Input.a | trunc 3 }}", '{{ get .Input.a "x" | toJson }}'):
        with pytest.raises(TemplateError):
            go_template.render(template, {"Input": {"a": None}})


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
        (lambda s: s["triggers"][0]["template"]["k8s"]["parameters"][0]["src"].update(value="x"), "the field value"),
    ],
)
def test_other_sensors_are_refused(change: Any, told: str) -> None:
    """A construct that is not compiled is named, and nothing is said of the rest."""
    document = copy.deepcopy(DOCUMENT)
    change(document["spec"])
    data = webhooks.event(Source.GITHUB, (PAYLOADS / "github-push.json").read_bytes(), "push")
    with pytest.raises(Refused, match=told):
        sensors.run(document, source="shipway-webhooks", event="github", data=data)


def test_what_cannot_be_simulated_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither other JSON nor another document gets a trace of Python."""
    path = tmp_path / "x.json"
    for text, told in (("[]", "no JSON object"), ("{", "not JSON")):
        path.write_text(text)
        assert main(["simulate", str(path)]) == 2
        assert told in capsys.readouterr().err
    assert main(["simulate", str(path), "--sensor", str(SENSOR.parent / "event-bus.yaml")]) == 2
    assert main(["simulate", str(tmp_path / "none.json")]) == 1
