"""What every compiled document of Argo Events keeps. Each check returns what breaks it, in words."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from pipelines.errors import Refused
from pipelines.events import run_labels
from pipelines.events.event import MOST_BYTES, REF_LABEL, longest
from pipelines.events.simulation.go_template import Call, Field, Operand, Pipeline, parse
from sensors.payloads import MESSAGE
from sensors.shape import NAME_HASH
from sensors.target import ARGUMENT, NAME, NIGHTLY, PROPOSAL, TriggerTarget
from tests.laws import event_fields

Document: TypeAlias = Mapping[str, Any]
Targets: TypeAlias = Sequence[TriggerTarget]
Check: TypeAlias = Callable[[Document, Targets], list[str]]

_DNS = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_ARGUMENT = re.compile(r"spec\.arguments\.parameters\.(\d+)\.value")
_ENCODING = re.compile(r"\{\{ .+ \| toJson (?:\| trunc \d+ )?\| b64enc \}\}", re.DOTALL)
_SLUGS = " ".join(run_labels.expression(slug, ".anything") for slug in run_labels.SLUGS)
_LABEL_FORM = run_labels.expression(run_labels.LABEL, ".anything")
_NOTE_FORM = run_labels.expression(run_labels.NOTE, ".anything")
_WORDS = re.compile(r'\{\{ (printf "[^"]*")')
_LABEL_KEY = re.compile(r"metadata\.labels\.shipway\\\.io/[a-z-]+")
_NOTE_KEY = re.compile(r"metadata\.annotations\.workflows\\\.argoproj\\\.io/(title|description)")
_FORMS: Mapping[str, str] = {
    "metadata.name": f'printf "%s-%s-%s" {_SLUGS} (.anything | sha256sum | trunc {NAME_HASH})',
    f"metadata.labels.{REF_LABEL}": ".anything | sha256sum | trunc 32",
}
"""Templates of what a person reads or a run is found by; each makes a valid value of anything."""
_LONGEST_NAME = 57
"""Argo appends a hash and more to a run's name for its pods."""
_LONGEST_SLUG = 27
_SOURCES = {"service", "template", "eventBusName", "replicas", "github", "gitlab", "webhook", "calendar"}
_FEWEST_STEPS = 2
_PROPOSALS = ("-pull-request", "-new-commit", "-ready", "-comment")
"""Ends of the names of triggers for what strangers may send."""

_CUT_TEXT = re.compile(r'\(\.Input\.[A-Za-z0-9_.]+ \| default "" \| toString \| trunc (\d+)\)')
_CUT_MESSAGE = re.compile(
    re.escape(run_labels.expression(MESSAGE, "(.Input.body.x | toJson)")).replace("body\\.x", "[A-Za-z0-9_.]+")
)
_NUMBER = re.compile(
    r"\(\.Input\.[A-Za-z0-9_.]+ \| int64(?: \| toString)?\)"
    r'|\(get \(\.Input\.[A-Za-z0-9_.]+ \| default \(dict\)\) "[a-z]+" \| int64\)'
)
_ESCAPED = 6
"""The most bytes that JSON writes for one: \\u003c, or \\ufffd for an invalid byte."""
_DIGITS = 20


def refuse(documents: Iterable[Document], targets: Targets) -> None:
    """Raise ValueError with everything that a document breaks."""
    broken = [
        f"{document['kind']} {document['metadata']['name']}: {text}"
        for document in documents
        for check in CHECKS
        for text in check(document, targets)
    ]
    if broken:
        raise ValueError("\n".join(broken))


def unsigned_sources(document: Document, _targets: Targets) -> list[str]:
    """Every source asks for a secret: Argo's validation does not require one, and without one it accepts anything."""
    if document["kind"] != "EventSource":
        return []
    spec = document["spec"]
    broken = [f"{kind}: a source that nobody has looked at" for kind in spec.keys() - _SOURCES]
    needed = {"github": ("webhookSecret",), "gitlab": ("secretToken", "accessToken"), "webhook": ("authSecret",)}
    for kind, names in needed.items():
        for name, source in spec.get(kind, {}).items():
            broken += [
                f"{kind}.{name}: no {secret}"
                for secret in names
                if not (source.get(secret, {}).get("name") and source.get(secret, {}).get("key"))
            ]
            if kind == "gitlab" and not source.get("webhook", {}).get("url"):
                broken.append(f"{kind}.{name}: no webhook.url, without which the token is never compared")
    return broken


def shared_ports(document: Document, _targets: Targets) -> list[str]:
    """Each kind of source has a port of its own, and each port is one of the service's."""
    if document["kind"] != "EventSource":
        return []
    spec = document["spec"]
    used: dict[str, set[str]] = {}
    for kind in ("github", "gitlab", "webhook"):
        for name, source in spec.get(kind, {}).items():
            port = source.get("webhook", source).get("port", "")
            used.setdefault(str(port), set()).add(kind)
            if int(port or 0) not in {entry["port"] for entry in spec.get("service", {}).get("ports", [])}:
                return [f"{kind}.{name}: the port {port} is not the service's"]
    return [
        f"the port {port} is that of {' and '.join(sorted(kinds))}" for port, kinds in used.items() if len(kinds) > 1
    ]


def loose_patterns(document: Document, _targets: Targets) -> list[str]:
    """Every filter is a pattern for the whole text; nothing else filters."""
    broken = []
    for dependency in document["spec"].get("dependencies", []):
        name, filters = dependency["name"], dependency.get("filters", {})
        broken += [f"{name}: filters by {key}" for key in filters.keys() - {"data"}]
        broken += [f"{name}: {key}" for key in dependency.keys() & {"transform", "filtersLogicalOperator"}]
        for entry in filters.get("data", []):
            if entry.get("type") != "string" or entry.keys() - {"path", "type", "value"}:
                broken.append(f"{name}: the filter of {entry.get('path')} is not a plain pattern")
            broken += [
                f"{name}: {pattern} of {entry['path']} is not anchored"
                for pattern in entry.get("value", [])
                if not anchored(pattern)
            ]
    return broken


def anchored(pattern: str) -> bool:
    """Return whether a pattern begins with ^ and ends with $, and no | outside parentheses undoes that."""
    if not (pattern.startswith("^") and pattern.endswith("$") and len(pattern) > 1):
        return False
    depth, in_class, at = 0, False, 0
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            at += 1
            if at == len(pattern) - 1:
                return False  # the last $ is an escaped one
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "|" and depth == 0:
            return False
        at += 1
    return depth == 0 and not in_class


def wrong_parameters(document: Document, targets: Targets) -> list[str]:
    """A value goes to an argument by its index in a list, and that index has the name of an argument of the target."""
    broken = []
    for trigger in _triggers(document):
        name = trigger["template"]["name"]
        k8s = trigger["template"].get("k8s", {})
        workflow = k8s.get("source", {}).get("resource", {})
        if workflow.get("kind") != "Workflow":
            broken.append(f"{name}: starts no Workflow")
            continue
        spec = workflow["spec"]
        target = next(known for known in targets if known.name == _target_of(name))
        if spec.get("workflowTemplateRef") != {"name": target.name} or spec.keys() - {
            "workflowTemplateRef",
            "arguments",
        }:
            broken.append(f"{name}: is not a plain run of {target.name}")
        names = [parameter["name"] for parameter in spec.get("arguments", {}).get("parameters", [])]
        broken += [f"{name}: {target.name} has no argument {word}" for word in names if word not in target.parameters]
        broken += [f"{name}: no argument {word}" for word in sorted(target.required - set(names))]
        indices = []
        for parameter in k8s.get("parameters", []):
            found = _ARGUMENT.fullmatch(parameter["dest"])
            if found:
                indices.append(int(found[1]))
            elif not _is_description(parameter["dest"]):
                broken.append(f"{name}: a value goes to {parameter['dest']}")
        at = [names[index] if index < len(names) else str(index) for index in indices]
        if at != [ARGUMENT]:
            broken.append(f"{name}: the event goes to {', '.join(at) or 'nothing'} and not to {ARGUMENT}")
    return broken


def _target_of(trigger: str) -> str:
    """Return the target that a trigger of this name must start; apart from the shapes, to find errors in them."""
    if trigger.endswith(_PROPOSALS):
        return PROPOSAL
    return NIGHTLY if trigger.removeprefix("calendar-").startswith("nightly") else NAME


def losing_triggers(document: Document, _targets: Targets) -> list[str]:
    """A failed trigger is tried again, then its event is kept; the trigger that keeps it is tried again, too."""
    broken = []
    for trigger in _triggers(document):
        name = trigger["template"]["name"]
        broken += _losing(name, trigger)
        dead = trigger.get("dlqTrigger")
        if not dead:
            broken.append(f"{name}: no dead-letter trigger")
            continue
        broken += _losing(f"{name}'s dead-letter trigger", dead)
        if "dlqTrigger" in dead:
            broken.append(f"{name}: the dead-letter trigger has one itself")
    return broken


def _losing(name: str, trigger: Document) -> list[str]:
    broken = [] if trigger.get("atLeastOnce") is True else [f"{name}: no atLeastOnce"]
    backoff = trigger.get("retryStrategy", {})
    if backoff.get("steps", 1) < _FEWEST_STEPS or not backoff.get("duration") or not backoff.get("factor"):
        broken.append(f"{name}: no backoff")
    return broken


def doubling_triggers(document: Document, _targets: Targets) -> list[str]:
    """A run has one name for one event, and a second one changes nothing."""
    broken = []
    for trigger in _triggers(document):
        name = trigger["template"]["name"]
        k8s = trigger["template"].get("k8s", {})
        if k8s.get("operation") != "patch":
            broken.append(f"{name}: the operation is {k8s.get('operation')}, not patch")
        named = [p for p in k8s.get("parameters", []) if p["dest"] == "metadata.name"]
        if len(named) != 1 or named[0].get("operation") != "append":
            broken.append(f"{name}: the run is not named after its event")
    return broken


def unencoded_values(document: Document, _targets: Targets) -> list[str]:
    """Values of an event reach a document only as base64, and its name only as a hash."""
    broken = []
    for trigger in _all_triggers(document):
        name = trigger["template"]["name"]
        if trigger.get("parameters"):
            broken.append(f"{name}: parameters over the trigger itself")
        broken += [f"{name}: {kind}" for kind in trigger["template"].keys() - {"name", "conditions", "k8s"}]
        for parameter in trigger["template"].get("k8s", {}).get("parameters", []):
            source, dest = dict(parameter["src"]), parameter["dest"]
            if _LABEL_KEY.fullmatch(dest) or _NOTE_KEY.fullmatch(dest):
                source.pop("value", "")
            if source.keys() - {"dependencyName", "dataTemplate"} or not _is_encoded(
                dest, source.get("dataTemplate", "")
            ):
                broken.append(f"{name}: a value of the event reaches {dest} as it is")
    return broken


def _is_description(dest: str) -> bool:
    """Whether a place is for what a person reads, or by what a run is found."""
    return dest in _FORMS or bool(_LABEL_KEY.fullmatch(dest) or _NOTE_KEY.fullmatch(dest))


def _is_encoded(dest: str, template: str) -> bool:
    """Whether a template makes nothing of an event that its place does not take."""
    if not _is_description(dest):
        return bool(_ENCODING.fullmatch(template))
    form = _FORMS.get(dest, _LABEL_FORM)
    if _NOTE_KEY.fullmatch(dest):
        words = match[1] if (match := _WORDS.match(template)) else "printf"
        form = " ".join([words, *[_NOTE_FORM] * words.count("%")])
    return _is_of_form(template, form)


@functools.lru_cache(maxsize=512)
def _is_of_form(template: str, form: str) -> bool:
    """Return whether a template is an expression, with some other expression in each place of its `.anything`."""
    try:
        return _has_form(parse(f"{{{{ {form} }}}}"), parse(template))
    except Refused:
        return False


def _has_form(form: Operand, operand: Operand) -> bool:
    match form, operand:
        case Field(("anything",)), _:
            return True
        case Call(), Call():
            return form.name == operand.name and _have_forms(form.arguments, operand.arguments)
        case Pipeline((Field(("anything",)), _, *_)), Pipeline():
            last = form.commands[1:]
            return len(operand.commands) > len(last) and _have_forms(last, operand.commands[-len(last) :])
        case Pipeline(), Pipeline():
            return _have_forms(form.commands, operand.commands)
    return form == operand


def _have_forms(forms: Sequence[Operand], operands: Sequence[Operand]) -> bool:
    return len(forms) == len(operands) and all(map(_has_form, forms, operands))


def unbounded_events(document: Document, _targets: Targets) -> list[str]:
    """An event is never larger than a run accepts, whatever its texts are."""
    return [
        text
        for trigger in _triggers(document)
        for text in _oversized(trigger["template"]["name"], trigger["template"].get("k8s", {}))
    ]


def _oversized(name: str, k8s: Document) -> list[str]:
    """Return what a trigger passes to a run's argument without a bound, or beyond the bound of `decode`."""
    broken = []
    for parameter in k8s.get("parameters", []):
        template = parameter["src"].get("dataTemplate", "")
        if not parameter["dest"].startswith("spec.arguments."):
            continue
        texts, numbers = _CUT_TEXT.findall(template), _NUMBER.findall(template)
        without, messages = _CUT_MESSAGE.subn("", _CUT_TEXT.sub("", template))
        rest, texts = _NUMBER.sub("", without), [*texts, *[longest("message")] * messages]
        most = _ESCAPED * sum(map(int, texts)) + _DIGITS * len(numbers) + len(rest)
        if ".Input" in rest:
            broken.append(f"{name}: a value of the event that is not cut")
        elif most > MOST_BYTES:
            broken.append(f"{name}: the event may be of {most} bytes, of which {MOST_BYTES} are taken")
    return broken


def unknown_fields(document: Document, _targets: Targets) -> list[str]:
    """Every field is one of Argo's."""
    return [f"{path}: no such field" for path in event_fields.unknown(document)]


def illegal_names(document: Document, _targets: Targets) -> list[str]:
    """The cluster accepts names and labels, with all that is appended to them."""
    broken = [] if _DNS.fullmatch(document["metadata"]["name"]) else [document["metadata"]["name"]]
    broken += _labels(document)
    spec = document["spec"]
    kinds = [
        [dependency["name"] for dependency in spec.get("dependencies", [])],
        [trigger["template"]["name"] for trigger in _all_triggers(document)],
    ]
    if document["kind"] == "EventSource":
        entries = (spec[kind] for kind in ("github", "gitlab", "webhook", "calendar") if kind in spec)
        kinds.append([name for entry in entries for name in entry])
    for names in kinds:
        broken += [f"{name} is not a valid name" for name in names if not _DNS.fullmatch(name)]
        broken += [f"{name} is duplicated" for name in sorted({n for n in names if names.count(n) > 1})]
    for trigger in _all_triggers(document):
        k8s = trigger["template"].get("k8s", {})
        found = k8s.get("source", {}).get("resource", {"metadata": {}})
        broken += _labels(found)
        if "namespace" in found["metadata"]:
            broken.append(f"{trigger['template']['name']}: creates in another namespace")
        begins = found["metadata"].get("name", found["metadata"].get("generateName", ""))
        is_appended = any(parameter["dest"] == "metadata.name" for parameter in k8s.get("parameters", []))
        whole = begins + "0" * (_LONGEST_SLUG + 1 + NAME_HASH if is_appended else 5)
        if not _DNS.fullmatch(whole) or len(whole) > _LONGEST_NAME:
            broken.append(f"{trigger['template']['name']}: {whole} is not a valid run name")
    return broken


def _labels(document: Document) -> list[str]:
    labels = document["metadata"].get("labels", {})
    return [f"label {key}: {value}" for key, value in labels.items() if not _LABEL.fullmatch(str(value))]


def _triggers(document: Document) -> list[Any]:
    return list(document["spec"].get("triggers", []))


def _all_triggers(document: Document) -> Iterator[Any]:
    for trigger in _triggers(document):
        yield trigger
        if "dlqTrigger" in trigger:
            yield trigger["dlqTrigger"]


CHECKS: tuple[Check, ...] = (
    unsigned_sources,
    shared_ports,
    loose_patterns,
    wrong_parameters,
    losing_triggers,
    doubling_triggers,
    unencoded_values,
    unbounded_events,
    unknown_fields,
    illegal_names,
)
