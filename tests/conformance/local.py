"""Runs conformance cases on the local engine."""

from __future__ import annotations

from pathlib import Path

import yaml

from pipelines.engines.local import documents as local_documents
from pipelines.engines.local import engine as local_engine
from pipelines.engines.local.nodes import Node, NodeKind, RunResult
from pipelines.engines.local.reporter import PlainReporter
from tests.conformance.cases import Case, Seen

GRACE_SECONDS = 1.0


def written(case: Case, folder: Path) -> Path:
    """Return a file of the case's documents."""
    file = folder / f"{case.name}.yaml"
    file.write_text(yaml.safe_dump_all(case.documents, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return file


def run(case: Case, folder: Path) -> RunResult:
    """Run a case in a folder and return how it ended."""
    secrets = folder / "secrets"
    for name, keys in case.secrets.items():
        (secrets / name).mkdir(parents=True)
        for key, value in keys.items():
            (secrets / name / key).write_text(value, encoding="utf-8")
    return local_engine.run(
        local_documents.load([written(case, folder)]),
        case.template,
        case.arguments,
        config_maps=case.config_maps,
        secrets=secrets,
        folder=folder / "run",
        jobs=8,
        reporter=PlainReporter(),
        grace_seconds=GRACE_SECONDS,
    )


def seen(outcome: RunResult) -> dict[str, Seen]:
    """Return the nodes of a run by the names that expectations use."""
    return {node.name.removeprefix(outcome.name).removeprefix("."): _seen(node) for node in outcome.nodes}


def _seen(node: Node) -> Seen:
    return Seen(
        phase=str(node.phase),
        message=node.message,
        started=node.started,
        finished=node.finished,
        outputs=node.outputs,
        exit_code=node.exit_code,
        attempts=len(node.children) if node.kind is NodeKind.RETRY else 1,
    )
