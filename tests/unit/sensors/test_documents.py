"""The documents of Argo Events: the committed ones keep every check, and each check catches what breaks it."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hera.events import models as m
from hera.workflows import models as workflows

from pipelines.events import event as events
from pipelines.events.simulation import go_template
from sensors import manifest, payloads
from sensors.documents import documents
from sensors.shape import Shape
from sensors.target import CONTRACT, TriggerTarget
from tests.laws import event_checks as checks
from tests.laws import events as laws
from tests.laws.documents import Document
from tests.laws.event_checks import Check
from tests.laws.fields import unknown_fields

FILES = Path(__file__).parents[3] / "charts/shipway/files"
DOCUMENTS = {
    file.stem: yaml.load(file.read_text(), Loader=yaml.CSafeLoader) for file in sorted(FILES.glob("sensors/*.yaml"))
}
SENSOR, WEBHOOKS = DOCUMENTS["sensor"], DOCUMENTS["event-source-webhooks"]
TARGETS = tuple(
    TriggerTarget.of(yaml.load((FILES / f"{known.name}.yaml").read_text(), Loader=yaml.CSafeLoader))
    for known in CONTRACT
)


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_committed_documents_keep_every_check(check: Check) -> None:
    """What the chart ships is what the checks are about."""
    assert {name: told for name, document in DOCUMENTS.items() if (told := check(document, TARGETS))} == {}
    assert [trigger["template"]["name"] for trigger in SENSOR["spec"]["triggers"]] == [s.id for s in payloads.SHAPES]


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
def test_committed_documents_keep_the_laws(law: Callable[[Document], list[str]]) -> None:
    """Values are encoded, sources are signed, headers are not read."""
    assert [broken for document in DOCUMENTS.values() for broken in law(document)] == []


@pytest.mark.parametrize(
    ("law", "document", "change"),
    [
        (laws.stray_templates, SENSOR, lambda s: resource(s)["metadata"]["labels"].update(x="{{ .Input.body.ref }}")),
        (laws.stray_templates, SENSOR, lambda s: encoding(s, "| b64enc", "")),
        (laws.stray_templates, WEBHOOKS, lambda s: s["github"]["github"]["webhook"].update(endpoint="/{{x}}")),
        (laws.unsigned, WEBHOOKS, lambda s: s["github"]["gitea"].pop("webhookSecret")),
        (laws.unsigned, WEBHOOKS, lambda s: s["webhook"]["manual"].pop("authSecret")),
        (laws.unsigned, WEBHOOKS, lambda s: s["github"]["gitea"]["webhookSecret"].update(name="other")),
        (laws.stray_templates, SENSOR, lambda s: readable(s, "name", "| sha256sum | trunc 16", "")),
        (laws.stray_templates, SENSOR, lambda s: readable(s, "io/ref", "regexReplaceAll", "regexFind")),
        (laws.stray_templates, SENSOR, lambda s: readable(s, "title", '" (default', '" .Input.body.ref (default')),
        (laws.headers_read, SENSOR, lambda s: entry(s).update(path="headers.X-GitHub-Event")),
        (laws.headers_read, SENSOR, lambda s: entry(s).update(path="body.X-GitHub-Event")),
        (laws.headers_read, SENSOR, lambda s: encoding(s, ".Input.body.ref", ".Input.headers")),
    ],
)
def test_each_law_catches_what_breaks_it(
    law: Callable[[Document], list[str]], document: Any, change: Callable[[Any], object]
) -> None:
    """A law that nothing can break would prove nothing."""
    broken = copy.deepcopy(document)
    change(broken["spec"])
    assert law(broken)


def test_runs_have_no_unknown_field() -> None:
    """What a trigger creates is a Workflow of Argo's."""
    for trigger in SENSOR["spec"]["triggers"]:
        assert unknown_fields(trigger["template"]["k8s"]["source"]["resource"], workflows.Workflow) == []


Change = Callable[[Any], object]
CHANGES: list[tuple[Check, str, Any, Change]] = [
    (
        checks.unsigned_sources,
        "github.github: no webhookSecret",
        WEBHOOKS,
        lambda s: s["github"]["github"].pop("webhookSecret"),
    ),
    (
        checks.unsigned_sources,
        "github.gitea: no webhookSecret",
        WEBHOOKS,
        lambda s: s["github"]["gitea"]["webhookSecret"].pop("key"),
    ),
    (checks.unsigned_sources, "no accessToken", WEBHOOKS, lambda s: s["gitlab"]["gitlab"].pop("accessToken")),
    (checks.unsigned_sources, "no secretToken", WEBHOOKS, lambda s: s["gitlab"]["gitlab"].pop("secretToken")),
    (checks.unsigned_sources, "no webhook.url", WEBHOOKS, lambda s: s["gitlab"]["gitlab"]["webhook"].pop("url")),
    (checks.unsigned_sources, "manual: no authSecret", WEBHOOKS, lambda s: s["webhook"]["manual"].pop("authSecret")),
    (checks.unsigned_sources, "bitbucket", WEBHOOKS, lambda s: s.update(bitbucket={"x": {}})),
    (
        checks.shared_ports,
        "github and gitlab",
        WEBHOOKS,
        lambda s: s["gitlab"]["gitlab"]["webhook"].update(port="12000"),
    ),
    (checks.shared_ports, "not the service's", WEBHOOKS, lambda s: s["webhook"]["manual"].update(port="1")),
    (checks.loose_patterns, "main of body.ref is not anchored", SENSOR, lambda s: pattern(s, "main")),
    (checks.loose_patterns, "is not anchored", SENSOR, lambda s: pattern(s, "^main")),
    (checks.loose_patterns, "is not anchored", SENSOR, lambda s: pattern(s, "^a|b$")),
    (checks.loose_patterns, "is not anchored", SENSOR, lambda s: pattern(s, "^a\\$")),
    (checks.loose_patterns, "filters by exprs", SENSOR, lambda s: s["dependencies"][0]["filters"].update(exprs=[])),
    (checks.loose_patterns, "is not a plain pattern", SENSOR, lambda s: entry(s).update(comparator="!=")),
    (checks.loose_patterns, "is not a plain pattern", SENSOR, lambda s: entry(s).update(type="bool")),
    (checks.loose_patterns, "github-push: transform", SENSOR, lambda s: s["dependencies"][0].update(transform={})),
    (checks.wrong_parameters, "starts no Workflow", SENSOR, lambda s: resource(s).update(kind="Pod")),
    (checks.wrong_parameters, "goes to 1", SENSOR, lambda s: event(s).update(dest="spec.arguments.parameters.1.value")),
    (checks.wrong_parameters, "goes to other", SENSOR, lambda s: arguments(s).insert(0, {"name": "other"})),
    (checks.wrong_parameters, "has no argument other", SENSOR, lambda s: arguments(s).append({"name": "other"})),
    (checks.wrong_parameters, "no argument event", SENSOR, lambda s: arguments(s).clear()),
    (checks.wrong_parameters, "goes to spec.entrypoint", SENSOR, lambda s: event(s).update(dest="spec.entrypoint")),
    (
        checks.wrong_parameters,
        "is not a plain run",
        SENSOR,
        lambda s: resource(s)["spec"].update(serviceAccountName="x"),
    ),
    (
        checks.wrong_parameters,
        "is not a plain run",
        SENSOR,
        lambda s: resource(s)["spec"]["workflowTemplateRef"].update(name="x"),
    ),
    (checks.wrong_parameters, "is not a plain run of review", SENSOR, lambda s: proposal(s).update(name="release")),
    (checks.losing_triggers, "no atLeastOnce", SENSOR, lambda s: s["triggers"][0].pop("atLeastOnce")),
    (checks.losing_triggers, "github-push: no backoff", SENSOR, lambda s: s["triggers"][0].pop("retryStrategy")),
    (checks.losing_triggers, "no backoff", SENSOR, lambda s: s["triggers"][0]["retryStrategy"].update(steps=1)),
    (checks.losing_triggers, "no dead-letter", SENSOR, lambda s: s["triggers"][0].pop("dlqTrigger")),
    (checks.losing_triggers, "letter trigger: no backoff", SENSOR, lambda s: dead(s).pop("retryStrategy")),
    (checks.losing_triggers, "letter trigger: no atLeast", SENSOR, lambda s: dead(s).update(atLeastOnce=False)),
    (checks.losing_triggers, "has one itself", SENSOR, lambda s: dead(s).update(dlqTrigger=copy.deepcopy(dead(s)))),
    (checks.wrong_parameters, "goes to metadata.labels.x", SENSOR, lambda s: event(s).update(dest="metadata.labels.x")),
    (checks.unencoded_values, "as it is", SENSOR, lambda s: event(s).update(dest="metadata.labels.shipway-ref")),
    (checks.doubling_triggers, "create, not patch", SENSOR, lambda s: k8s(s).update(operation="create")),
    (checks.doubling_triggers, "not named after", SENSOR, lambda s: k8s(s)["parameters"].pop(0)),
    (checks.unencoded_values, "as it is", SENSOR, lambda s: event(s)["src"].update(dataKey="body.ref")),
    (
        checks.unencoded_values,
        "as it is",
        SENSOR,
        lambda s: event(s)["src"].update(dataTemplate="{{ .Input.body.ref }}"),
    ),
    (checks.unencoded_values, "as it is", SENSOR, lambda s: encoding(s, "| b64enc", "")),
    (
        checks.unencoded_values,
        "as it is",
        SENSOR,
        lambda s: encoding(s, "| b64enc }}", "| b64enc }}{{ .Input.body.ref }}"),
    ),
    (checks.unencoded_values, "event reaches spec", SENSOR, lambda s: event(s)["src"].update(value="x")),
    (
        checks.unencoded_values,
        "metadata.name as it is",
        SENSOR,
        lambda s: readable(s, "name", '(default "x"', "(lower"),
    ),
    (checks.unencoded_values, "metadata.name as it is", SENSOR, lambda s: readable(s, "name", "trunc 16", "trunc 8")),
    (checks.unencoded_values, "io/commit as it is", SENSOR, lambda s: readable(s, "commit", "trunc 63", "trunc 64")),
    (checks.unencoded_values, "io/ref as it is", SENSOR, lambda s: readable(s, "io/ref", '(default "none"', "(lower")),
    (checks.unencoded_values, "io/ref as it is", SENSOR, lambda s: readable(s, "io/ref", " }}", " | lower }}")),
    (checks.unencoded_values, "io/ref as it is", SENSOR, lambda s: readable(s, "io/ref", "default", "unless")),
    (checks.unencoded_values, "title as it is", SENSOR, lambda s: readable(s, "title", "`{}", "{}")),
    (checks.unencoded_values, "title as it is", SENSOR, lambda s: readable(s, "title", " }}", " .Input.body.ref }}")),
    (checks.unencoded_values, "title as it is", SENSOR, lambda s: readable(s, "title", "printf", "list")),
    (
        checks.wrong_parameters,
        "goes to metadata.annotations.x",
        SENSOR,
        lambda s: event(s).update(dest="metadata.annotations.x"),
    ),
    (checks.unencoded_values, "over the trigger", SENSOR, lambda s: s["triggers"][0].update(parameters=[{}])),
    (checks.unencoded_values, "github-push-lost", SENSOR, lambda s: dead(s)["template"].update(log={})),
    (checks.unbounded_events, "that is not cut", SENSOR, lambda s: encoding(s, "| toString | trunc 1000", "")),
    (checks.unbounded_events, "that is not cut", SENSOR, lambda s: encoding(s, "(trunc 300 ", "(trunc 3000 ")),
    (checks.unbounded_events, "that is not cut", SENSOR, lambda s: encoding(s, "head_commit | toJson", "head_commit")),
    (checks.unbounded_events, "of which 16384 are taken", SENSOR, lambda s: encoding(s, "trunc 1000", "trunc 2000")),
    (checks.unknown_fields, "atLeastonce", SENSOR, lambda s: s["triggers"][0].update(atLeastonce=True)),
    (checks.unknown_fields, "webhooksecret", WEBHOOKS, lambda s: s["github"]["github"].update(webhooksecret={})),
    (checks.unknown_fields, "webhookContext", WEBHOOKS, lambda s: s["webhook"]["manual"].update(webhookContext={})),
    (checks.unknown_fields, "entryPoint", SENSOR, lambda s: resource(s)["spec"].update(entryPoint="x")),
    (
        checks.unknown_fields,
        "factor",
        SENSOR,
        lambda s: s["triggers"][0]["retryStrategy"].update(factor={"value": "Mg=="}),
    ),
    (checks.unknown_fields, "jetstream.replica", DOCUMENTS["event-bus"], lambda s: s["jetstream"].update(replica=1)),
    (
        checks.unknown_fields,
        "persistence.volumesize",
        DOCUMENTS["event-bus"],
        lambda s: s["jetstream"]["persistence"].update(volumesize="5Gi"),
    ),
    (
        checks.unknown_fields,
        "jetstream.affinity.nodeaffinity",
        DOCUMENTS["event-bus"],
        lambda s: s["jetstream"].update(affinity={"nodeaffinity": {}}),
    ),
    (checks.unknown_fields, "nats.native", DOCUMENTS["event-bus"], lambda s: s.update(nats={"native": {}})),
    (checks.unknown_fields, "metadata.label", SENSOR, lambda s: record(s)["metadata"].update(label={})),
    (checks.illegal_names, "a_b is not a valid name", SENSOR, lambda s: s["dependencies"][0].update(name="a_b")),
    (checks.illegal_names, "is duplicated", SENSOR, lambda s: s["triggers"].append(s["triggers"][0])),
    (checks.illegal_names, "label ref: a/b", SENSOR, lambda s: resource(s)["metadata"]["labels"].update(ref="a/b")),
    (checks.illegal_names, "is not a valid run name", SENSOR, lambda s: resource(s)["metadata"].update(name="x" * 30)),
    (checks.illegal_names, "another namespace", SENSOR, lambda s: resource(s)["metadata"].update(namespace="x")),
]


def k8s(spec: Any) -> Any:
    """Return what the first trigger creates, and how."""
    return spec["triggers"][0]["template"]["k8s"]


def resource(spec: Any) -> Any:
    """Return the run of the first trigger."""
    return k8s(spec)["source"]["resource"]


def arguments(spec: Any) -> Any:
    """Return the run's arguments."""
    return resource(spec)["spec"]["arguments"]["parameters"]


def event(spec: Any) -> Any:
    """Return the parameter that sets the event."""
    return k8s(spec)["parameters"][1]


def encoding(spec: Any, old: str, new: str) -> None:
    """Change the event's expression."""
    source = event(spec)["src"]
    source["dataTemplate"] = source["dataTemplate"].replace(old, new)


def readable(spec: Any, place: str, old: str, new: str) -> None:
    """Change the first expression of what people read in a place."""
    [source] = [one["src"] for one in k8s(spec)["parameters"] if one["dest"].endswith(place)]
    assert old in source["dataTemplate"]
    source["dataTemplate"] = source["dataTemplate"].replace(old, new, 1)


def dead(spec: Any) -> Any:
    """Return the first dead-letter trigger."""
    return spec["triggers"][0]["dlqTrigger"]


def record(spec: Any) -> Any:
    """Return what the first dead-letter trigger makes."""
    return dead(spec)["template"]["k8s"]["source"]["resource"]


def entry(spec: Any) -> Any:
    """Return the first filter."""
    return spec["dependencies"][0]["filters"]["data"][0]


def proposal(spec: Any) -> Any:
    """Return what a pull request starts."""
    [found] = [t["template"] for t in spec["triggers"] if t["template"]["name"] == "github-pull-request"]
    return found["k8s"]["source"]["resource"]["spec"]["workflowTemplateRef"]


def pattern(spec: Any, text: str) -> None:
    """Set the first pattern."""
    entry(spec)["value"] = [text]


@pytest.mark.parametrize(
    ("check", "told", "document", "change"), CHANGES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_each_check_catches_what_breaks_it(check: Check, told: str, document: Any, change: Change) -> None:
    """A document that loses, doubles, trusts or means something else is found."""
    broken = copy.deepcopy(document)
    change(broken["spec"])
    assert [text for text in check(broken, CONTRACT) if told in text]
    with pytest.raises(ValueError, match=r"(Sensor|EventSource|EventBus) shipway"):
        checks.refuse([broken], CONTRACT)


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_what_kubernetes_would_refuse_or_overlook_is_found_in_each_document(name: str) -> None:
    """A word too much at the top or in the metadata, or a label that is none, is found in every kind of document."""
    changes: list[Document] = [{"specs": {}}, {"metadata": {**DOCUMENTS[name]["metadata"], "label": {}}}]
    for change in changes:
        assert checks.unknown_fields({**DOCUMENTS[name], **change}, CONTRACT)
    labels = {"metadata": {**DOCUMENTS[name]["metadata"], "labels": {"ref": "a/b"}}}
    assert checks.illegal_names({**DOCUMENTS[name], **labels}, CONTRACT) == ["label ref: a/b"]


@pytest.mark.parametrize("shape", payloads.SHAPES, ids=lambda shape: shape.id)
def test_no_event_is_larger_than_a_run_takes(shape: Shape) -> None:
    """Whatever the texts of a payload are: each is cut, also where every byte of it is written as six."""

    values = {
        'default ""': "<" * 5000,
        "int64": 2**53,
        "default (dict)": {"id": 2**53},
        "toJson": {"message": "<" * 5000},
    }
    data: dict[str, Any] = {}
    for path, kind in re.findall(
        r'\.Input\.([A-Za-z0-9_.]+) \| (default ""|default \(dict\)|int64|toJson)', shape.expression
    ):
        *folders, leaf = path.split(".")
        place = data
        for folder in folders:
            place = place.setdefault(folder, {})
        place[leaf] = values[kind]
    size = len(go_template.render(f"{{{{ {shape.expression} }}}}", {"Input": data}))
    assert 8000 < size <= events.MOST_BYTES


@pytest.mark.parametrize(
    ("pattern", "good"),
    [
        ("^a$", True),
        ("^(a|b)$", True),
        (r"^[|$]\|$", True),
        (r"^\\$", True),
        ("^$", True),
        ("", False),
        ("^", False),
        ("a$", False),
        (r"^a\$", False),
        ("^a|b$", False),
        ("^(a)|(b)$", False),
        ("^(a$", False),
        ("^[a$", False),
    ],
)
def test_what_is_anchored(pattern: str, good: bool) -> None:
    """A | outside parentheses makes two patterns of one, each anchored at one end only."""
    assert checks.anchored(pattern) is good


def test_the_target_is_what_the_workflow_says() -> None:
    """The event's place follows from the template; a template that needs more than the event cannot be started."""
    made = {
        "metadata": {"name": "x"},
        "spec": {"arguments": {"parameters": [{"name": "a", "value": "1"}, {"name": "event"}]}},
    }
    target = TriggerTarget.of(made)
    workflow = target.workflow("push-")
    assert target.path(workflow, "event") == "spec.arguments.parameters.0.value"
    release = {"kind": "WorkflowTemplate", "metadata": {"name": "release"}, "spec": made["spec"]}
    assert documents([release]).keys() == DOCUMENTS.keys()
    del made["spec"]["arguments"]["parameters"][0]["value"]  # type: ignore[index]
    with pytest.raises(ValueError, match="x needs a"):
        TriggerTarget.of(made)
    with pytest.raises(ValueError, match="no argument event"):
        TriggerTarget.of({"metadata": {"name": "x"}, "spec": {}})


def test_a_shape_has_every_field_of_its_event_and_no_other() -> None:
    """What `decode` reads is what Sensors write."""
    good = payloads.SHAPES[0]
    with pytest.raises(ValueError, match="before"):
        dataclasses.replace(good, fields={k: v for k, v in good.fields.items() if k != "before"})
    assert {shape.event for shape in payloads.SHAPES} == set(events.SHAPES)


def test_what_hera_writes_in_another_way_is_mended() -> None:
    """Numbers, times, documents and inline fields stand as Argo reads them."""
    backoff = m.Backoff(steps=2, duration=manifest.duration("2s"), factor=manifest.amount(1.5))
    assert manifest.plain(backoff) == {"steps": 2, "duration": "2s", "factor": 1.5}
    assert manifest.plain(manifest.resource({"kind": "X"})) == {"resource": {"kind": "X"}}
    assert manifest.plain(m.WebhookEventSource(webhook_context=m.WebhookContext(port="1"))) == {"port": "1"}
