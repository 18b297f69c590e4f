"""The compiled chart-release on the real controller: what it publishes, leaves alone, and refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.e2e.installation import Installation, Run
from tests.git_repositories import Repository
from tests.git_server import GitServer

TOP = Path(__file__).parents[2]
CHART = {
    "web/Chart.yaml": "apiVersion: v2\nname: e2e-web\nversion: 1.0.0\n",
    "web/values.yaml": "text: hello\n",
    "web/templates/text.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {text: {{ .Values.text }}}\n"
    ),
    "site/Chart.yaml": "apiVersion: v2\nname: e2e-site\nversion: 2.0.0\n"
    "dependencies: [{name: e2e-web, version: 1.0.0, repository: 'file://../web'}]\n",
    "site/templates/text.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: site}\n",
}


def test_release_and_release_again(installation: Installation, git: GitServer, tmp_path: Path) -> None:
    """Charts get the digests of a laptop; a second run has nothing to do; another content of a version is refused."""
    made = Repository(git.root / "charts")
    for name, text in CHART.items():
        made.write(name, text)
    lock(made)
    made.commit()
    repo = f"{git.url}/charts"
    installation.configure(chart_registry=f"{installation.where.registry}/{installation.namespace}/charts")

    first = installation.run("chart-release", repo=repo, revision="main")
    assert first.phase == "Succeeded", installation.story(first)
    assert states(first) == {"e2e-web": "pushed", "e2e-site": "pushed"}
    assert digests(first) == local(installation, repo, tmp_path)

    made.write("README.md", "no chart\n").commit()
    second = installation.run("chart-release", repo=repo, revision="main")
    assert states(second) == {"e2e-web": "identical", "e2e-site": "identical"}, installation.story(second)
    assert digests(second) == digests(first)

    made.write("web/values.yaml", "text: changed\n").commit()
    third = installation.run("chart-release", repo=repo, revision="main")
    assert third.phase == "Failed", installation.story(third)
    assert ["main: Error (exit code 3)" in message for message in third.attempts] == [True]
    (pod,) = installation.pods(third.name)
    said = installation.log(pod["metadata"]["name"], "main")
    assert "values.yaml" in said
    assert "1.0.1" in said


def lock(made: Repository) -> None:
    """Write the lock of the chart that depends on the other one, and leave its archive out."""
    subprocess.run(["helm", "dependency", "update", str(made.path / "site")], check=True, capture_output=True)
    made.git("add", "site/Chart.lock")


def charts(run: Run) -> list[dict[str, str]]:
    """Return what a run says of each chart."""
    found: list[dict[str, str]] = json.loads(run.outputs["charts"])
    return found


def states(run: Run) -> dict[str, str]:
    """Return what came of each chart."""
    return {chart["name"]: chart["state"] for chart in charts(run)}


def digests(run: Run) -> dict[str, str]:
    """Return each chart's digest."""
    return {chart["name"]: chart["digest"] for chart in charts(run)}


def local(installation: Installation, repo: str, folder: Path) -> dict[str, str]:
    """Release a repository's charts on this machine, to another place, and return their digests."""
    settings = {**installation.settings, "project": f"{installation.namespace}-laptop"}
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pipelines", "charts", repo, "--revision=main", "--json"]
    done = subprocess.run(
        [*command, f"--settings={file}", f"--state={folder / 'state'}"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(TOP)},
    )
    return {chart["name"]: chart["digest"] for chart in json.loads(done.stdout)["charts"]}
