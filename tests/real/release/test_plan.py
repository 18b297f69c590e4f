"""From a plan to images and back to a plan that has nothing to do: the step, the template and the command together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from pipelines.images.plan_model import ImageJob
from pipelines.release.model import Planned
from pipelines.step import results
from tests.git_repositories import Repository
from tests.registry_process import registry
from tests.shipway_process import Images, Shipway


def step(folder: Path, repository: Repository, address: str, **arguments: str) -> Planned:
    """Run the step as a pod does, and read what it leaves."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in arguments.items()]
    settings = {"SHIPWAY_REGISTRY": address, "SHIPWAY_PROJECT": "team", "SHIPWAY_PLAIN_HTTP": address}
    argv = ["-m", "pipelines", "step", "plan", f"--repo={repository.path}", "--outputs=out/plan", *words]
    subprocess.run([sys.executable, *argv], cwd=folder, env={**os.environ, **settings}, check=True)
    found: Planned = results.load(Planned, folder / "out" / "plan")
    return found


def build(shipway: Shipway, settings: Path, planned: Planned, repository: Repository, job: ImageJob) -> None:
    """Run one job of a plan on the compiled template."""
    given = {"repo": str(repository.path), "revision": planned.commit, "ref": planned.ref}
    shown = {"parents", "requires", "title"}  # what a release does with a job, beside the template's parameters
    given |= {name.replace("_", "-"): results.text_of(value) for name, value in vars(job).items() if name not in shown}
    given["version-tag"] = job.version
    words = [word for name, value in given.items() for word in ("-p", f"{name}={value}")]
    done = shipway.run("submit", "clone-build-push", "--settings", str(settings), "--quiet", *words)
    assert done.returncode == 0, done.stderr


def test_what_a_plan_says_is_done_once(tmp_path: Path) -> None:
    """Every job fits the template's inputs; after all of them the same commit has nothing to do, on any machine."""
    repository = Repository(tmp_path / "shop")
    repository.write("bases/one/Dockerfile", "FROM scratch\nCOPY motd /\n").write("bases/one/motd", "hello")
    repository.write("apps/web/Dockerfile", "ARG PAGE\nFROM base\nARG PAGE\nENV PAGE=$PAGE\nCOPY . /\n")
    repository.write("core/run", "run").write("apps/web/page", "1")
    repository.write(
        "shipway.yaml",
        "images:\n  bases/one: {name: base}\n  apps/*: {shared: [core], build-args: {PAGE: 1}, version: 2.0-1}\n",
    )
    repository.commit()
    shipway = Shipway(tmp_path / "shipway")
    (tmp_path / "work").mkdir()
    with registry(tmp_path) as address:
        settings = tmp_path / "settings.yaml"
        settings.write_text(f"registry: {address}\nproject: team\nplain-http: {address}\n")
        planned = step(tmp_path / "work", repository, address)
        assert [job.name for wave in (planned.wave_1, planned.later[0], planned.later[1]) for job in wave] == [
            "base", "web",
        ]  # fmt: skip
        assert (planned.to_do, planned.blocked, planned.unknown, planned.charts) == (2, 0, 0, 0)
        for job in (*planned.wave_1, *planned.later[0]):
            build(shipway, settings, planned, repository, job)
        images = Images(address, "team")
        assert {"main", "2.0-1", f"key-{planned.later[0][0].key}"} <= set(images.tags("web"))
        for words in ([str(repository.path)], [f"{repository.path}@main"]):
            done = shipway.run("plan", *words, "--settings", str(settings), "--json")
            plan = json.loads(done.stdout)
            assert (done.returncode, plan["verdict"], plan["waves"]) == (0, "nothing", []), done.stdout
        repository.write("core/run", "walk").commit()
        done = shipway.run("plan", str(repository.path), "--settings", str(settings))
        assert done.returncode == 10
        assert "image  web   absent     build" in done.stdout, done.stdout
