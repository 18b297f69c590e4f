"""Values: what is refused, with which words, and what is written of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import settings
from tests.chart.reference import ENVIRONMENTS, SHIPWAY, page
from tests.chart.rendering import CHART, helm, of_kind, refusal, render

SCHEMA: dict[str, Any] = json.loads(CHART.joinpath("values.schema.json").read_text())
REGISTRY = {"settings": {"registry": "registry.example.com"}}
REFUSED: dict[str, dict[str, Any]] = {
    "settings.registry is empty": {},
    "additional properties 'registy' not allowed": {"settings": {"registy": "registry.example.com"}},
    "/settings/registry": {"settings": {"registry": "https://registry.example.com"}},
    "/settings/mirrors": {"settings": {"registry": "registry.example.com", "mirrors": "docker.io"}},
    "/settings/builder": {"settings": {"registry": "registry.example.com", "builder": "docker"}},
    "needs settings.builder to be buildkit": {
        "settings": {"registry": "registry.example.com", "builder": "buildah"},
        "buildkit": {"enabled": True},
    },
    "each name a builder": {
        "settings": {"registry": "registry.example.com", "buildkit-host": "tcp://elsewhere:1234"},
        "buildkit": {"enabled": True},
    },
    "each name certificate authorities": {
        "settings": {"registry": "registry.example.com", "ca-file": "/etc/ca.crt"},
        "authorities": "-----BEGIN CERTIFICATE-----",
    },
    "/authorities": {**REGISTRY, "authorities": "ca.crt"},
    "missing property 'namespace'": {**REGISTRY, "submitters": [{"kind": "ServiceAccount", "name": "robot"}]},
    "/tolerations/0/tolerationSeconds": {**REGISTRY, "tolerations": [{"key": "ci", "tolerationSeconds": "300"}]},
    "/buildkit/resources/requests/cpu": {**REGISTRY, "buildkit": {"resources": {"requests": {"cpu": "1.2.3"}}}},
    "/buildSecrets/npm": {**REGISTRY, "buildSecrets": {"npm": ["git.example.com/team/*"]}},
    "/buildkit/storageGiB": {**REGISTRY, "buildkit": {"storageGiB": "50Gi"}},
    "/buildkit/resources": {**REGISTRY, "buildkit": {"resources": {"limit": {"cpu": 1}}}},
    "/resources/clone-build-push/build/limits/memory": {
        **REGISTRY,
        "resources": {"clone-build-push": {"build": {"limits": {"memory": "16 GB"}}}},
    },
    "resources.clone-build-push.builder: no template": {
        **REGISTRY,
        "resources": {"clone-build-push": {"build": {"limits": {"cpu": 4}}, "builder": {"limits": {"cpu": 4}}}},
    },
    "resources.clone.main: no template": {**REGISTRY, "resources": {"clone": {"main": {}}}},
}


@pytest.mark.helm
@pytest.mark.parametrize(("told", "values"), REFUSED.items(), ids=list(REFUSED))
def test_wrong_values_are_refused(told: str, values: dict[str, Any]) -> None:
    """By name, before anything is installed."""
    assert told in refusal(values)


@pytest.mark.helm
def test_the_chart_is_without_findings() -> None:
    """Of helm lint, strictly."""
    done = helm("lint", str(CHART), "--strict", "--values", "-", given=yaml.safe_dump(REGISTRY))
    assert done.returncode == 0, done.stdout


@pytest.mark.helm
def test_values_that_imply_settings() -> None:
    """A standing builder and authorities of its own reach the ConfigMap that steps read."""
    data = of_kind(render("everything"), "ConfigMap")["shipway"]["data"]
    assert data["build-secrets"].split(",") == [
        "npm=https://git.example.com/team/shop.git",
        "npm=https://git.example.com/team/web.git",
        "pip=ssh://git@git.example.com/team/shop.git",
    ]
    assert of_kind(render("smallest"), "ConfigMap")["shipway"]["data"]["build-secrets"] == "none"
    assert data["builder"] == "buildkit"
    assert data["buildkit-host"] == "tcp://shipway-buildkit:1234"
    assert data["ca-file"] == "/shipway/authorities/ca.crt"
    assert of_kind(render("everything"), "ConfigMap")["shipway-buildkit"]["data"]["buildkitd.toml"].count('"5734MB"')


def test_every_value_is_described_and_has_a_default() -> None:
    """The schema knows each key of values.yaml and the settings that steps read, and nothing beside them."""
    defaults = yaml.safe_load(CHART.joinpath("values.yaml").read_text())
    properties = SCHEMA["properties"]
    assert properties.keys() - {"global"} == defaults.keys()
    for name in ("buildkit", "networkPolicy"):
        assert properties[name]["properties"].keys() == defaults[name].keys()
    assert properties["settings"]["properties"].keys() == settings.KEYS.keys() - {
        "secrets",
        "build-secrets",
        "native-platforms",
    }
    assert [path for path, schema in described("", SCHEMA) if not schema.get("description")] == [""]


@pytest.mark.parametrize("schema", [SHIPWAY.chart, ENVIRONMENTS.chart], ids=lambda chart: chart.name)
def test_no_value_is_described_twice(schema: Path) -> None:
    """Of two keys of one name JSON's readers take the last, so that the first one's words and pattern would be lost."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
        return dict(pairs)

    json.loads(schema.joinpath("values.schema.json").read_text(), object_pairs_hook=once)


def described(path: str, schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return every named place of a schema."""
    found = [(path, schema)]
    for name, inner in schema.get("properties", {}).items():
        found += described(f"{path}.{name}", inner)
    if "properties" in schema.get("items", {}):
        found += described(f"{path}[]", {**schema["items"], "description": "an item"})
    return found


def test_the_reference_is_that_of_the_schema() -> None:
    """docs/values.md says what the schema says; `python -m tests.chart.reference` brings it there."""
    assert SHIPWAY.page.read_text() == page(SHIPWAY)


@pytest.mark.helm
def test_each_platform_has_its_nodes_and_its_builder() -> None:
    """Argo evaluates which patch a pod gets; two braces within would end the expression."""
    documents = render("platforms")
    data = of_kind(documents, "ConfigMap")["shipway"]["data"]
    assert (data["platforms"], data["native-platforms"]) == ("linux/amd64,linux/arm64", "linux/amd64,linux/arm64")
    standing = of_kind(documents, "StatefulSet")
    nodes = {name: document["spec"]["template"]["spec"]["nodeSelector"] for name, document in standing.items()}
    assert nodes == {
        "shipway-buildkit-amd64": {"kubernetes.io/arch": "amd64"},
        "shipway-buildkit-arm64": {"pool": "arm"},
    }
    for name in ("clone-build-push", "work"):
        templates = of_kind(documents, "WorkflowTemplate")[name]["spec"]["templates"]
        [patch] = [
            one["podSpecPatch"] for one in templates if one["name"] == "clone-build-push" and "podSpecPatch" in one
        ]
        assert (patch[:4], patch[-3:], "}}" in patch[:-2]) == ("{{=(", ")}}", False)
        assert patch.count("tcp://shipway-buildkit-arm64:1234") == 2, "of the containers clone and build"
