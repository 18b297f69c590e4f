"""What a chart rendered, made fit for comparing and for showing: in one order, without noise, with secrets masked.

A masked value keeps a keyed hash, so that a change of it shows, and nothing else of it does.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from pipelines.charts import rendered
from pipelines.charts.rendered import RenderedDocument, identity
from pipelines.declared.yaml_text import TAG
from pipelines.errors import ShipwayError
from pipelines.impact.masking import Masker, shown

VERSION_LABELS = frozenset({"helm.sh/chart", "chart", "app.kubernetes.io/version"})
"""Labels that move with a chart's version and mean nothing for what runs."""
_CHECKSUM = re.compile(r"^(?:checksum[/.-].*|.*/checksum.*|.*checksum)$", re.IGNORECASE)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class RenderedObject:
    """One object, ready to be compared."""

    identity: str
    """Its identity in a release: group, kind, namespace, name."""
    document: str
    """A keyed hash of the text that it was read from."""
    name: str
    """`Deployment web`, with its namespace where it names one."""
    text: str
    """YAML with secrets masked, without what follows."""
    masked: int
    """How many values are masked in it."""
    checksums: str
    """Annotations that restart pods when something else changes."""
    labels: str
    """Labels that name the chart's version."""


class ObjectReader:
    """Reads what Helm writes; a document that was read before, for whatever release, is not read again."""

    def __init__(self, key: bytes) -> None:
        """Hash secrets with `key`."""
        self._key = key
        self.masker = Masker(key)
        self._known: dict[str, RenderedObject] = {}

    def know(self, objects: Iterable[RenderedObject]) -> None:
        """Take objects that were read before, under the same key."""
        self._known.update((item.document, item) for item in objects)

    def objects(self, output: str) -> dict[str, RenderedObject]:
        """Return the objects of a release by their identities.

        Raises ShipwayError naming the template if a document is not an object.
        """
        objects: dict[str, RenderedObject] = {}
        for source, text in rendered.texts(output):
            name = hashlib.blake2b(text.encode(), key=self._key).hexdigest()
            item = self._known.get(name)
            if item is None:
                document = rendered.document(source, text)
                if document.is_empty:
                    continue
                item = self._known[name] = _read(document, name, self.masker)
            objects[item.identity] = item
        return objects


def _read(document: RenderedDocument, name: str, masker: Masker) -> RenderedObject:
    if not document.is_object:
        text = masker.message(document.text.strip())
        seen = document.fault or f"it has no kind or no apiVersion: {text[:100]}"
        raise ShipwayError(f"{document.source} renders something that is not an object of Kubernetes", seen=seen)
    group, kind, namespace, called = identity(document.value)
    value = masker.object(document.value)
    checksums, labels = _without_noise(value)
    text, masked = shown(yaml.serialize(_ordered(value), Dumper=_DUMPER, width=1000, allow_unicode=True))
    return RenderedObject(
        identity=json.dumps([group, kind, namespace, called]),
        document=name,
        name=f"{kind} {f'{namespace}/' if namespace else ''}{called}",
        text=text,
        masked=masked,
        checksums=json.dumps(checksums, sort_keys=True, default=str),
        labels=json.dumps(labels, sort_keys=True, default=str),
    )


def _without_noise(value: Any, path: str = "") -> tuple[Json, Json]:
    """Take checksums and labels of the chart's version out of an object, and return them by path."""
    checksums: Json = {}
    labels: Json = {}
    if isinstance(value, dict):
        for key, item in list(value.items()):
            at = f"{path}.{key}"
            if isinstance(item, dict) and key in {"labels", "annotations", "matchLabels"}:
                for name in [name for name in item if name in VERSION_LABELS and key != "matchLabels"]:
                    labels[f"{at}.{name}"] = item.pop(name)
                for name in [name for name in item if key == "annotations" and _CHECKSUM.match(str(name))]:
                    checksums[f"{at}.{name}"] = item.pop(name)
            more = _without_noise(item, at)
            checksums |= more[0]
            labels |= more[1]
    elif isinstance(value, list):
        for number, item in enumerate(value):
            more = _without_noise(item, f"{path}[{number}]")
            checksums |= more[0]
            labels |= more[1]
    return checksums, labels


def _ordered(value: Any) -> yaml.Node:
    """Return a value with its keys in order, and lists whose items have different names in the order of these."""
    if isinstance(value, str):
        # In a text of several lines each line is compared.
        return yaml.ScalarNode(f"{TAG}str", value, style="|" if "\n" in value else None)
    if isinstance(value, dict):
        pairs = [(_ordered(str(key)), _ordered(value[key])) for key in sorted(value, key=str)]
        return yaml.MappingNode(f"{TAG}map", pairs, flow_style=False)
    if isinstance(value, list):
        names = [item.get("name") if isinstance(item, dict) else None for item in value]
        if all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
            value = sorted(value, key=lambda item: str(item["name"]))
        return yaml.SequenceNode(f"{TAG}seq", [_ordered(item) for item in value], flow_style=False)
    return yaml.representer.SafeRepresenter().represent_data(value)
