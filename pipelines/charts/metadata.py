"""What Helm publishes beside a chart's archive: the configuration blob and the annotations of the manifest.

Fields and their order are those of Helm's `chart.Metadata`, annotations those of its package registry (helm.sh/helm/v4:
pkg/chart/v2/metadata.go, pkg/registry/chart.go), so that consumers find what `helm push` would have written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipelines.declared.yaml_text import YamlText
from pipelines.images.registry_state import FOLDER

_TEXTS = frozenset("name home version description icon apiVersion condition tags appVersion kubeVersion type".split())
_FIELDS = (
    "name home sources version description keywords maintainers icon apiVersion condition tags appVersion deprecated"
    " annotations kubeVersion dependencies type"
).split()
_DEPENDENCY = "name version repository condition tags enabled import-values alias".split()
_MAINTAINER = "name email url".split()
_OCI = "org.opencontainers.image."
DEPENDENCIES = "io.shipway.chart.dependencies"
"""The annotation that records the digest of every dependency's archive."""

Json = dict[str, Any]


def metadata(chart: YamlText) -> Json:
    """Return Chart.yaml's fields as Helm knows them, in Helm's order, without empty ones."""
    found: Json = {}
    for name in _FIELDS:
        value = chart.value.get(name)
        if name in _TEXTS:
            value = _clean(chart.scalar(name))
        elif name == "dependencies":
            value = [dependency(item) for item in _list(value)]
        elif name == "maintainers":
            value = [_some(item, _MAINTAINER) for item in _list(value) if isinstance(item, dict)]
        elif name == "annotations":
            keys = sorted(map(str, value)) if isinstance(value, dict) else ()
            value = {key: chart.scalar(name, key) for key in keys}
        elif name == "deprecated":
            value = value is True
        else:
            value = [_clean(str(item)) for item in _list(value)]
        if value:
            found[name] = value
    return found


def dependency(item: Any) -> Json:
    """Return one entry of `dependencies` as Helm writes it into JSON: name and repository are always there."""
    item = item if isinstance(item, dict) else {}
    found: Json = {}
    for key in _DEPENDENCY:
        value = item.get(key)
        if key in {"name", "version", "repository", "condition", "alias"}:
            value = str(value) if value is not None else ""
        if value or key in {"name", "repository"}:
            found[key] = value
    return found


def config(chart: YamlText) -> bytes:
    """Return the configuration blob."""
    return go_json(metadata(chart))


def manifest_annotations(
    chart: YamlText, *, revision: str, source: str, time: int, dependencies: Mapping[str, str]
) -> dict[str, str]:
    """Return the manifest's annotations: Helm's, then the commit's facts, which a chart cannot overrule.

    `time` is the commit's, in seconds since 1970; `dependencies` maps each embedded archive to its digest.
    """
    facts = metadata(chart)
    people = [
        f"{person.get('name', '')} ({person['email']})" if person.get("email") else person.get("name", "")
        for person in facts.get("maintainers", ())
    ]
    helms = {
        "description": facts.get("description", ""),
        "url": facts.get("home", ""),
        "authors": ", ".join(people),
        "source": (facts.get("sources") or [""])[0],
    }
    ours = {
        "title": facts["name"],
        "version": facts["version"],
        "revision": revision,
        "source": source,
        "created": datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    found = {_OCI + key: value for key, value in helms.items() if value.strip()}
    found |= facts.get("annotations", {})
    found |= {_OCI + key: value for key, value in ours.items() if value}
    found.pop(FOLDER, None)
    if not source and _OCI + "source" in found:
        found[FOLDER] = "true"  # The source is then the chart's own word, which gives nobody the chart's name.
    if dependencies:
        found[DEPENDENCIES] = json.dumps(dict(sorted(dependencies.items())), separators=(",", ":"))
    return dict(sorted(found.items()))


def go_json(value: Any) -> bytes:
    """Return JSON as Go's encoding/json writes it: compact, and with <, > and & escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def _clean(text: str) -> str:
    """Return a text as Helm cleans it (sanitizeString): blanks for line breaks and tabs, nothing unprintable."""
    return "".join(" " if sign.isspace() else sign for sign in text if sign.isspace() or sign.isprintable())


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _some(item: Json, keys: list[str]) -> Json:
    return {key: _clean(str(item[key])) for key in keys if item.get(key)}
