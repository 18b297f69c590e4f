"""What Helm makes of the chart: each document is one that the
cluster takes, in its own namespace, and without privileges.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hera.workflows import models

from tests.chart.kubernetes_fields import MODELS, unknown
from tests.chart.rendering import CHART, VALUES, Document, helm, of_kind, pods, render
from tests.chart.rights import with_events
from tests.laws import workflows
from tests.laws.documents import every_container, walk
from tests.laws.fields import unknown_fields

pytestmark = pytest.mark.helm
each_values = pytest.mark.parametrize("values", VALUES)
BUILDERS = {
    "clone-build-push/clone-build-push": "build",
    "work/clone-build-push": "build",
    "shipway-buildkit": "buildkitd",
    "shipway-test": "check",
}
"""By pod, the container that may be a rootless builder."""
ALWAYS = {
    **dict.fromkeys(("shipway-buildkit", "shipway-buildkit-amd64", "shipway-buildkit-arm64"), "buildkitd"),
    "check/try-images": "build",
}
"""Those that are one wherever builds run: what a pull request declares is built in its own pod."""
RESTRICTED = {
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
ROOTLESS = {
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": True,
    "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID"]},
    "seccompProfile": {"type": "Unconfined"},
    "appArmorProfile": {"type": "Unconfined"},
}


@each_values
def test_every_document_is_valid(values: str) -> None:
    """WorkflowTemplates keep the laws of compiled ones; all else has only fields that Kubernetes knows."""
    for document in render(values):
        if document["kind"] == "WorkflowTemplate":
            assert unknown_fields(document, models.WorkflowTemplate) == []
            assert [broken for law in workflows.LAWS for broken in law(document)] == []
        else:
            assert list(unknown(document, MODELS[document["apiVersion"], document["kind"]])) == []
    assert workflows.undecoded_mutexes(list(of_kind(render(values), "WorkflowTemplate").values())) == []


@each_values
def test_two_installations_share_nothing(values: str) -> None:
    """Every object is in the release's namespace, and no text
    names another: the same chart fits twice into one cluster.
    """
    one, other = render(values, "one"), render(values, "other")
    assert {d["metadata"]["namespace"] for d in one} == {"one"}
    assert yaml.safe_dump(one).replace("namespace: one", "namespace: other") == yaml.safe_dump(other)


@each_values
def test_rendering_is_stable(values: str) -> None:
    """The same values give the same text, so that an upgrade
    without a change changes nothing, and Argo CD is in sync.
    """
    words = ("template", "shipway", str(CHART), "--values", str(VALUES[values]))
    assert helm(*words).stdout == helm(*words).stdout


@each_values
def test_containers_have_no_more_rights_than_they_need(values: str) -> None:
    """What the level "restricted" of Pod Security asks for, but
    for a rootless builder; none has a token of the cluster.
    """
    elsewhere = values in {"standing-builder", "builder-elsewhere", "everything", "platforms"}
    for name, pod, containers in pods(render(values)):
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert not [path for path, _ in walk(pod) if "host" in path.rpartition(".")[2].lower()], name
        for container in containers:
            builds = container["name"] == (ALWAYS if elsewhere else {**BUILDERS, **ALWAYS}).get(name)
            assert container["securityContext"] == (ROOTLESS if builds else RESTRICTED), name


@pytest.mark.parametrize("values", [*VALUES, "events"])
def test_nothing_is_written_beside_volumes(values: str) -> None:
    """Every container of every document keeps the root of its image, Argo Events' and the standing builder's, too."""
    documents = with_events("ci") if values == "events" else render(values)
    seen = {
        f"{document['kind']} {document['metadata']['name']}: {path}": container.get("securityContext", {})
        for document in documents
        for path, container in every_container(document)
    }
    assert len(seen) > 30
    assert [name for name, context in seen.items() if context.get("readOnlyRootFilesystem") is not True] == []


@pytest.mark.parametrize("values", [*VALUES, "events"])
def test_no_token_lasts(values: str) -> None:
    """One Secret holds a token, and no account gives one by itself; what is projected ends within the hour."""
    documents = with_events("ci") if values == "events" else render(values)
    assert of_kind(documents, "Secret").keys() <= {"shipway-report"}
    accounts = of_kind(documents, "ServiceAccount")
    assert {account["automountServiceAccountToken"] for account in accounts.values()} == {False}
    lives = [
        value["expirationSeconds"]
        for document in documents
        for path, value in walk(document)
        if path.endswith(".serviceAccountToken")
    ]
    assert set(lives) == {3600}
    places = (place for document in documents for place in walk(document))
    assert accounts.keys() <= {value for path, value in places if path.rpartition(".")[2] == "serviceAccountName"}


def test_compiled_files_are_printed_unchanged() -> None:
    """But for what the smallest values decide: image, namespace and labels."""
    found = of_kind(render("smallest"), "WorkflowTemplate")
    compiled = [yaml.safe_load(path.read_text()) for path in CHART.joinpath("files").glob("*.yaml")]
    assert found.keys() == {document["metadata"]["name"] for document in compiled}
    for document in compiled:
        printed = found[document["metadata"]["name"]]
        assert document["metadata"]["labels"].items() <= printed["metadata"]["labels"].items()
        printed["metadata"]["labels"] = document["metadata"]["labels"]
        del printed["metadata"]["namespace"]
        for template in printed["spec"]["templates"]:
            for container in template.get("containerSet", {}).get("containers", []):
                assert container.pop("imagePullPolicy") == "IfNotPresent"
                assert container["image"] == "shipway:0.1.0"
                container["image"] = "shipway"
            template.pop("metadata", None)
        assert printed == document


def test_values_reach_what_they_decide() -> None:
    """The image, the pull policy and the place of all pods;
    resources of one container; authorities where they are read.
    """
    values = yaml.safe_load(VALUES["everything"].read_text())
    documents = render("everything")
    for name, pod, containers in pods(documents):
        assert pod["nodeSelector"] == values["nodeSelector"], name
        assert pod["tolerations"] == values["tolerations"], name
        assert {(c["image"], c["imagePullPolicy"]) for c in containers} == {(values["image"], "Always")}, name
    for document in ("clone-build-push", "work"):
        build = containers_of(documents, document)["build"]
        assert build["resources"]["limits"] == {"cpu": "4", "memory": "16Gi"}
    for template in of_kind(documents, "WorkflowTemplate"):
        for container in containers_of(documents, template).values():
            reads = any(variable["name"] == "SHIPWAY_CA_FILE" for variable in container.get("env", []))
            reads = reads or "envFrom" in container
            assert reads == any(mount["name"] == "authorities" for mount in container["volumeMounts"])


def containers_of(documents: list[Document], template: str) -> dict[str, Any]:
    """Return the containers of a WorkflowTemplate by name."""
    found = (p for p in pods(documents) if p[0].startswith(f"{template}/"))
    return {container["name"]: container for _, _, containers in found for container in containers}
