"""What accounts may do, as the golden file rights.yaml writes it: resources, each with its verbs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.chart.rendering import CHART, VALUES, Document, documents_in, helm

Rights = dict[str, set[str]]
GOLDEN = Path(__file__).with_name("rights.yaml")
EVENTS = {
    "enabled": True,
    "repositories": [{"forge": "gitea", "url": "https://git.example.com/a/b.git", "branch": "main"}],
}


def golden() -> dict[str, Rights]:
    """Return the rights of each account of the golden file; fails where a line has no reason."""
    read: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(GOLDEN.read_text())
    assert all(line["why"] for lines in read.values() for line in lines.values())
    return {name: {what: set(line["verbs"]) for what, line in lines.items()} for name, lines in read.items()}


def rights(rules: Iterable[Mapping[str, Any]]) -> Rights:
    """Return what the rules of a Role, or of a SelfSubjectRulesReview, allow."""
    found: Rights = {}
    for rule in rules:
        for group in rule.get("apiGroups") or [""]:
            for resource in rule["resources"]:
                whole = f"{resource}.{group}" if group else resource
                for name in rule.get("resourceNames") or [""]:
                    found.setdefault(f"{whole} {name}".strip(), set()).update(rule["verbs"])
    return found


def with_events(namespace: str) -> list[Document]:
    """Return every document of an installation that has everything, events too."""
    values = ("--values", str(VALUES["everything"]), "--values", "-")
    done = helm("template", "shipway", str(CHART), "-n", namespace, *values, given=yaml.safe_dump({"events": EVENTS}))
    assert done.returncode == 0, done.stderr
    return documents_in(done.stdout)
