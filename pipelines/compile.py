"""Compiles Hera's objects to the YAML files that are committed, linted, shipped in the chart and run.

The same code gives the same bytes: keys keep Argo's order, and neither the clock nor the environment matters.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from hera.workflows import WorkflowTemplate

from pipelines.workflows.await_healthy import await_healthy
from pipelines.workflows.chart_release import chart_release
from pipelines.workflows.check import check as check_workflow
from pipelines.workflows.clone_build_push import clone_build_push
from pipelines.workflows.deploy import deploy
from pipelines.workflows.reconcile import reconcile
from pipelines.workflows.release import parts, release
from pipelines.workflows.review import review
from sensors.documents import documents as event_documents

WORKFLOWS: tuple[Callable[[], WorkflowTemplate], ...] = (
    await_healthy,
    chart_release,
    check_workflow,
    clone_build_push,
    deploy,
    parts,
    reconcile,
    release,
    review,
)
HEADER = "# Compiled by `shipway compile`; change {} and compile again.\n"
EVENTS = "sensors"
"""The folder of the documents that are not WorkflowTemplates."""
_SHOWN_LINES = 40


class _Dumper(yaml.SafeDumper):
    """Writes lists indented under their key, and long texts on one line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - as in PyYAML
        super().increase_indent(flow, False)


def compile_all() -> dict[str, str]:
    """Return the text of every compiled file by its path."""
    workflows = documents()
    files = {f"{document['metadata']['name']}.yaml": text(document) for document in workflows}
    for name, document in event_documents(workflows).items():
        files[f"{EVENTS}/{name}.yaml"] = text(document, "sensors")
    return files


def documents() -> list[dict[str, Any]]:
    """Return every compiled WorkflowTemplate, sorted by name."""
    compiled: list[dict[str, Any]] = [workflow().to_dict() for workflow in WORKFLOWS]
    return sorted(compiled, key=lambda document: str(document["metadata"]["name"]))


def text(document: Mapping[str, Any], source: str = "pipelines/workflows") -> str:
    """Return one document as YAML, with a line that names its source."""
    return HEADER.format(source) + yaml.dump(
        dict(document), Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True, default_flow_style=False
    )


def write(folder: Path) -> list[Path]:
    """Write the files that differ, remove those that are no longer compiled, and return the changed paths."""
    (folder / EVENTS).mkdir(parents=True, exist_ok=True)
    compiled = compile_all()
    changed = []
    for name, path in _present(folder).items():
        if name not in compiled:
            path.unlink()
            changed.append(path)
    for name, content in compiled.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
            changed.append(path)
    return changed


def check(folder: Path) -> list[str]:
    """Return a difference for each file that is not what would be compiled now."""
    compiled = compile_all()
    present = {name: path.read_text(encoding="utf-8") for name, path in _present(folder).items()}
    drifts = []
    for name in sorted(compiled.keys() | present.keys()):
        old, new = present.get(name, ""), compiled.get(name, "")
        if old != new:
            lines = difflib.unified_diff(
                old.splitlines(), new.splitlines(), f"{folder}/{name}", "compiled now", lineterm=""
            )
            drifts.append("\n".join(list(lines)[:_SHOWN_LINES]))
    return drifts


def _present(folder: Path) -> dict[str, Path]:
    paths = sorted([*folder.glob("*.yaml"), *folder.glob(f"{EVENTS}/*.yaml")])
    return {path.relative_to(folder).as_posix(): path for path in paths}
