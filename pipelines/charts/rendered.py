"""What a chart renders: its documents, each with the template that it came from, read as Kubernetes will read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from pipelines.declared import yaml_text
from pipelines.declared.yaml_text import KubernetesLoader
from pipelines.errors import ShipwayError

_SEPARATOR = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)
_SOURCE = re.compile(r"^# Source: (.+)$", re.MULTILINE)
_LINE = re.compile(r"it:(\d+): ")
_ACTION = re.compile(r"\{\{")


@dataclass(frozen=True, kw_only=True)
class RenderedDocument:
    """One document that a template rendered."""

    source: str
    """The template as Helm names it, `web/templates/x.yaml`."""
    text: str = field(repr=False)
    value: Any = field(repr=False)
    """None where it is not YAML."""
    root: yaml.Node | None = field(repr=False)
    fault: str
    """Why it is not YAML; else empty."""
    fault_line: int
    """Of the document's text, from 1."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands in it but comments."""
        return self.value is None and not self.fault

    @property
    def is_object(self) -> bool:
        """Whether it can be something of Kubernetes': it names its kind and its version."""
        return isinstance(self.value, dict) and all(isinstance(self.value.get(k), str) for k in ("apiVersion", "kind"))

    @property
    def name(self) -> str:
        """Return the object's name, `Deployment web`, for people."""
        metadata = self.value.get("metadata") if isinstance(self.value, dict) else None
        called = metadata.get("name", "") if isinstance(metadata, dict) else ""
        return f"{self.value.get('kind', '')} {called}".strip() if isinstance(self.value, dict) else ""

    def line(self, *path: str | int) -> str:
        """Return the text of the line where something stands, or the nearest thing around it."""
        node, at = self.root, 0
        for step in path:
            if isinstance(node, yaml.MappingNode):
                pair = next(((key, value) for key, value in node.value if key.value == step), None)
                if pair is None:
                    break
                at, node = pair[0].start_mark.line, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                at = node.start_mark.line
            else:
                break
        lines = self.text.split("\n")
        return lines[at] if at < len(lines) else ""

    def twice(self) -> Iterator[tuple[str, str]]:
        """Give each key that stands twice in one mapping, with the text of its line; only the last one counts."""
        lines = self.text.split("\n")
        waiting, seen = [self.root], set()
        while waiting:
            node = waiting.pop()
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                waiting += node.value
            elif isinstance(node, yaml.MappingNode):
                keys: set[str] = set()
                for key, value in node.value:
                    if isinstance(key, yaml.ScalarNode):
                        if key.value in keys and key.value != "<<":
                            yield key.value, lines[key.start_mark.line]
                        keys.add(key.value)
                    waiting.append(value)


def documents(output: str) -> list[RenderedDocument]:
    """Return the documents that `helm template` wrote, without empty ones."""
    read = (document(source, text) for source, text in texts(output))
    return [found for found in read if not found.is_empty]


def texts(output: str) -> Iterator[tuple[str, str]]:
    """Give the texts of the documents that `helm template` wrote, each after its template."""
    source = ""
    for part in _SEPARATOR.split(output):
        match = _SOURCE.search(part)
        if match and part[: match.start()].strip() == "":
            source = match[1].strip()
            part = part[match.end() + 1 :]  # noqa: PLW2901 - the rest of it
        yield source, part


def document(source: str, text: str) -> RenderedDocument:
    """Return a document of a template, which may be empty or no YAML."""
    root, value, fault, line = None, None, "", 0
    try:
        root, value = yaml_text.document(text, "it", KubernetesLoader)
    except ShipwayError as error:
        line = int(at[1]) if (at := _LINE.match(error.what)) else 0
        fault = error.seen if error.what.endswith("not YAML") else f"{_LINE.sub('', error.what)}: {error.seen}"
    return RenderedDocument(
        source=source, text=text, value=value, root=root, fault=" ".join(fault.split())[:300], fault_line=line
    )


def source_line(line: str, source: str) -> int:
    """Return the line, from 1, of a template that rendered a line of text; 0 where that is not certain.

    It is certain where one line of the template begins as this one does, up to its first action.
    """
    lines = source.split("\n")
    same = [number for number, text in enumerate(lines, 1) if text.rstrip() == line.rstrip()]
    if len(same) == 1 and line.strip():
        return same[0]
    begun = []
    for number, text in enumerate(lines, 1):
        match = _ACTION.search(text)
        literal = text[: match.start()] if match else ""
        if literal.strip() and line.startswith(literal):
            begun.append(number)
    return begun[0] if len(begun) == 1 and not same else 0


def identity(value: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return the identity of an object in a release: group, kind, namespace, name."""
    metadata = value.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    group = str(value["apiVersion"]).rpartition("/")[0]
    return group, str(value["kind"]), str(named.get("namespace") or ""), str(named.get("name") or "")
