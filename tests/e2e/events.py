"""The chart's events in a namespace, before a release that only waits: what a webhook starts can be counted."""

from __future__ import annotations

import contextlib
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

import yaml

from pipelines.events.event import Sender
from pipelines.events.run_labels import DESCRIPTION, TITLE
from pipelines.events.simulation import sensor as simulated_sensor
from pipelines.events.simulation import webhook
from tests.e2e.installation import CHART
from tests.e2e.place import kubectl
from tests.unit.cli.test_simulate import PAYLOADS

PATIENCE_SECONDS = 180.0
QUIET_SECONDS = 8.0
REPOSITORIES = [
    {"forge": "github", "url": "https://github.com/team/shop.git", "branch": "main"},
    {"forge": "gitea", "url": "https://git.example.com/team/shop.git", "branch": "main"},
]
# One server, without a disk, of whichever version the cluster's controller starts.
BUS = {"replicas": 1, "volumeSize": "", "settings": "max_memory_store: -1\nmax_file_store: -1\n"}
VALUES = {"enabled": True, "manual": True, "repositories": REPOSITORIES, "bus": BUS, "schedule": "* * * * *"}
WAITING = [
    {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": name},
        "spec": {
            "entrypoint": "wait",
            "arguments": {"parameters": [{"name": "event"}]},
            "templates": [{"name": "wait", "suspend": {}}],
        },
    }
    for name in ("release", "reconcile")
]


@dataclass(frozen=True, kw_only=True)
class Events:
    """The chart's events in a namespace of their own, before a release that only waits."""

    namespace: str
    sensor: Mapping[str, Any]
    keys: Mapping[str, str]

    def send(
        self,
        source: Sender,
        body: bytes,
        *,
        event: str = "push",
        headers: Mapping[str, str] | None = None,
        address: str = "",
        method: str = "POST",
    ) -> int:
        """Send a body as its forge does, or with other headers, and return the status of the answer."""
        port, path = (12002, "/runs") if source is Sender.WEBHOOK else (12000, f"/{source}")
        given = headers if headers is not None else self.headers(source, body, event)
        request = urllib.request.Request(
            f"http://{address or self.address}:{port}{path}",
            data=body,
            headers={"Content-Type": "application/json", **given},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def headers(self, source: Sender, body: bytes, event: str) -> dict[str, str]:
        """Return the headers of a forge: Gitea sends its own, Gogs' and GitHub's."""
        if source is Sender.WEBHOOK:
            return {"Authorization": f"Bearer {self.keys['manual']}"}
        return signed(source, self.keys[source], body, event)

    @property
    def address(self) -> str:
        """The service's address, which this machine reaches as a node."""
        service = "shipway-webhooks-eventsource-svc"
        return kubectl(self.namespace, "get", "service", service, "-o", "jsonpath={.spec.clusterIP}")

    def simulated(self, source: Sender, body: bytes) -> list[dict[str, Any]]:
        """Return the Workflows that a body should start."""
        event_source, name = webhook.SOURCES[source]
        data = webhook.event(source, body, "push")
        found = simulated_sensor.run(self.sensor, source=event_source, event=name, data=data)
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


def signed(source: Sender, key: str, body: bytes, event: str) -> dict[str, str]:
    """Return the headers that a forge sends with a body."""
    sha256, sha1 = (hmac.new(key.encode(), body, name).hexdigest() for name in ("sha256", "sha1"))
    common = {"X-GitHub-Event": event, "X-GitHub-Delivery": secrets.token_hex(8)}
    signed = {"X-Hub-Signature": f"sha1={sha1}", "X-Hub-Signature-256": f"sha256={sha256}"}
    own = {"X-Gitea-Event": event, "X-Gitea-Signature": sha256, "X-Gogs-Event": event, "X-Gogs-Signature": sha256}
    own |= {"X-Forgejo-Event": event, "X-Forgejo-Signature": sha256, "X-Gitea-Event-Type": event}
    return {**common, **signed, **(own if source is Sender.GITEA else {})}


@contextlib.contextmanager
def installed(namespace: str, **values: Any) -> Iterator[Events]:
    """Give the chart's events in a new namespace once they listen, and remove it; values are those of `events`."""
    kubectl(namespace, "create", "namespace", namespace)
    try:
        keys = {name: secrets.token_hex(16) for name in ("github", "gitea", "manual")}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shipway-webhooks"}, "stringData": keys}
        kubectl(namespace, "apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": [secret, *WAITING]})
        documents = rendered(namespace, **values)
        kubectl(namespace, "apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": documents})
        [sensor] = [document for document in documents if document["kind"] == "Sensor"]
        found = Events(namespace=namespace, sensor=sensor, keys=keys)
        listen(found)
        yield found
    finally:
        subprocess.run(["kubectl", "delete", "namespace", namespace, "--wait=false"], capture_output=True, check=False)


def rendered(namespace: str, **values: Any) -> list[dict[str, Any]]:
    """Return the chart's documents for events."""
    given = json.dumps({"settings": {"registry": "registry.example.com"}, "events": VALUES | values})
    words = ["helm", "template", "shipway", str(CHART), "-n", namespace, "-s", "templates/events.yaml", "--values", "-"]
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    return [document for document in documents if document["kind"] != "Workflow"]  # Helm's hook


def listen(events: Events) -> None:
    """Wait until a push really starts a run: a Sensor begins with the events that come after it has subscribed."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for number in range(10**6):
        assert time.monotonic() < deadline, kubectl(events.namespace, "get", "pods")
        body = changed("github-push", after=f"{number + 1:040x}")
        try:
            events.send(Sender.GITHUB, body)
            events.send(Sender.GITEA, changed("gitea-push", after=f"{number + 1:040x}"))
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
    own = {key: value for key, value in run["metadata"]["labels"].items() if "argoproj.io/" not in key}
    notes = {key: run["metadata"]["annotations"][key] for key in (TITLE, DESCRIPTION)}
    return {
        "apiVersion": run["apiVersion"],
        "kind": run["kind"],
        "metadata": {"name": run["metadata"]["name"], "labels": own, "annotations": notes},
        "spec": run["spec"],
    }


def lost(events: Events) -> list[dict[str, str]]:
    """Return the events that started no run and were kept."""
    label = "app.kubernetes.io/component=lost-event"
    items = json.loads(kubectl(events.namespace, "get", "configmaps", "-l", label, "-o", "json"))["items"]
    return [item["data"] for item in items]
