"""What the local engine claims to do as Argo does it, the cases
ask both engines about: each feature, and what ours are made of.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.engines.local import documents as local_documents
from pipelines.engines.local import fields as local_fields
from pipelines.engines.local import reader as local_reader
from pipelines.engines.local.document_path import DocumentPath
from tests.conformance import compiled, local
from tests.conformance.cases import Case, cases
from tests.laws.documents import called


def test_every_field_stands_in_a_case(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each field that pipelines/engines/local/fields.py says is done
    as Argo does it, in a case that the real controller runs, too.
    """
    seen: set[tuple[str, str]] = set()
    check = DocumentPath.map

    def noted(place: DocumentPath, kind: str) -> DocumentPath:
        found = check(place, kind)
        seen.update((kind, str(name)) for name in found.value)
        return found

    monkeypatch.setattr(DocumentPath, "map", noted)
    for case in cases():
        for document in local_documents.load([local.written(case, tmp_path)]).by_name.values():
            volumes = local_reader.read_workflow(document)[1] if document.at("spec").has("entrypoint") else ()
            for template in document.at("spec").items("templates"):
                local_reader.read_template(template, volumes)
    assert {(kind, name) for kind, names in local_fields.READ.items() for name in names} - seen == set()


def test_every_pod_of_ours_is_in_a_case() -> None:
    """The scenarios run every pod template of the compiled documents,
    so that what these are made of is compared as they have it.
    """
    scenarios = {path.stem for path in compiled.SCENARIOS.glob("*.yaml")}
    expected = {node for case in cases() if case.name in scenarios for node in ran(case)}
    assert compiled.pod_templates() - expected == set()


def ran(case: Case) -> set[str]:
    """Return the pod templates whose nodes a case expects to have run, as document/template."""
    own = re.compile(rf"conformance-{re.escape(case.name)}-")
    by_name = {
        own.sub("", str(document["metadata"]["name"])): {t["name"]: t for t in document["spec"]["templates"]}
        for document in case.documents
    }
    found: set[str] = set()

    def visit(node: str, document: str, name: str) -> None:
        template = by_name[document][name]
        phase = case.expected["nodes"].get(node, "")
        if "dag" not in template:
            if phase in {"Succeeded", "Failed"}:
                found.add(f"{document}/{name}")
            return
        for task in template["dag"]["tasks"]:
            below = f"{node}.{task['name']}".lstrip(".")
            there, inner = called({"metadata": {"name": document}}, template, task)
            visit(below, own.sub("", there), inner)

    root = own.sub("", case.template)
    spec = case.documents[0]["spec"]
    visit("", root, spec["entrypoint"])
    if "onExit" in spec:
        visit("onExit", root, spec["onExit"])
    return found
