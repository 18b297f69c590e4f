"""Events on the real EventBus, EventSources and Sensor: what a webhook starts is what `simulate` says, once, and no other."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from pipelines.model.event import Nightly, Source, read
from pipelines.simulation import sensors, webhooks
from tests.e2e.installation import CHART
from tests.e2e.place import kubectl, lacking
from tests.unit.test_simulate import PAYLOADS

PATIENCE_SECONDS = 180.0
QUIET_SECONDS = 8.0
REPOSITORIES = [
    {"forge": "github", "url": "https://github.com/team/shop.git", "branch": "main"},
    {"forge": "gitea", "url": "https://git.example.com/team/shop.git", "branch": "main"},
]
# One server, without a disk, of whichever version the cluster's controller starts.
BUS = {"replicas": 1, "volumeSize": "", "settings": "max_memory_store: -1\nmax_file_store: -1\n"}
VALUES = {"enabled": True, "manual": True, "repositories": REPOSITORIES, "bus": BUS, "schedule": "* * * * *"}
RELEASE = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": "release"},
    "spec": {
        "entrypoint": "wait",
        "arguments": {"parameters": [{"name": "event"}]},
        "templates": [{"name": "wait", "suspend": {}}],
    },
}
ARGO_EVENTS = "eventbus.argoproj.io"


@dataclass(frozen=True, kw_only=True)
class Events:
    """The chart's events in a namespace of their own, before a release that only waits."""

    namespace: str
    sensor: Mapping[str, Any]
    keys: Mapping[str, str]

    def send(
        self, source: Source, body: bytes, *, event: str = "push", headers: Mapping[str, str] | None = None
    ) -> int:
        """Send a body as its forge does, or with other headers, and return the status of the answer."""
        port, path = (12002, "/runs") if source is Source.WEBHOOK else (12000, f"/{source}")
        given = headers if headers is not None else self.headers(source, body, event)
        request = urllib.request.Request(
            f"http://{self.address}:{port}{path}", data=body, headers={"Content-Type": "application/json", **given}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def headers(self, source: Source, body: bytes, event: str) -> dict[str, str]:
        """Return the headers of a forge: Gitea sends its own, Gogs' and GitHub's."""
        if source is Source.WEBHOOK:
            return {"Authorization": f"Bearer {self.keys['manual']}"}
        sha256, sha1 = (hmac.new(self.keys[source].encode(), body, name).hexdigest() for name in ("sha256", "sha1"))
        common = {"X-GitHub-Event": event, "X-GitHub-Delivery": secrets.token_hex(8)}
        signed = {"X-Hub-Signature": f"sha1={sha1}", "X-Hub-Signature-256": f"sha256={sha256}"}
        own = {"X-Gitea-Event": event, "X-Gitea-Signature": sha256, "X-Gogs-Event": event, "X-Gogs-Signature": sha256}
        return {**common, **signed, **(own if source is Source.GITEA else {})}

    @property
    def address(self) -> str:
        """The service's address, which this machine reaches as a node."""
        service = "shipway-webhooks-eventsource-svc"
        return kubectl(self.namespace, "get", "service", service, "-o", "jsonpath={.spec.clusterIP}")

    def simulated(self, source: Source, body: bytes) -> list[dict[str, Any]]:
        """Return the Workflows that a body should start."""
        event_source, name = webhooks.SOURCES[source]
        data = webhooks.event(source, body, "push")
        found = sensors.run(self.sensor, source=event_source, event=name, data=data)
        assert not [outcome for outcome in found if outcome.failed]
        return [outcome.workflow for outcome in found if outcome.workflow]

    def runs(self, begin: str = "") -> dict[str, dict[str, Any]]:
        """Return every run by name, those of the clock only when asked for by how their names begin."""
        items = json.loads(kubectl(self.namespace, "get", "workflows", "-o", "json"))["items"]
        found = {item["metadata"]["name"]: item for item in items}
        return {
            name: run for name, run in found.items() if name.startswith(begin) and (begin or "nightly-" not in name)
        }

    def until(self, names: set[str]) -> dict[str, dict[str, Any]]:
        """Wait for the runs of these names, and then for further ones that should not come; return all."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not names <= self.runs().keys():
            assert time.monotonic() < deadline, f"no {names - self.runs().keys()}"
            time.sleep(1)
        time.sleep(QUIET_SECONDS)
        return self.runs()


@pytest.fixture(scope="module")
def events() -> Iterator[Events]:
    """Give the chart's events, once they listen."""
    if subprocess.run(["kubectl", "get", "crd", ARGO_EVENTS], capture_output=True, check=False).returncode:
        pytest.skip(f"no Argo Events: {lacking() or ARGO_EVENTS}")
    namespace = f"shipway-events-{secrets.token_hex(3)}"
    kubectl(namespace, "create", "namespace", namespace)
    try:
        keys = {name: secrets.token_hex(16) for name in ("github", "gitea", "manual")}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shipway-webhooks"}, "stringData": keys}
        kubectl(namespace, "apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": [secret, RELEASE]})
        words = [
            "helm",
            "template",
            "shipway",
            str(CHART),
            "-n",
            namespace,
            "-s",
            "templates/events.yaml",
            "--values",
            "-",
        ]
        given = json.dumps({"settings": {"registry": "registry.example.com"}, "events": VALUES})
        done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        documents = [document for document in yaml.safe_load_all(done.stdout) if document]
        kubectl(namespace, "apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": documents})
        [sensor] = [document for document in documents if document["kind"] == "Sensor"]
        found = Events(namespace=namespace, sensor=sensor, keys=keys)
        _listen(found)
        yield found
    finally:
        subprocess.run(["kubectl", "delete", "namespace", namespace, "--wait=false"], capture_output=True, check=False)


def _listen(events: Events) -> None:
    """Wait until a push really starts a run: a Sensor begins with the events that come after it has subscribed."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for number in range(10**6):
        assert time.monotonic() < deadline, kubectl(events.namespace, "get", "pods")
        body = changed("github-push", after=f"{number + 1:040x}")
        try:
            events.send(Source.GITHUB, body)
            events.send(Source.GITEA, changed("gitea-push", after=f"{number + 1:040x}"))
        except (OSError, AssertionError):
            pass
        time.sleep(2)
        if len(events.runs()) > 1:
            time.sleep(QUIET_SECONDS)
            return


def changed(name: str, **fields: Any) -> bytes:
    """Return a saved payload after a change."""
    return json.dumps(json.loads((PAYLOADS / f"{name}.json").read_text()) | fields).encode()


def made(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a run was asked for, without what the cluster and the controller add."""
    own = {key: value for key, value in run["metadata"]["labels"].items() if key.startswith("app.kubernetes.io/")}
    return {
        "apiVersion": run["apiVersion"],
        "kind": run["kind"],
        "metadata": {"name": run["metadata"]["name"], "labels": own},
        "spec": run["spec"],
    }


def test_runs_are_those_that_simulate_names(events: Events) -> None:
    """Every saved payload, sent twice, starts exactly the Workflow that `simulate` shows: same name, same bytes."""
    before = events.runs().keys()
    wanted: dict[str, dict[str, Any]] = {}
    for _ in range(2):
        for path in sorted(PAYLOADS.glob("*.json")):
            source = Source(path.stem.partition("-")[0])
            if source in {Source.GITLAB, Source.CALENDAR}:
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
    ]
    wanted: dict[str, dict[str, Any]] = {}
    for name in names:
        body = changed("github-push", ref=f"refs/heads/{name}")
        assert events.send(Source.GITHUB, body) == 200
        [workflow] = events.simulated(Source.GITHUB, body)
        wanted[workflow["metadata"]["name"]] = workflow
    assert len(wanted) == len(names)
    found = events.until(set(wanted))
    assert {name: made(found[name]) for name in wanted} == wanted


def test_what_is_not_signed_starts_nothing(events: Events) -> None:
    """Unsigned, forged, signed for another, form-encoded, too large: an error and no run; a swapped header: the same run."""
    body = changed("github-push", after="f" * 40)
    right = events.headers(Source.GITHUB, body, "push")
    unsigned = {name: value for name, value in right.items() if "Signature" not in name}
    refused = [
        (Source.GITHUB, body, unsigned),
        (Source.GITHUB, body, {**unsigned, "X-Hub-Signature-256": ""}),
        (Source.GITHUB, body, {**unsigned, "X-Hub-Signature-256": "sha256=" + "0" * 64}),
        (Source.GITHUB, body, {**unsigned, "X-Hub-Signature-256": right["X-Hub-Signature-256"][:20]}),
        (Source.GITHUB, body + b" ", right),
        (Source.GITEA, body, right),
        (Source.GITHUB, b"", right),
        (Source.WEBHOOK, body, {}),
        (Source.WEBHOOK, body, {"Authorization": "Bearer "}),
        (Source.WEBHOOK, body, {"Authorization": f"Basic {events.keys['manual']}"}),
    ]
    large = changed("github-push", after="f" * 40, more="x" * webhooks.MOST_BYTES)
    refused.append((Source.GITHUB, large, events.headers(Source.GITHUB, large, "push")))
    before = events.runs().keys()
    for source, sent, headers in refused:
        assert events.send(source, sent, headers=headers) >= 400, headers
    time.sleep(QUIET_SECONDS)
    assert events.runs().keys() == before
    [workflow] = events.simulated(Source.GITHUB, body)
    for event in ("pull_request", "issue_comment", "push"):
        assert events.send(Source.GITHUB, body, event=event) == 200
    assert events.until({workflow["metadata"]["name"]}).keys() == {*before, workflow["metadata"]["name"]}


def test_a_large_push_and_many_doubles_are_one_run_each(events: Events) -> None:
    """A body of 900 KB whose text grows on its way is carried; twenty deliveries of one push are one run."""
    before = events.runs().keys()
    large = changed("github-push", after="e" * 40, commits=[{"added": ["<" * 100] * 8700}])
    assert 850_000 < len(large) < webhooks.MOST_BYTES
    assert events.send(Source.GITHUB, large) == 200
    often = changed("github-push", after="d" * 40)
    assert [events.send(Source.GITHUB, often) for _ in range(20)] == [200] * 20
    wanted = {
        workflow["metadata"]["name"] for body in (large, often) for workflow in events.simulated(Source.GITHUB, body)
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
        assert events.send(Source.GITEA, body) == 200
        deadline = time.monotonic() + 2 * PATIENCE_SECONDS
        while not (kept := [data for data in _lost(events) if data["trigger"] == "gitea-push"]):
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


def _lost(events: Events) -> list[dict[str, str]]:
    label = "app.kubernetes.io/component=lost-event"
    items = json.loads(kubectl(events.namespace, "get", "configmaps", "-l", label, "-o", "json"))["items"]
    return [item["data"] for item in items]
