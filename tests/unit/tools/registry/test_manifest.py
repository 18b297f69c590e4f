"""Manifests and configurations of a registry that anybody may have written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.errors import ShipwayError
from pipelines.tools.registry import manifest as registry_manifest
from pipelines.tools.registry.layout import INDEX, MANIFEST

DIGEST = f"sha256:{'0' * 64}"
BLOB = {"mediaType": "x", "digest": DIGEST, "size": 1}


@pytest.mark.parametrize(
    "fields",
    [
        {"config": 5},
        {"config": []},
        {"layers": 5},
        {"layers": {"a": 1}},
        {"layers": [5]},
        {"manifests": 5},
        {"manifests": ["x"]},
        {"manifests": [{"platform": "linux/amd64"}]},
        {"manifests": [BLOB, {"platform": [1]}]},
    ],
)
def test_fields_of_other_types_are_one_error(fields: dict[str, Any]) -> None:
    """A base of a stranger's registry is an error with its name, and no traceback of whoever looks into it."""
    kind = INDEX if "manifests" in fields else MANIFEST
    with pytest.raises(ShipwayError) as caught:
        registry_manifest.read(json.dumps(fields).encode(), content_type=kind, what="cannot read x")
    assert caught.value.what == "cannot read x"


@pytest.mark.parametrize("annotations", [None, 5, [], ["a"], {"a": 1, "b": ["c"], "d": None}])
def test_annotations_are_texts(annotations: object) -> None:
    """What has another type says nothing."""
    data = json.dumps({"config": BLOB, "layers": [BLOB, None], "annotations": annotations}).encode()
    assert registry_manifest.read(data, content_type=MANIFEST, what="x").annotations == {}


@pytest.mark.parametrize(
    "config",
    [
        {"config": 5},
        {"config": {"Labels": ["a"]}},
        {"config": {"Labels": {"a": 1}}},
        {"config": {"OnBuild": "RUN x"}},
        {"config": {"OnBuild": [5]}},
        {"config": {"Shell": {"a": 1}}},
        {"config": {"Env": [["A"]]}},
        {"rootfs": []},
        {"rootfs": {"diff_ids": "x"}},
        {"rootfs": {"diff_ids": [5]}},
        {"rootfs": {"diff_ids": [DIGEST, DIGEST]}},
        {"history": {"a": 1}},
        {"history": [5]},
        {"history": [{"created_by": 5}]},
    ],
)
def test_a_configuration_of_another_form_is_one_error(config: dict[str, Any]) -> None:
    """It is found where the image is fetched, before anything is built on it."""
    whole = {"rootfs": {"diff_ids": [DIGEST]}, **config}
    with pytest.raises(ShipwayError, match=r"^cannot use x"):
        registry_manifest.check_config(whole, 1, "cannot use x")


def test_a_configuration_as_go_writes_it() -> None:
    """Lists and objects without anything in them may be null."""
    fields = dict.fromkeys(("Labels", "OnBuild", "Shell", "Env"))
    config = {"config": fields, "rootfs": {"diff_ids": None}, "history": [{"created_by": None}]}
    registry_manifest.check_config(config, 0, "x")
    registry_manifest.check_config({"config": None, "rootfs": None, "history": None}, None, "x")
