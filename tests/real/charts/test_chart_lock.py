"""Locks that follow a chart's new version, read by the real `helm dependency build`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from pipelines.charts import chart_lock, chart_yaml, version_moves
from pipelines.charts import files as chart_files
from pipelines.charts import tree as chart_tree
from tests.chart_trees import archive

FILE = "file://../dep"
TWO = ({"version": "1.0.0", "repository": FILE, "alias": "one"}, {"version": "^1.0.0", "repository": FILE})
TABLE: Mapping[str, tuple[Mapping[str, object], ...]] = {
    "one chart under two aliases": (TWO[0], {**TWO[1], "alias": "two"}),
    "the same chart in the other order": (TWO[1], TWO[0]),
    "one range for both": (TWO[0], {**TWO[0], "alias": "two"}),
    "ranges that both follow": ({**TWO[0], "version": "~1.0.0"}, {**TWO[1], "version": "1.0.x", "alias": "two"}),
    "conditions, tags and imports": (
        {**TWO[0], "condition": "one.on,x", "tags": ["a"], "import-values": ["x", {"child": "a", "parent": "b"}]},
        {**TWO[1], "alias": "on"},
    ),
    "from a folder and from a repository": (TWO[0], {"version": "^3", "repository": "{one}", "alias": "three"}),
    "from two repositories": (
        {"version": "^3", "repository": "{one}", "alias": "three"},
        {"version": "^3", "repository": "{two}", "alias": "four"},
        TWO[1],
    ),
    "two versions of one repository": (
        {"version": "3.0.0", "repository": "{one}", "alias": "three"},
        TWO[0],
        {"version": "^3", "repository": "{one}", "alias": "newest"},
    ),
    "beside a vendored one": ({"name": "own", "version": "0.x", "repository": ""}, *TWO),
    "beside one named by its folder": ({"name": "own", "version": "0.1.0", "repository": "file://./charts/own"}, *TWO),
    "a number as a range": ({"version": 1, "repository": FILE, "alias": "two"}, TWO[0]),
    "another chart of the tree": ({"name": "other", "version": "2.0.0", "repository": "file://../other"}, *TWO),
}  # fmt: skip


@pytest.fixture(scope="module")
def places(running: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two repositories of charts in a registry, with other charts of the name `dep`."""
    folder = tmp_path_factory.mktemp("packed")
    found = {name: f"oci://{running}/{name}" for name in ("one", "two")}
    for name, version in (("one", "3.0.0"), ("one", "3.1.0"), ("two", "3.2.0")):
        (folder / "dep.tgz").write_bytes(archive("dep", version))
        helm(folder, "push", str(folder / "dep.tgz"), found[name])
    return found


@pytest.mark.parametrize("new", ["1.0.1", "2.0.0-rc1"])
@pytest.mark.parametrize("case", TABLE)
def test_helm_accepts_what_is_written(case: str, new: str, places: Mapping[str, str], tmp_path: Path) -> None:
    """After `dep` moves, the lock that Helm wrote is one that it builds from, and as it would write it again."""
    items = [{"name": "dep", **item} for item in TABLE[case]]
    for item in items:
        item["repository"] = str(item["repository"]).format_map(places)
    for name, version in (("dep", "1.0.0"), ("other", "2.0.0"), ("web/charts/own", "0.1.0"), ("web", "1.0.0")):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        value: dict[str, object] = {"apiVersion": "v2", "name": name.rpartition("/")[2], "version": version}
        if name == "web":
            value |= {"dependencies": items}
        (tmp_path / name / "Chart.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    dependency(tmp_path, "update")
    tree = chart_tree.read(tmp_path, chart_files.every_chart_file(tmp_path), own="registry.example/charts")
    assert tree.findings == ()
    changed = version_moves.moved(tree.charts, {"dep": new}, own="registry.example/charts")
    assert {"dep/Chart.yaml", "web/Chart.lock"} <= changed.keys()
    for path, data in changed.items():
        (tmp_path / path).write_bytes(data)
    dependency(tmp_path, "build")
    after = chart_tree.read(tmp_path, chart_files.every_chart_file(tmp_path), own="").charts["web"]
    assert after.lock
    assert chart_lock.faults(after.text, after.lock) == []
    dependency(tmp_path, "update")
    again = yaml.safe_load((tmp_path / "web" / "Chart.lock").read_text())
    assert again["digest"] == after.lock.digest
    assert {chart_yaml.embedded_file(pin.name, pin.version) for pin in after.lock.pins if pin.repository} >= {
        f"charts/{path.name}" for path in (tmp_path / "web" / "charts").glob("*.tgz")
    }


def dependency(folder: Path, verb: str) -> None:
    """Update or build the dependencies of `web`, from nothing but its files."""
    for packed in (folder / "web" / "charts").glob("*.tgz"):
        packed.unlink()
    shutil.rmtree(folder / "home", ignore_errors=True)
    helm(folder, "dependency", verb, str(folder / "web"))


def helm(folder: Path, *words: str) -> None:
    """Run Helm with no configuration of anybody."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home")}
    command = ["helm", *words, "--plain-http"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
