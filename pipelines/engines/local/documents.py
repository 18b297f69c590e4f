"""The documents a run may use, WorkflowTemplates and Workflows, by name. Nothing in them is checked here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.declared import yaml_text
from pipelines.declared.yaml_text import KubernetesLoader
from pipelines.engines.local.document_path import DocumentPath
from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError, meant

KINDS = ("WorkflowTemplate", "Workflow")


@dataclass(frozen=True)
class Documents:
    """Each document by its name."""

    by_name: dict[str, DocumentPath] = field(default_factory=dict)

    def get(self, name: str) -> DocumentPath:
        """Return a document; raises Misuse with the names that exist."""
        if name not in self.by_name:
            known = ", ".join(sorted(self.by_name)) or "none"
            raise Misuse("no such workflow", seen=repr(name), todo=meant([name], self.by_name, f"use one of: {known}"))
        return self.by_name[name]


def load(files: Iterable[Path]) -> Documents:
    """Return the WorkflowTemplates and Workflows of some files; other kinds are ignored.

    Raises Misconfigured if a file cannot be read, Refused if two documents have one name.
    """
    found = Documents()
    for file in files:
        for value in _read(file):
            if not (isinstance(value, dict) and value.get("kind") in KINDS):
                continue
            metadata = value.get("metadata") or {}
            name = metadata.get("name") or str(metadata.get("generateName") or "").rstrip("-")
            if not name:
                raise Refused(f"{file} holds a workflow without a name", seen=f"metadata: {metadata}")
            if name in found.by_name:
                raise Refused("two workflows have one name", seen=f"{name}, again in {file}", todo="rename one")
            found.by_name[name] = DocumentPath(value, name, "")
    return found


def _read(file: Path) -> Iterator[Any]:
    try:
        yield from yaml_text.load_all(file.read_text(encoding="utf-8"), str(file), KubernetesLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{file} cannot be read", seen=str(error), todo="run `shipway compile`") from error
    except ShipwayError as error:
        seen = str(error.__cause__ or error)
        raise Misconfigured(f"{file} cannot be read", seen=seen, todo="run `shipway compile`") from error
