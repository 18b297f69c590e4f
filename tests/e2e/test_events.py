"""Events on the real EventBus, EventSources and Sensor: what
a webhook starts is what `simulate` says, once, and no other.
"""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.errors import Refused
from pipelines.events.event import Decoded, Nightly, Sender, read
from pipelines.events.run_labels import LABEL, NOTE, apply, slug
from pipelines.events.simulation import webhook
from tests.e2e import events as events_on
from tests.e2e.events import PATIENCE_SECONDS, QUIET_SECONDS, REPOSITORIES, VALUES, Events, changed, lost, made
from tests.e2e.installation import CHART
from tests.e2e.place import kubectl, lacking
from tests.real.events.test_run_labels import awkward_texts
from tests.steps import step
from tests.unit.cli.test_simulate import PAYLOADS

decode = step("decode", Decoded)

ARGO_EVENTS = "eventbus.argoproj.io"
FORM = "application/x-www-form-urlencoded"


def encoded(body: bytes) -> bytes:
    """Return a body as a form has it."""
    return urllib.parse.urlencode({"payload": body}).encode()


PLACES = {
    "github-push": ["ref", "after", "repository", "repository.id", "repository.clone_url"],
    "github-pull-request": ["action", "pull_request", "pull_request.head", "pull_request.head.sha"],
    "github-comment-retest": ["issue", "comment", "comment.body"],
}


def placed(name: str, path: str, value: object) -> bytes:
    """Return a saved payload with a value somewhere within."""
    body = json.loads((PAYLOADS / f"{name}.json").read_text())
    *folders, leaf = path.split(".")
    place = body
    for folder in folders:
        place = place[folder]
    place[leaf] = value
    return json.dumps(body).encode()


@pytest.fixture(scope="module")
def events() -> Iterator[Events]:
    """Give the chart's events, once they listen."""
    if subprocess.run(["kubectl", "get", "crd", ARGO_EVENTS], capture_output=True, check=False).returncode:
        pytest.skip(f"no Argo Events: {lacking() or ARGO_EVENTS}")
    with events_on.installed(f"shipway-events-{secrets.token_hex(3)}") as found:
        yield found


def test_runs_are_those_that_simulate_names(events: Events) -> None:
    """Every saved payload, sent twice, starts exactly the Workflow that `simulate` shows: same name, same bytes."""
    before = events.runs().keys()
    wanted: dict[str, dict[str, Any]] = {}
    for _ in range(2):
        for path in sorted(PAYLOADS.glob("*.json")):
            source = Sender(path.stem.partition("-")[0])
            if source in {Sender.GITLAB, Sender.CALENDAR}:
                continue
            body = path.read_bytes()
            assert events.send(source, body) == 200
            wanted |= {workflow["metadata"]["name"]: workflow for workflow in events.simulated(source, body)}
    found = events.until(set(wanted))
    assert {name: made(run) for name, run in found.items() if name not in before} == wanted


def test_awkward_names_arrive_byte_for_byte(events: Events) -> None:
    """Names of branches that mean something to a shell, to Argo or to JSON are carried, and mean nothing."""
    names = [
        "a/b",
        "a-b",
        "$(id)",
        "`id`",
        "';x;#",
        '"}],"args":["x',
        "{{=1+1}}",
        "{{workflow.uid}}",
        "ä<&>\u2028",
        "x" * 999,
        "ä" * 700,
        "-",
        "._-",
        f"{'x' * 62}--y",
        "\u202e\u0130`{}",
    ]
    wanted: dict[str, dict[str, Any]] = {}
    for name in names:
        body = changed("github-push", ref=f"refs/heads/{name}")
        assert events.send(Sender.GITHUB, body) == 200
        [workflow] = events.simulated(Sender.GITHUB, body)
        wanted[workflow["metadata"]["name"]] = workflow
    assert len(wanted) == len(names)
    found = events.until(set(wanted))
    assert {name: made(found[name]) for name in wanted} == wanted


def test_the_cluster_takes_every_label(namespace: str) -> None:
    """Of any text: one run with each of their labels, and one for each name, as the API checks them."""
    texts = awkward_texts(1000)
    label = {f"shipway.io/x{number}": apply(LABEL, text) for number, text in enumerate(texts)}
    names = sorted({f"pull-request-{slug(text, text)}-{'0' * 16}" for text in texts[:200]})
    notes = {f"shipway.io/x{number}": apply(NOTE, text) for number, text in enumerate(texts)}
    runs = [
        {"name": "labelled", "labels": label},
        {"name": "noted", "annotations": notes},
        *({"name": n} for n in names),
    ]
    spec = {"workflowTemplateRef": {"name": "release"}}
    items = [{"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": m, "spec": spec} for m in runs]
    given = {"apiVersion": "v1", "kind": "List", "items": items}
    taken = kubectl(namespace, "create", "--dry-run=server", "-o", "name", "-f", "-", given=given).split()
    assert len(taken) == len(items) > 100
    # Argo keeps a run's name in a label of its pods.
    assert max(map(len, names)) <= 63


def test_what_is_not_signed_starts_nothing(events: Events) -> None:
    """Unsigned, forged, signed for another, no JSON, too large,
    asked for: an error and no run; a swapped header: the same run.
    """
    body = changed("github-push", after="f" * 40)
    right = events.headers(Sender.GITHUB, body, "push")
    unsigned = {name: value for name, value in right.items() if "Signature" not in name}
    refused = [
        (Sender.GITHUB, body, unsigned),
        (Sender.GITHUB, body, {**unsigned, "X-Hub-Signature-256": ""}),
        (Sender.GITHUB, body, {**unsigned, "X-Hub-Signature-256": "sha256=" + "0" * 64}),
        (Sender.GITHUB, body, {**unsigned, "X-Hub-Signature-256": right["X-Hub-Signature-256"][:20]}),
        (Sender.GITHUB, body + b" ", right),
        (Sender.GITEA, body, right),
        (Sender.GITHUB, b"", right),
        (Sender.WEBHOOK, body, {}),
        (Sender.WEBHOOK, body, {"Authorization": "Bearer "}),
        (Sender.WEBHOOK, body, {"Authorization": f"Basic {events.keys['manual']}"}),
    ]
    large = changed("github-push", after="f" * 40, more="x" * webhook.MOST_BYTES)
    refused.append((Sender.GITHUB, large, events.headers(Sender.GITHUB, large, "push")))
    others = (b"[]", b"7", b"{", b"\xff", b"payload=%7B%7D")
    refused += [(Sender.GITHUB, text, events.headers(Sender.GITHUB, text, "push")) for text in others]
    form = {"Content-Type": FORM}
    refused += [(Sender.GITHUB, encoded(body), {**right, **form}), (Sender.GITHUB, body, {**right, **form})]
    old = {**unsigned, "X-Hub-Signature": "sha1=" + "0" * 40}
    refused += [(Sender.GITHUB, body, old), (Sender.GITHUB, body, {**unsigned, "X-Hub-Signature": "md5=" + "0" * 32})]
    before = events.runs().keys()
    for source, sent, headers in refused:
        assert events.send(source, sent, headers=headers) >= 400, (sent[:40], headers)
    for method in ("GET", "PUT"):
        assert events.send(Sender.GITHUB, body, headers=unsigned, method=method) >= 400, method
    time.sleep(QUIET_SECONDS)
    assert events.runs().keys() == before
    [workflow] = events.simulated(Sender.GITHUB, body)
    for event in ("pull_request", "issue_comment", "push"):
        assert events.send(Sender.GITHUB, body, event=event) == 200
    assert events.until({workflow["metadata"]["name"]}).keys() == {*before, workflow["metadata"]["name"]}


def test_what_is_signed_in_another_way_is_the_same_run(events: Events) -> None:
    """By SHA-1, as old forges do, as a form, by another method: Argo
    Events takes all, if the key is right; the body says what it is.
    """
    body = changed("github-push", after="b" * 40)
    before = events.runs().keys()
    by_sha1 = events.headers(Sender.GITHUB, body, "push")
    del by_sha1["X-Hub-Signature-256"]
    assert events.send(Sender.GITHUB, body, headers=by_sha1) == 200
    form = encoded(body)
    assert (
        events.send(Sender.GITHUB, form, headers={**events.headers(Sender.GITHUB, form, ""), "Content-Type": FORM})
        == 200
    )
    assert events.send(Sender.GITHUB, body, method="PUT") == 200
    [workflow] = events.simulated(Sender.GITHUB, body)
    assert events.until({workflow["metadata"]["name"]}).keys() == {*before, workflow["metadata"]["name"]}


def test_fields_of_another_type_are_no_event(events: Events) -> None:
    """A signed body in which a text is a number, a list or an object
    starts nothing, or a run that refuses it; what comes after is heard.
    """
    mistyped = [
        placed(name, path, value)
        for name, paths in PLACES.items()
        for path in paths
        for value in ("x", 7, 1e40, None, True, ["x"], {"a": "b"})
        if path != "repository.id" or value not in (7, 1e40)  # a number it should be
    ]
    before = events.runs().keys()
    for body in mistyped:
        assert events.send(Sender.GITHUB, body) == 200
    body = changed("github-push", after="7" * 40)
    [workflow] = events.simulated(Sender.GITHUB, body)
    assert events.send(Sender.GITHUB, body) == 200
    found = events.until({workflow["metadata"]["name"]})
    for name in found.keys() - before - {workflow["metadata"]["name"]}:
        with pytest.raises(Refused):
            decode(event=found[name]["spec"]["arguments"]["parameters"][0]["value"])


def test_a_large_push_and_many_doubles_are_one_run_each(events: Events) -> None:
    """A body of a megabyte whose text grows on its way is carried; twenty deliveries of one push are one run."""
    before = events.runs().keys()
    large = changed("github-900-kb", after="e" * 40, zen="<" * 100_000)
    assert 900_000 < len(large) < webhook.MOST_BYTES
    assert events.send(Sender.GITHUB, large) == 200
    often = changed("github-push", after="d" * 40)
    assert [events.send(Sender.GITHUB, often) for _ in range(20)] == [200] * 20
    wanted = {
        workflow["metadata"]["name"] for body in (large, often) for workflow in events.simulated(Sender.GITHUB, body)
    }
    assert events.until(wanted).keys() == {*before, *wanted}


def test_an_empty_secret_is_refused(namespace: str) -> None:
    """Argo Events compares no signature where the secret is empty: the chart does not install over one."""
    given = json.dumps({"settings": {"registry": "registry.example.com"}, "events": VALUES})
    words = ["helm", "template", "shipway", str(CHART), "-n", namespace, "--dry-run=server", "--values", "-"]
    good = {name: secrets.token_hex(16) for name in ("github", "gitea", "manual")}
    for wrong in ({}, {"gitea": "\n"}, {"manual": "short"}, {"github": ""}):
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shipway-webhooks"}}
        kubectl(namespace, "apply", "-f", "-", given={**secret, "stringData": good | wrong})
        done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
        told = [f"the key {key} of the Secret shipway-webhooks is missing or shorter" for key in wrong]
        assert (done.returncode == 0) is (not wrong), done.stderr
        assert all(text in done.stderr for text in told)


def test_the_clock_starts_a_run_for_each_repository(events: Events) -> None:
    """Every minute, here: a run each, with the repository's address and branch."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found := events.runs("nightly-")) < len(REPOSITORIES):
        assert time.monotonic() < deadline
        time.sleep(2)
    decoded = [read(run["spec"]["arguments"]["parameters"][0]["value"]) for run in found.values()]
    assert {event.repo for event in decoded} == {repository["url"] for repository in REPOSITORIES}
    assert {type(event) for event in decoded} == {Nightly}


def test_an_event_that_starts_no_run_is_kept(events: Events) -> None:
    """Where the cluster refuses the Workflow to the end, the body is in a ConfigMap, for people."""
    role = json.loads(kubectl(events.namespace, "get", "role", "shipway-sensor", "-o", "json"))
    fewer = {**role, "rules": [rule for rule in role["rules"] if "workflows" not in rule["resources"]]}
    kubectl(events.namespace, "replace", "-f", "-", given=fewer)
    try:
        body = changed("gitea-push", after="c" * 40)
        assert events.send(Sender.GITEA, body) == 200
        deadline = time.monotonic() + 2 * PATIENCE_SECONDS
        while not (kept := [data for data in lost(events) if data["trigger"] == "gitea-push"]):
            assert time.monotonic() < deadline
            time.sleep(5)
    finally:
        kubectl(
            events.namespace,
            "patch",
            "role",
            "shipway-sensor",
            "--type=merge",
            "-p",
            json.dumps({"rules": role["rules"]}),
        )
    assert json.loads(base64.b64decode(kept[0]["body"]))["after"] == "c" * 40
