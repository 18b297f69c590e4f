"""The laws over compiled documents: all committed ones keep them, and each law catches what breaks it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from argo_workflows.configuration import Configuration
from argo_workflows.model.io_argoproj_workflow_v1alpha1_workflow_template import (
    IoArgoprojWorkflowV1alpha1WorkflowTemplate,
)
from argo_workflows.model_utils import validate_and_convert_types
from hera.workflows import models

from pipelines.check.model import BuildReport
from pipelines.images.plan_model import PlannedImage
from pipelines.step import signature
from pipelines.step.signature import Step
from pipelines.step.texts import FreeText, Plain
from tests.laws import texts, trust, workflows
from tests.laws.documents import Document
from tests.laws.fields import unknown_fields

FILES = sorted(Path(__file__).parents[2].joinpath("charts/shipway/files").glob("*.yaml"))
DOCUMENTS = [document for file in FILES for document in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader)]
TEMPLATES = [document for document in DOCUMENTS if document["kind"] == "WorkflowTemplate"]


def parse_with_sdk(document: Document) -> None:
    """Convert a document with the Argo SDK, which empties what it
    reads; raises its TypeError where a value has another type.
    """
    validate_and_convert_types(
        copy.deepcopy(document),
        (IoArgoprojWorkflowV1alpha1WorkflowTemplate,),
        ["document"],
        True,
        True,
        Configuration(),
    )


@pytest.mark.parametrize("document", TEMPLATES, ids=lambda d: d["metadata"]["name"])
@pytest.mark.parametrize("law", workflows.LAWS, ids=lambda law: law.__name__)
def test_compiled_documents_keep_the_laws(document: Document, law: Callable[[Document], list[str]]) -> None:
    """No compiled document breaks a law."""
    assert law(document) == []


@pytest.mark.parametrize("document", TEMPLATES, ids=lambda d: d["metadata"]["name"])
def test_compiled_documents_have_no_unknown_field(document: Document) -> None:
    """Every field is one of Argo's, and every value of its type."""
    assert unknown_fields(document, models.WorkflowTemplate) == []
    parse_with_sdk(document)


def broken(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> Document:
    """Return clone-build-push after a change of its template and that template's first container."""
    document: Document = copy.deepcopy(next(d for d in TEMPLATES if d["metadata"]["name"] == "clone-build-push"))
    template = document["spec"]["templates"][0]
    change(template, template["containerSet"]["containers"][0])
    return document


def mounts(template: dict[str, Any], container: str) -> dict[str, Any]:
    """Return a container's mounts by the names of their volumes."""
    (found,) = (one for one in template["containerSet"]["containers"] if one["name"] == container)
    return {mount["name"]: mount for mount in found["volumeMounts"]}


CHANGES: list[tuple[Callable[[Document], list[str]], str, Callable[[dict[str, Any], dict[str, Any]], object]]] = [
    (workflows.unresolved_names, "names nothing", lambda t, c: c["args"].append("--x={{inputs.parameters.nothing}}")),
    (workflows.unresolved_names, "names nothing", lambda t, c: c["args"].append("--x={{workflow.parameters.repo}}")),
    (workflows.code_from_parameters, "a shell", lambda t, c: c.update(command=["sh", "-c"])),
    (workflows.code_from_parameters, "in the command", lambda t, c: c["command"].append("{{inputs.parameters.repo}}")),
    (workflows.code_from_parameters, "is not --name", lambda t, c: c["args"].append("x{{inputs.parameters.repo}}")),
    (workflows.code_from_parameters, "inline script", lambda t, c: t.update(script={"source": "true"})),
    (
        workflows.code_from_parameters,
        "environment",
        lambda t, c: c.setdefault("env", []).append({"name": "X", "value": "{{inputs.parameters.repo}}"}),
    ),
    (workflows.choices_by_parameters, "image", lambda t, c: c.update(image="{{inputs.parameters.repo}}")),
    (
        workflows.choices_by_parameters,
        "secretName",
        lambda t, c: t["volumes"].append({"secret": {"secretName": "{{inputs.parameters.repo}}"}}),
    ),
    (
        workflows.choices_by_parameters,
        "serviceAccountName",
        lambda t, c: t.update(serviceAccountName="{{inputs.parameters.repo}}"),
    ),
    (
        workflows.choices_by_parameters,
        "the input registry",
        lambda t, c: t["inputs"]["parameters"].append({"name": "registry"}),
    ),
    (workflows.lacking, "no activeDeadlineSeconds", lambda t, c: t.pop("activeDeadlineSeconds")),
    (workflows.lacking, "mounts a token", lambda t, c: t.update(automountServiceAccountToken=True)),
    (workflows.lacking, "retries more", lambda t, c: t["retryStrategy"].pop("expression")),
    (workflows.lacking, "no limits of memory", lambda t, c: c["resources"]["limits"].pop("memory")),
    (workflows.lacking, "which the template lacks", lambda t, c: t["volumes"].pop()),
    (workflows.lacking, "outside its volumes", lambda t, c: c.update(workingDir="/tmp")),
    (workflows.lacking, "absolute path", lambda t, c: c["args"].append("--outputs=/out")),
    (
        workflows.shared_volumes,
        "clone is written by clone and build",
        lambda t, c: mounts(t, "build")["clone"].pop("readOnly"),
    ),
    (
        workflows.shared_volumes,
        "clone-build-push/clone: reads build while build can write it",
        lambda t, c: c["volumeMounts"].append({"name": "build", "mountPath": "/shipway/build", "readOnly": True}),
    ),
    (
        workflows.shared_volumes,
        "reads build while build can write it",
        lambda t, c: t["containerSet"]["containers"][1].update(dependencies=["clone"]),
    ),
    (workflows.shared_volumes, "not its own", lambda t, c: mounts(t, "clone")["clone"].update(readOnly=True)),
    (workflows.privileges, "may run as root", lambda t, c: t["securityContext"].pop("runAsNonRoot")),
    (workflows.privileges, "keeps capabilities", lambda t, c: c["securityContext"].update(privileged=True)),
    (
        workflows.privileges,
        "adds capabilities",
        lambda t, c: c["securityContext"]["capabilities"].update(add=["SYS_ADMIN"]),
    ),
    (workflows.privileges, "hostPath", lambda t, c: t["volumes"].append({"name": "x", "hostPath": {"path": "/"}})),
    (workflows.privileges, "root of its image", lambda t, c: c["securityContext"].pop("readOnlyRootFilesystem")),
    (workflows.privileges, "root of its image", lambda t, c: mounts(t, "clone")["clone-tmp"].update(readOnly=True)),
    (workflows.lasting_tokens, "have a token that lasts", lambda t, c: t.pop("podSpecPatch")),
    (workflows.lasting_tokens, "not the pod's lasts", lambda t, c: t["executor"].update(serviceAccountName="other")),
    (
        workflows.lasting_tokens,
        "the token exec-sa-token lasts",
        lambda t, c: t.update(podSpecPatch=t["podSpecPatch"].replace("3600", "3607")),
    ),
    (
        workflows.lasting_tokens,
        "clone and build have a token",
        lambda t, c: [
            t["volumes"].append({"name": "account", "projected": {"sources": []}}),
            *(
                one["volumeMounts"].append({"name": "account", "mountPath": "/shipway/account"})
                for one in t["containerSet"]["containers"]
                if one["name"] != "main"
            ),
        ],
    ),
    (
        workflows.believed_folders,
        "the output digest passes through Argo's folder",
        lambda t, c: t["outputs"]["parameters"][0]["valueFrom"].update(path="/shipway/main/out/digest"),
    ),
    (
        workflows.believed_folders,
        "every container writes /results",
        lambda t, c: t["containerSet"]["volumeMounts"][0].update(readOnly=False),
    ),
    (
        workflows.believed_folders,
        "main is started after build",
        lambda t, c: t["containerSet"]["containers"].reverse(),
    ),
    (
        workflows.believed_folders,
        "Argo takes the outputs of impact",
        lambda t, c: t["containerSet"]["containers"][1]["args"].__setitem__(1, "impact"),
    ),
    (workflows.illegal_names, "A_b", lambda t, c: c.update(name="A_b")),
]


@pytest.mark.parametrize(("law", "told", "change"), CHANGES, ids=lambda value: value if isinstance(value, str) else "")
def test_each_law_catches_what_breaks_it(
    law: Callable[[Document], list[str]], told: str, change: Callable[[dict[str, Any], dict[str, Any]], object]
) -> None:
    """A law that nothing can break would prove nothing."""
    assert [text for text in law(broken(change)) if told in text]


@pytest.mark.parametrize(
    "change",
    [
        lambda end, pod: end["dag"]["tasks"][0]["arguments"]["parameters"][0].update(value="{{workflow.failures}}"),
        lambda end, pod: end["dag"]["tasks"][0].update(when="{{workflow.status}} == Failed"),
        lambda end, pod: pod["inputs"]["parameters"].append({"name": "message"}),
        lambda end, pod: pod["containerSet"]["containers"][0]["args"].append("--phase={{workflow.status}}"),
        lambda end, pod: end["dag"]["tasks"][0].update(templateRef={"name": "other", "template": "other"}),
    ],
)
def test_an_exit_handler_passes_on_the_runs_name_alone(change: Callable[[Any, Any], None]) -> None:
    """Failures and messages hold text from outside, and Argo takes values for templates."""
    documents = copy.deepcopy([d for d in TEMPLATES if d["metadata"]["name"] in {"release", "work"}])
    assert [broken for document in documents for broken in workflows.exit_handlers(document)] == []
    template = {template["name"]: template for document in documents for template in document["spec"]["templates"]}
    change(template["report-end"], template["report-end-pod"])
    assert [broken for document in documents for broken in workflows.exit_handlers(document)]


def test_no_free_text_is_an_argument() -> None:
    """Every output is a number, of a narrow form, or encoded; and what is encoded is decoded where it is read."""
    assert texts.free_texts(TEMPLATES) == []
    assert texts.mixed_encodings(TEMPLATES) == []
    assert texts.touching(TEMPLATES) == []


@pytest.mark.parametrize("value", ["{{item.a}}{{item.b}}", "{{{item.a}}", '{"a": {{item.a}}}'])
def test_two_values_do_not_make_a_template(value: str) -> None:
    """`{` at the end of one, `{=…}}` at the beginning of the next."""
    document: Document = copy.deepcopy(next(d for d in TEMPLATES if d["metadata"]["name"] == "work"))
    argument(next(t for t in document["spec"]["templates"] if t["name"] == "release"), "repo")["value"] = value
    assert len(texts.touching([document])) == 1


def retyped(step: str, output: str, kind: Any) -> Callable[[str], Step]:
    """Return what describes the steps, where one output of one step has another type."""

    def describe(name: str) -> Step:
        found = signature.describe(name)
        if name != step:
            return found
        hints = {**get_type_hints(found.result, include_extras=True), output: kind}
        return dataclasses.replace(found, result=dataclasses.make_dataclass("Changed", hints.items()))

    return describe


@pytest.mark.parametrize(
    ("step", "output", "kind", "broken"),
    [
        ("pass-on-images", "report", str, "try-images: the output report is free text"),
        ("start", "ref", str, "start: the output ref is free text"),
        ("plan", "wave_1", tuple[PlannedImage, ...], "plan: the output wave-1 is free text"),
        ("plan", "batch_1", tuple[str, ...], "plan: the output batch-1 is free text"),
        ("plan", "batch_1", tuple[BuildReport, ...], "plan: the output batch-1 is free text"),
        ("verdict", "summary", dict[str, str], "verdict: the output summary is free text"),
    ],
)
def test_a_free_text_breaks_the_law(step: str, output: str, kind: Any, broken: str) -> None:
    """A new output of the type `str` fails until it is typed."""
    assert broken in texts.free_texts(TEMPLATES, retyped(step, output, kind))


def test_what_is_encoded_reaches_who_decodes_it_alone() -> None:
    """A step that read the encoded text would show it, and one that decoded a plain text would change it."""
    plain = texts.mixed_encodings(TEMPLATES, retyped("pass-on-images", "report", Plain))
    assert plain == [f"verdict: --batch-{number} gets what is not encoded" for number in range(1, 5)]
    encoded = texts.mixed_encodings(TEMPLATES, retyped("plan", "commit", FreeText))
    assert "try-images: --revision gets what is encoded" in encoded


@pytest.mark.parametrize("tag", ["workflow.failures", "tasks.start.message", "workflow.parameters.repo", "=1+1"])
def test_an_argument_from_elsewhere_breaks_the_law(tag: str) -> None:
    """A value comes from an output, an input, an item or the workflow's name."""
    document: Document = copy.deepcopy(next(d for d in TEMPLATES if d["metadata"]["name"] == "work"))
    release = next(t for t in document["spec"]["templates"] if t["name"] == "release")
    argument(release, "repo")["value"] = f"{{{{{tag}}}}}"
    assert f"release: work passes on {{{{{tag}}}}}" in texts.free_texts([document])


@pytest.mark.parametrize(
    "change",
    [
        lambda release, work: work["synchronization"]["mutexes"][0].update(name="x-{{inputs.parameters.mutex}}"),
        lambda release, work: work["synchronization"]["mutexes"][0].update(name="{{inputs.parameters.repo}}"),
        lambda release, work: argument(release, "mutex").update(value="{{inputs.parameters.repo}}"),
        lambda release, work: argument(release, "mutex").update(value="{{tasks.start.outputs.parameters.repo}}"),
        lambda release, work: argument(release, "mutex").update(value="{{tasks.work.outputs.parameters.mutex}}"),
        lambda release, work: next(p for p in work["inputs"]["parameters"] if p["name"] == "mutex").update(default="x"),
        lambda release, work: work["synchronization"].update(semaphores=[{"name": "{{inputs.parameters.mutex}}"}]),
    ],
)
def test_only_what_start_makes_names_a_mutex(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
    """A mutex's name is an input that start's output `mutex` alone feeds; anything else is a choice by a parameter."""
    assert workflows.undecoded_mutexes(TEMPLATES) == []
    changed: dict[str, Document] = {document["metadata"]["name"]: copy.deepcopy(document) for document in TEMPLATES}
    found = changed["work"]["spec"]["templates"]
    change(*(next(t for t in found if t["name"] == name) for name in ("release", "work")))
    assert workflows.choices_by_parameters(changed["work"]) or workflows.undecoded_mutexes(list(changed.values()))


def test_whoever_starts_a_run_patches_the_pods_of_what_it_refers_to() -> None:
    """A run takes the patch of the WorkflowTemplate that it starts, and nothing else of it for another's templates."""
    assert workflows.unpatched_references(TEMPLATES) == []
    for name in ("release", "review"):
        document: Document = copy.deepcopy(next(d for d in TEMPLATES if d["metadata"]["name"] == name))
        del document["spec"]["podSpecPatch"]
        assert workflows.unpatched_references([document])
        assert bool(workflows.lasting_tokens(document)) is (name == "review"), "release has no pod of its own"


@pytest.mark.parametrize(
    "change",
    [
        lambda dag, task: dag["inputs"]["parameters"][0].update(value="{{workflow.name}}"),
        lambda dag, task: dag["dag"]["tasks"][0]["templateRef"].update(template="{{inputs.parameters.repo}}"),
        lambda dag, task: dag["dag"]["tasks"][0]["templateRef"].update(name="{{inputs.parameters.check}}"),
        lambda dag, task: task["arguments"]["parameters"].append({"name": "check", "value": "plan"}),
    ],
)
def test_a_constant_alone_names_a_template(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
    """A template's name may be an input with a fixed value that nobody gives; anything else is a choice."""
    document: Document = copy.deepcopy(next(d for d in TEMPLATES if d["metadata"]["name"] == "work"))
    named = {template["name"]: template for template in document["spec"]["templates"]}
    task = next(one for one in named["release"]["dag"]["tasks"] if one["name"] == "check")
    change(named["untrusted"], task)
    assert workflows.choices_by_parameters(document)


def test_a_mutex_that_whoever_starts_a_run_could_name_is_a_choice() -> None:
    """What takes its mutex from outside is only referred to; as something to start, it breaks the law."""
    document: Document = copy.deepcopy(next(d for d in TEMPLATES if d["metadata"]["name"] == "work"))
    document["spec"]["entrypoint"] = "work"
    assert workflows.choices_by_parameters(document)


def argument(release: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an argument of the task `work`."""
    (work,) = (task for task in release["dag"]["tasks"] if task["name"] == "work")
    found: dict[str, Any] = next(one for one in work["arguments"]["parameters"] if one["name"] == name)
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda t, c: t.update(containerset={}),
        lambda t, c: c["envFrom"][0]["configMapRef"].update(optinal=True),
        lambda t, c: t["retryStrategy"]["backoff"].update(max="1m"),
    ],
)
def test_a_misspelt_field_is_found(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
    """A field that Argo would ignore is named by its path."""
    assert len(unknown_fields(broken(change), models.WorkflowTemplate)) == 1


def test_a_value_of_another_type_is_found() -> None:
    """The SDK refuses a text where Argo has a number."""
    with pytest.raises(Exception, match="Invalid type"):
        parse_with_sdk(broken(lambda t, c: t.update(containerSet="x")))


def test_secrets_are_mounted_where_they_are_needed_and_nowhere_else() -> None:
    """The container that runs strangers' Dockerfiles sees no credential, and only `main` can push."""
    document = broken(lambda t, c: None)
    template = document["spec"]["templates"][0]
    secret = {v["name"]: v["secret"]["secretName"] for v in template["volumes"] if "secret" in v}
    seen = {
        container["name"]: sorted(secret[m["name"]] for m in container["volumeMounts"] if m["name"] in secret)
        for container in template["containerSet"]["containers"]
    }
    assert seen == {
        "clone": ["shipway-git", "shipway-pull"],
        "build": ["shipway-build-secrets"],
        "main": ["shipway-git", "shipway-push"],
    }


def test_a_check_holds_nothing_that_a_stranger_could_want() -> None:
    """Only what clones and plans has a login, for reading; what runs
    strangers' files has none, and no builder or cache of others.
    """
    document = next(d for d in TEMPLATES if d["metadata"]["name"] == "check")
    seen: dict[str, list[str]] = {}
    settings: dict[str, set[str]] = {}
    for template in document["spec"]["templates"]:
        secret = {v["name"]: v["secret"]["secretName"] for v in template.get("volumes", ()) if "secret" in v}
        assert {next(iter(v.keys() - {"name"})) for v in template.get("volumes", ())} <= {"secret", "emptyDir"}
        for container in template.get("containerSet", {}).get("containers", ()):
            name = f"{template['name']}/{container['name']}"
            seen[name] = sorted(secret[m["name"]] for m in container["volumeMounts"] if m["name"] in secret)
            settings[name] = {env["name"] for env in container.get("env", ())}
            assert secret.keys() & {m["name"] for m in container["volumeMounts"]} or "envFrom" not in container, name
    reading = ["shipway-check-pull", "shipway-git"]
    assert {name: secrets for name, secrets in seen.items() if secrets} == dict.fromkeys(
        ("plan/main", "try-images/again", "try-images/clone", "try-charts/clone", "impact/gather", "verdict/again"),
        reading,
    )
    assert settings["try-images/build"] == {"SHIPWAY_BUILDER", "SHIPWAY_COMPRESSION", "SHIPWAY_ISOLATION"}


def test_the_table_of_containers_is_that_of_the_compiled_pods() -> None:
    """docs/trust.md says which container holds which credential, and what it reads and writes."""
    text = trust.PAGE.read_text(encoding="utf-8")
    assert trust.page(text) == text, "run python -m tests.laws.trust"
