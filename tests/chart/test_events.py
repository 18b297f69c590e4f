"""Events in the chart: off unless asked for, and what values
decide leaves every check of the compiled documents standing.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from pipelines.events.event import Nightly, Sender, read
from pipelines.events.simulation import sensor as simulated_sensor
from pipelines.events.simulation import webhook as simulated_webhook
from sensors.target import CONTRACT
from tests.chart.kubernetes_fields import MODELS, unknown
from tests.chart.rendering import CHART, Document, documents_in, helm, of_kind, refusal, render
from tests.laws import event_checks as checks
from tests.unit.cli.test_simulate import PAYLOADS

pytestmark = pytest.mark.helm
GITHUB = {"forge": "github", "url": "https://github.com/team/shop.git", "branch": "main"}
REPOSITORIES = [
    GITHUB,
    {"forge": "github", "url": "git@github.com:team/shop.web.git", "branch": "trunk"},
    {"forge": "gitea", "url": "https://git.example.com/team/tools", "branch": "main"},
    {"forge": "gitlab", "url": "ssh://git@gitlab.example.com:22/group/sub/tools.git", "branch": "main"},
]
GITLAB = {"url": "https://gitlab.example.com", "webhookUrl": "https://hooks.example.com"}
ALL: dict[str, Any] = {"enabled": True, "manual": True, "repositories": REPOSITORIES, "gitlab": GITLAB}
ARGO = {"EventBus", "EventSource", "Sensor"}


def rendered(beside: Any = None, **events: Any) -> list[Document]:
    """Return what the chart gives with these values of `events`, and others beside them."""
    values = {"settings": {"registry": "registry.example.com"}, "events": events, **(beside or {})}
    done = helm("template", "shipway", str(CHART), "-n", "ci", "--values", "-", given=yaml.safe_dump(values))
    assert done.returncode == 0, done.stderr
    return documents_in(done.stdout)


def test_every_value_of_events_is_described_and_has_a_default() -> None:
    """The schema knows each key of values.yaml, and nothing beside them."""
    defaults = yaml.safe_load(CHART.joinpath("values.yaml").read_text())["events"]
    schema = json.loads(CHART.joinpath("values.schema.json").read_text())["properties"]["events"]["properties"]
    assert schema.keys() == defaults.keys()
    for name in ("bus", "gitlab"):
        assert schema[name]["properties"].keys() == defaults[name].keys()


def test_nothing_listens_unless_asked() -> None:
    """An installation has no bus, no open port and no account for events by default."""
    documents = render("smallest")
    assert not {document["kind"] for document in documents} & ARGO
    assert not {"shipway-sensor", "shipway-webhooks"} & of_kind(documents, "ServiceAccount").keys()


@pytest.mark.parametrize(
    "events",
    [
        ALL,
        {"enabled": True, "repositories": [GITHUB]},
        {
            **ALL,
            "bus": {"url": "nats://nats.example.com:4222", "secret": "shipway-bus", "streamConfig": "replicas: 1\n"},
        },
    ],
)
def test_documents_keep_every_check(events: dict[str, Any]) -> None:
    """What is filled in is neither unsigned, nor unanchored, nor lost, nor unknown."""
    documents = rendered(**events)
    checks.refuse([document for document in documents if document["kind"] in ARGO], CONTRACT)
    for document in documents:
        if document["kind"] not in ARGO | {"WorkflowTemplate", "Workflow"}:
            assert list(unknown(document, MODELS[document["apiVersion"], document["kind"]])) == []
        assert document["metadata"]["namespace"] == "ci"


def test_what_is_not_used_is_left_out() -> None:
    """A forge without a repository here has no port to listen
    at, and a Sensor waits for no source that is not there.
    """
    documents = rendered(enabled=True, repositories=[GITHUB])
    sources = of_kind(documents, "EventSource")
    assert sources["shipway-webhooks"]["spec"].keys() == {"eventBusName", "github", "service", "template"}
    assert sources["shipway-webhooks"]["spec"]["github"].keys() == {"github"}
    assert [port["port"] for port in sources["shipway-webhooks"]["spec"]["service"]["ports"]] == [12000]
    sensor = of_kind(documents, "Sensor")["shipway"]["spec"]
    waiting = {dependency["eventName"] for dependency in sensor["dependencies"]}
    assert waiting == {"github", *sources["shipway-calendar"]["spec"]["calendar"]}
    assert [t["template"]["name"] for t in sensor["triggers"]] == [d["name"] for d in sensor["dependencies"]]
    assert len(sensor["triggers"]) == 5


def test_repositories_are_those_of_the_values() -> None:
    """Each is heard under its own name alone, looked at every night, and known to the step `decode`."""
    documents = rendered(**ALL)
    sensor = of_kind(documents, "Sensor")["shipway"]
    [pattern] = {
        entry["value"][0]
        for dependency in sensor["spec"]["dependencies"]
        if dependency["eventName"] == "github"
        for entry in dependency["filters"]["data"]
        if entry["path"] == "body.repository.full_name"
    }
    assert pattern == r"^(team/shop|team/shop\.web)$"
    calendar = of_kind(documents, "EventSource")["shipway-calendar"]["spec"]["calendar"]
    assert sorted((entry["metadata"]["repo"], entry["metadata"]["ref"]) for entry in calendar.values()) == sorted(
        (repository["url"], f"refs/heads/{repository['branch']}") for repository in REPOSITORIES
    )
    webhook = of_kind(documents, "EventSource")["shipway-webhooks"]["spec"]
    assert webhook["gitlab"]["gitlab"]["projects"] == ["group/sub/tools"]
    assert webhook["github"]["github"]["repositories"] == [
        {"owner": "team", "names": ["shop"]},
        {"owner": "team", "names": ["shop.web"]},
    ]
    settings = of_kind(documents, "ConfigMap")["shipway"]["data"]["repositories"]
    assert settings == ",".join(repository["url"] for repository in REPOSITORIES)


def test_the_sensor_of_the_chart_starts_what_the_compiled_one_does() -> None:
    """A watched repository's push fires, another's does not; each night's line fires its own trigger alone."""
    sensor = of_kind(rendered(**ALL), "Sensor")["shipway"]
    push = (PAYLOADS / "github-push.json").read_bytes()
    for payload, fires in ((push, 1), (push.replace(b"team/shop", b"team/shopXweb"), 0)):
        data = simulated_webhook.event(Sender.GITHUB, payload, "push")
        found = simulated_sensor.run(sensor, source="shipway-webhooks", event="github", data=data)
        assert sum(outcome.workflow is not None for outcome in found) == fires
    for dependency in sensor["spec"]["dependencies"]:
        if dependency["eventName"].startswith("nightly-"):
            data = simulated_webhook.event(Sender.CALENDAR, (PAYLOADS / "calendar-nightly.json").read_bytes(), "")
            found = simulated_sensor.run(sensor, source="shipway-calendar", event=dependency["eventName"], data=data)
            assert [outcome.workflow is not None for outcome in found] == [True]


def test_the_bus_is_its_own_or_one_that_is_there() -> None:
    """Three servers that write an event to the disk before they acknowledge it; or no server at all."""
    own = of_kind(rendered(enabled=True, repositories=[GITHUB]), "EventBus")["shipway"]["spec"]
    compiled = yaml.safe_load(CHART.joinpath("files/sensors/event-bus.yaml").read_text())["spec"]
    assert own == compiled
    assert "sync_interval: always" in own["jetstream"]["settings"]
    bus = {"url": "tls://nats.example.com:4222", "secret": "shipway-bus"}
    other = of_kind(rendered(enabled=True, repositories=[GITHUB], bus=bus), "EventBus")["shipway"]["spec"]
    login = {"name": "shipway-bus", "key": "auth"}
    assert other == {"jetstreamExotic": {"url": bus["url"], "streamConfig": "", "accessSecret": login}}
    bare = of_kind(rendered(enabled=True, repositories=[GITHUB], bus={"volumeSize": ""}), "EventBus")["shipway"]["spec"]
    assert "persistence" not in bare["jetstream"]


def test_a_forge_may_be_at_home_below_a_path() -> None:
    """Its webhooks name a repository by owner and name, or by the path below the forge's own address."""
    repositories = [
        {"forge": "gitea", "url": "https://example.com/git/team/tools.git", "branch": "main"},
        {"forge": "gitlab", "url": "https://example.com/lab/group/sub/shop.git", "branch": "main"},
        {"forge": "gitlab", "url": "git@example.com:group/web.git", "branch": "main"},
    ]
    gitlab = {"url": "https://example.com/lab/", "webhookUrl": "https://hooks.example.com"}
    documents = rendered(enabled=True, repositories=repositories, gitlab=gitlab)
    source = of_kind(documents, "EventSource")["shipway-webhooks"]["spec"]
    assert source["github"]["gitea"]["repositories"] == [{"owner": "team", "names": ["tools"]}]
    assert source["gitlab"]["gitlab"]["projects"] == ["group/sub/shop", "group/web"]
    patterns = {
        value
        for dependency in of_kind(documents, "Sensor")["shipway"]["spec"]["dependencies"]
        for filtered in dependency.get("filters", {}).get("data", [])
        if filtered["path"] in {"body.repository.full_name", "body.project.path_with_namespace"}
        for value in filtered["value"]
    }
    assert patterns == {"^(team/tools)$", "^(group/sub/shop|group/web)$"}


def test_the_bus_runs_where_everything_runs() -> None:
    """Nodes, taints and pull secrets are one decision for all pods."""
    place = {
        "nodeSelector": {"pool": "ci"},
        "tolerations": [{"key": "ci", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "pull"}],
    }
    bus = of_kind(rendered(place, enabled=True, repositories=[GITHUB]), "EventBus")["shipway"]["spec"]["jetstream"]
    assert {name: bus[name] for name in place} == place


def test_what_argo_events_would_write_back_is_written() -> None:
    """What it fills in is its own from then on, and Helm 4, which applies on the server's side, would conflict with it.
    tests/e2e asks the cluster whose each field is.
    """
    for source in of_kind(rendered(**ALL), "EventSource").values():
        spec = source["spec"]
        assert all(port["targetPort"] == port["port"] for port in spec.get("service", {}).get("ports", []))
        assert all(entry["interval"] == "" for entry in spec.get("calendar", {}).values())
        assert all("url" in entry for entry in spec.get("webhook", {}).values())
        for kind in ("github", "gitlab"):
            assert all("url" in entry["webhook"] for entry in spec.get(kind, {}).values())
        for entry in spec.get("github", {}).values():
            assert (entry["id"], entry["owner"], entry["repository"]) == (0, "", "")


@pytest.mark.parametrize("size", ["5Gi", "512Mi", "1500Gi", "1Ti", "100", "2G", ""])
def test_a_size_as_kubernetes_writes_it_is_taken(size: str) -> None:
    """In the largest unit that gives a whole number."""
    bus = of_kind(rendered(enabled=True, repositories=[GITHUB], bus={"volumeSize": size}), "EventBus")["shipway"]
    assert bus["spec"]["jetstream"].get("persistence", {}).get("volumeSize", "") == size


REFUSED: dict[str, dict[str, Any]] = {
    "events.bus.volumeSize is 1024Mi": {"repositories": [GITHUB], "bus": {"volumeSize": "1024Mi"}},
    "events.bus.volumeSize is 0.5Gi": {"repositories": [GITHUB], "bus": {"volumeSize": "0.5Gi"}},
    "events.bus.volumeSize is 1000M": {"repositories": [GITHUB], "bus": {"volumeSize": "1000M"}},
    "with the branch main twice": {"repositories": [GITHUB, GITHUB]},
    "/events/bus/volumeSize": {"repositories": [GITHUB], "bus": {"volumeSize": "5 GB"}},
    "/events/schedule": {"repositories": [GITHUB], "schedule": "every night"},
    "events.enabled needs events.repositories": {"repositories": []},
    "without it Argo Events compares no token": {"repositories": REPOSITORIES[3:]},
    "/events/repositories/0/url": {"repositories": [GITHUB | {"url": "https://github.com/team/a|.*"}]},
    "/events/repositories/0/forge": {"repositories": [GITHUB | {"forge": "svn"}]},
    "/events/repositories/0/branch": {"repositories": [GITHUB | {"branch": "{{x}}"}]},
    "/events/bus/url": {"repositories": [GITHUB], "bus": {"url": "http://x"}},
}


@pytest.mark.parametrize(("told", "events"), REFUSED.items(), ids=list(REFUSED))
def test_wrong_values_are_refused(told: str, events: dict[str, Any]) -> None:
    """By name, before anything is installed."""
    assert told in refusal({"settings": {"registry": "registry.example.com"}, "events": {"enabled": True, **events}})


def test_what_listens_has_no_rights_and_what_starts_has_few() -> None:
    """The pod that strangers reach has no token; the Sensor creates runs and keeps events, in its own namespace."""
    documents = rendered(**ALL)
    accounts = of_kind(documents, "ServiceAccount")
    assert accounts["shipway-webhooks"]["automountServiceAccountToken"] is False
    assert accounts["shipway-sensor"]["automountServiceAccountToken"] is False
    assert of_kind(documents, "Secret").keys() == {"shipway-report"}
    bound = [s["name"] for b in of_kind(documents, "RoleBinding").values() for s in b["subjects"]]
    assert "shipway-webhooks" not in bound
    assert of_kind(documents, "Role")["shipway-sensor"]["rules"] == [
        {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["get", "create", "patch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
    ]
    for name, verbs in (("shipway-supersede", ["list", "patch"]), ("shipway-reconcile", ["create"])):
        assert of_kind(documents, "Role")[name]["rules"] == [
            {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": verbs}
        ]
        assert accounts[name]["automountServiceAccountToken"] is False


def test_a_change_looks_at_every_repository() -> None:
    """After an installation or upgrade a run of `reconcile` for each, which takes the event for the calendar's own."""
    hooks = of_kind(rendered(**ALL), "Workflow")
    assert len(hooks) == len(REPOSITORIES)
    for hook, repository in zip(hooks.values(), REPOSITORIES, strict=True):
        assert hook["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade"
        given = {p["name"]: p["value"] for p in hook["spec"]["arguments"]["parameters"]}
        event = read(given["event"])
        assert isinstance(event, Nightly)
        assert (event.repo, event.ref) == (repository["url"], f"refs/heads/{repository['branch']}")
        template = yaml.safe_load(CHART.joinpath("files/reconcile.yaml").read_text())
        assert given.keys() == {p["name"] for p in template["spec"]["arguments"]["parameters"]}


def test_a_token_is_seen_by_one_container_alone() -> None:
    """Who may stop or start runs has no login; who asks the repository
    may do neither, and for what strangers send, sees no registry.
    """
    documents = of_kind(rendered(**ALL), "WorkflowTemplate")
    seen = {
        (name, template["name"], container["name"]): {m["name"] for m in container["volumeMounts"]}
        & {volume["name"] for volume in template["volumes"] if "secret" in volume or "projected" in volume}
        for name in ("work", "review", "reconcile")
        for template in documents[name]["spec"]["templates"]
        if template["name"] in {"start", "begin-pod", "reconcile"}
        for container in template["containerSet"]["containers"]
    }
    assert seen == {
        ("work", "start", "main"): {"git", "pull"},
        ("work", "begin-pod", "supersede"): {"account"},
        ("work", "begin-pod", "main"): {"report-account", "forge"},
        ("review", "start", "main"): {"git"},
        ("review", "begin-pod", "supersede"): {"account"},
        ("review", "begin-pod", "main"): {"report-account", "forge"},
        ("reconcile", "reconcile", "list-refs"): {"git", "pull"},
        ("reconcile", "reconcile", "main"): {"account"},
    }
    for name in ("work", "review"):
        stops = [
            task["arguments"]["parameters"]
            for template in documents[name]["spec"]["templates"]
            for task in template.get("dag", {}).get("tasks", [])
            if task["name"] == "begin"
        ]
        told = [
            {"name": word, "value": f"{{{{tasks.start.outputs.parameters.{word}}}}}"}
            for word in ("group", "lane", "head")
        ]
        assert stops == [[{"name": "run", "value": "{{workflow.name}}"}, *told]]
