"""A run that is killed or interrupted: nothing of it goes
on, no tag is half moved, and a rerun gives the same digest.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import leftovers
from tests.git_repositories import Repository
from tests.shipway_process import Images, Shipway, until

DOCKERFILE = """\
FROM shipway.local/busybox:static
COPY file /file
RUN echo begun; sleep 1; cp /file /copy
"""
FETCHED, BEGUN, PUBLISHED = ("clone", "shipway.local/busybox:static is "), ("build", "begun"), ("push", "")
"""Lines of logs by which a test knows what a run is doing: its base is there, its RUN step runs, its push has begun."""


@dataclass(frozen=True)
class Calm:
    """A repository of two commits, and the digests that undisturbed runs gave."""

    repository: Repository
    commits: tuple[str, str]
    digests: tuple[str, str]
    images: Images


def place(folder: Path, address: str) -> tuple[Shipway, Images]:
    """Return the command with an empty cache and with a project of its own in the registry."""
    images = Images(address, folder.name.replace("_", "-").lower())
    settings = {
        "registry": address,
        "project": images.project,
        "plain-http": address,
        "mirrors": f"shipway.local={address}",
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    return Shipway(folder), images


def build(shipway: Shipway, repository: Repository, revision: str = "main") -> dict[str, Any]:
    """Run to the end and return what came of the image."""
    done = shipway.run(*words(repository, revision))
    assert done.returncode == 0, done.stderr
    image: dict[str, Any] = json.loads(done.stdout)["images"]["app"]
    return image


def words(repository: Repository, revision: str = "main") -> tuple[str, ...]:
    """Return the command's words."""
    return ("build", "--json", "--settings", "settings.json", "--revision", revision, str(repository.path))


@pytest.fixture(scope="module")
def calm(embedded: tuple[Shipway, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """The same two builds without a disturbance, the second with the tag where the first one left it."""
    address = embedded[1]["images"]["base"]["reference"].partition("/")[0]
    shipway, images = place(tmp_path_factory.mktemp("calm"), address)
    repository = Repository(shipway.folder / "app").write("Dockerfile", DOCKERFILE).write("file", "one\n")
    commits, digests = [], []
    for content in ("one\n", "two\n"):
        commits.append(repository.write("file", content).commit())
        digests.append(build(shipway, repository)["digest"])
    return Calm(repository, (commits[0], commits[1]), (digests[0], digests[1]), images)


@pytest.fixture
def disturbed(calm: Calm, tmp_path: Path) -> Iterator[tuple[Shipway, Images]]:
    """The command where the first commit's image is already published and the second is to be built."""
    shipway, images = place(tmp_path, calm.images.address)
    images.adopt("app", calm.images, calm.digests[0], tmp_path / "layout", "main", f"git-{calm.commits[0]}")
    yield shipway, images
    for pid in shipway.processes():
        os.kill(pid, signal.SIGKILL)


def named(images: Images) -> dict[str, str]:
    """Return the tags of the image that people read: neither its keys nor when it was built."""
    return {tag: digest for tag, digest in images.tags("app").items() if not tag.startswith(("key-", "built-"))}


@pytest.mark.parametrize("moment", [FETCHED, BEGUN, PUBLISHED], ids=["clone", "build", "push"])
def test_killed_and_run_again(moment: tuple[str, str], calm: Calm, disturbed: tuple[Shipway, Images]) -> None:
    """kill -9 of the engine ends every step; tags name the old image or the new one, whole; a rerun completes."""
    shipway, images = disturbed
    before = named(images)
    with shipway.start(*words(calm.repository)) as engine:
        until(lambda: shipway.wrote(*moment))
        engine.kill()
        engine.communicate()
    until(lambda: not shipway.processes())
    after = named(images)
    wanted = {"main": calm.digests[1], f"git-{calm.commits[1]}": calm.digests[1]}
    if moment is PUBLISHED:
        assert {tag: (before | wanted)[tag] for tag in after} | {"main": after["main"]} == after
        assert after["main"] in calm.digests
    else:
        assert after == before
    assert not leftovers.mounts(shipway.folder)
    assert build(shipway, calm.repository)["digest"] == calm.digests[1]
    assert named(images) == before | wanted
    assert images.pull("app", calm.digests[1], shipway.folder / "pulled").named().digest == calm.digests[1]


def test_a_killed_builder_is_tried_again(calm: Calm, disturbed: tuple[Shipway, Images]) -> None:
    """kill -9 of the builder's own process, as by the kernel's memory killer, costs an attempt and nothing else."""
    shipway, images = disturbed
    with shipway.start(*words(calm.repository)) as engine:
        until(lambda: shipway.wrote(*BEGUN))
        builders = [pid for pid, command in shipway.processes().items() if command.split()[0].endswith("buildah")]
        assert builders
        for pid in builders:
            os.kill(pid, signal.SIGKILL)
        out, err = engine.communicate()
    assert engine.returncode == 0, err
    assert "the builder was killed" in err
    assert "app(1): Succeeded" in err
    assert json.loads(out)["images"]["app"]["digest"] == calm.digests[1]
    assert images.tags("app")["main"] == calm.digests[1]


def test_an_interrupt_ends_everything(calm: Calm, disturbed: tuple[Shipway, Images]) -> None:
    """Ctrl-C: exit code 130, what was stopped is still told as one object, and neither a process nor a tag is left."""
    shipway, images = disturbed
    before = images.tags("app")
    with shipway.start(*words(calm.repository)) as engine:
        until(lambda: shipway.wrote(*BEGUN))
        os.killpg(engine.pid, signal.SIGINT)
        out, err = engine.communicate()
    assert engine.returncode == 130, err
    assert "Traceback" not in err
    assert json.loads(out)["images"]["app"]["phase"] == "Failed"
    assert not shipway.processes()
    assert images.tags("app") == before
    assert not list(shipway.state.glob("runs/*/run/pods/*"))
    assert not leftovers.mounts(shipway.folder)
