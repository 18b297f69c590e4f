"""The chart as Helm renders it, and what is in it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "charts" / "shipway"
VALUES = {path.stem: path for path in sorted(Path(__file__).parent.joinpath("values").glob("*.yaml"))}
Document = dict[str, Any]


def helm(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run Helm, which may read values from stdin."""
    return subprocess.run(["helm", *words], input=given, capture_output=True, text=True, check=False)


def render(values: str, namespace: str = "ci") -> list[Document]:
    """Return every document that a values file of these tests gives, test pod included."""
    done = helm("template", "shipway", str(CHART), "--namespace", namespace, "--values", str(VALUES[values]))
    assert done.returncode == 0, done.stderr
    return documents_in(done.stdout)


def documents_in(text: str) -> list[Document]:
    """Return the documents of a rendered chart, by the C parser: they are long, and the tests read hundreds."""
    return [document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document]


def refusal(values: object) -> str:
    """Return what Helm says of values that the chart refuses; fails where it takes them."""
    done = helm("template", "shipway", str(CHART), "--values", "-", given=yaml.safe_dump(values))
    assert done.returncode != 0, done.stdout
    return done.stderr


def of_kind(documents: list[Document], kind: str) -> dict[str, Document]:
    """Return the documents of a kind by name."""
    return {document["metadata"]["name"]: document for document in documents if document["kind"] == kind}


def pods(documents: list[Document]) -> Iterator[tuple[str, Document, list[Document]]]:
    """Give each pod that a document makes: its name, what says how it runs, and its containers."""
    for document in documents:
        name, spec = document["metadata"]["name"], document.get("spec", {})
        if document["kind"] == "Pod":
            yield name, spec, spec["containers"]
        elif document["kind"] in {"StatefulSet", "Deployment", "Job"}:
            yield name, spec["template"]["spec"], spec["template"]["spec"]["containers"]
        elif document["kind"] == "WorkflowTemplate":
            for template in spec["templates"]:
                if "containerSet" in template:
                    yield f"{name}/{template['name']}", template, template["containerSet"]["containers"]
                elif "container" in template:
                    yield f"{name}/{template['name']}", template, [template["container"]]
