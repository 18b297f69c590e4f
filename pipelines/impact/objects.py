"""What a chart rendered, made fit for comparing and for showing: in one order, without noise, with secrets masked.

A masked value keeps a keyed hash, so that a change of it shows, and nothing else of it does.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from pipelines.charts import rendered
from pipelines.charts.rendered import RenderedDocument, identity
from pipelines.declared.yaml_text import TAG
from pipelines.errors import ShipwayError

VERSION_LABELS = frozenset({"helm.sh/chart", "chart", "app.kubernetes.io/version"})
"""Labels that move with a chart's version and mean nothing for what runs."""
_CHECKSUM = re.compile(r"^(?:checksum[/.-].*|.*/checksum.*|.*checksum)$", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"pass(?:wd|word|phrase)?(?![a-z])|pwd|secret|token|api[-_.]?key|access[-_.]?key|private[-_.]?key|credential|"
    r"auth(?![a-z])|dsn|connection[-_.]?string|salt",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<login>[^\s/@:]*:[^\s/@]+)@", re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_LINE = re.compile(
    rf"^(?P<name>[ \t]*[\"']?[\w.-]*(?:{_SECRET_NAME.pattern})[\w.-]*[\"']?[ \t]*[:=][ \t]*)(?P<value>\S.*)$",
    re.IGNORECASE | re.MULTILINE,
)
"""A line of a configuration file that an object holds as one text."""
_OPTION = re.compile(r"^(?P<name>--?[A-Za-z0-9._-]+=)(?P<value>.+)$", re.DOTALL)
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
    checksums: str
    """Annotations that restart pods when something else changes."""
    labels: str
    """Labels that name the chart's version."""


class ObjectReader:
    """Reads what Helm writes; a document that was read before, for whatever release, is not read again."""

    def __init__(self, key: bytes) -> None:
        """Hash secrets with `key`."""
        self._key = key
        self._known: dict[str, RenderedObject] = {}

    def know(self, found: Iterable[RenderedObject]) -> None:
        """Take objects that were read before, under the same key."""
        self._known.update((item.document, item) for item in found)

    def objects(self, output: str) -> dict[str, RenderedObject]:
        """Return the objects of a release by their identities.

        Raises ShipwayError naming the template for a document that is no object.
        """
        found: dict[str, RenderedObject] = {}
        for source, text in rendered.texts(output):
            name = hashlib.blake2b(text.encode(), key=self._key).hexdigest()
            item = self._known.get(name)
            if item is None:
                document = rendered.document(source, text)
                if document.is_empty:
                    continue
                item = self._known[name] = _read(document, name, self._key)
            found[item.identity] = item
        return found


def _read(document: RenderedDocument, name: str, key: bytes) -> RenderedObject:
    if not document.is_object:
        seen = document.fault or f"it has no kind or no apiVersion: {document.text.strip()[:100]}"
        raise ShipwayError(f"{document.source} renders something that is no object of Kubernetes", seen=seen)
    group, kind, namespace, called = identity(document.value)
    value = _without_secrets(document.value, kind, key)
    checksums, labels = _without_noise(value)
    return RenderedObject(
        identity=json.dumps([group, kind, namespace, called]),
        document=name,
        name=f"{kind} {f'{namespace}/' if namespace else ''}{called}",
        text=yaml.serialize(_ordered(value), Dumper=_DUMPER, width=1000, allow_unicode=True),
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
        return yaml.ScalarNode(f"{TAG}str", value)
    if isinstance(value, dict):
        pairs = [(_ordered(str(key)), _ordered(value[key])) for key in sorted(value, key=str)]
        return yaml.MappingNode(f"{TAG}map", pairs, flow_style=False)
    if isinstance(value, list):
        names = [item.get("name") if isinstance(item, dict) else None for item in value]
        if all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
            value = sorted(value, key=lambda item: str(item["name"]))
        return yaml.SequenceNode(f"{TAG}seq", [_ordered(item) for item in value], flow_style=False)
    return yaml.representer.SafeRepresenter().represent_data(value)


def _without_secrets(value: Json, kind: str, key: bytes) -> Json:
    """Return a copy of an object in which everything that is secret by its kind or its name is masked."""
    found = dict(value)
    if kind == "Secret":
        for field in ("data", "stringData"):
            held = value.get(field)
            if isinstance(held, Mapping):
                found[field] = {name: _hidden(text, key) for name, text in held.items()}
            elif held is not None:
                found[field] = _hidden(held, key)
    elif kind == "ConfigMap" and isinstance(value.get("data"), Mapping):
        found["data"] = {
            name: _hidden(text, key) if _SECRET_NAME.search(str(name)) else text for name, text in value["data"].items()
        }
    return {name: _masked(item, key) for name, item in found.items()}


def _masked(value: Any, key: bytes) -> Any:
    """Return a copy of a value with secrets of environment variables and options, logins and private keys masked."""
    if isinstance(value, dict):
        fields = {field: _masked(item, key) for field, item in value.items()}
        name = value.get("name")
        if isinstance(name, str) and "value" in value and _SECRET_NAME.search(name):
            fields["value"] = _hidden(value["value"], key)
        return fields
    if isinstance(value, list):
        found = []
        after_option = False
        for item in value:
            found.append(_hidden(item, key) if after_option and isinstance(item, str) else _masked(item, key))
            # Of `--password VALUE` the value is the next word.
            after_option = isinstance(item, str) and item.startswith("-") and "=" not in item and _is_secret(item)
        return found
    if isinstance(value, str):
        option = _OPTION.match(value)
        if option and _is_secret(option["name"]):
            return option["name"] + _hidden(option["value"], key)
        if "\n" in value:
            value = _LINE.sub(lambda match: match["name"] + _hidden(match["value"], key), value)
        text = _LOGIN.sub(lambda match: f"{match['scheme']}{_hidden(match['login'], key)}@", value)
        return _PEM.sub(lambda match: _hidden(match[0], key), text)
    return value


def _is_secret(option: str) -> bool:
    return _SECRET_NAME.search(option) is not None and not re.search(
        r"(?:file|path|name|dir)=?$", option, re.IGNORECASE
    )


def _hidden(value: Any, key: bytes) -> str:
    if isinstance(value, str) and value.startswith("(secret "):
        return value
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return f"(secret {hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:8]})" if text else ""
