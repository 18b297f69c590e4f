"""The step `push` for an index: all platforms or none, whatever dies on the way."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.errors import ShipwayError, Transient
from pipelines.images import image_config, image_index
from pipelines.images.model import Base, Published
from pipelines.step import results
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.reference import Reference, key_tag
from tests.git_repositories import Repository
from tests.lying_registry import SILENCE, Asked, LyingRegistry, Reply, lying_registry
from tests.oci_images import image
from tests.real.images.test_push import NAME, QUICK, Run, all_tags, named, release
from tests.registry_process import registry

ARCHITECTURES = ("amd64", "arm64")
NO_NOTES: Mapping[str, str] = {}
KEYS = {f"web linux/{architecture}": f"{number}" * 64 for number, architecture in enumerate(ARCHITECTURES)}


@pytest.fixture
def liar() -> Iterator[LyingRegistry]:
    """A registry that lies when told to."""
    with lying_registry() as state:
        yield state


@pytest.fixture
def remote(tmp_path: Path) -> Repository:
    """A Git repository with one commit on main."""
    repository = Repository(tmp_path / "remote")
    repository.write("file", "1").commit("One")
    return repository


def client_of(address: str) -> Registry:
    """Return a client of a registry."""
    return Registry(Credentials(), plain_http=frozenset({address}), timing=QUICK)


def publish_parts(address: str, folder: Path, *architectures: str, notes: Mapping[str, str] = NO_NOTES) -> None:
    """Publish the images of some platforms under their keys."""
    to, client = Reference(registry=address, repository=NAME), client_of(address)
    for architecture in architectures:
        layout, made = image(folder / architecture, architecture, architecture=architecture, annotations=notes)
        client.push(layout, made, to)
        client.tag(to.with_digest(made.digest), key_tag(KEYS[f"web linux/{architecture}"]))


def fetched(address: str, folder: Path) -> tuple[Base, ...]:
    """Return what the step clone fetches for the index."""
    platforms = [f"linux/{architecture}" for architecture in ARCHITECTURES]
    under = Reference(registry=address, repository=NAME)
    return image_index.fetch(client_of(address), folder, "web", platforms, KEYS, under=under)


def index_run(run: Run, address: str) -> Run:
    """Let a run publish the index of what is published for each platform."""
    notes = image_config.image_annotations(None, image_config.facts_of(run.checkout, name="", version=""))
    publish_parts(address, run.folder / "parts", *ARCHITECTURES, notes=notes)
    bases = fetched(address, run.folder / "bases")
    run.checkout = replace(run.checkout, platform="linux/amd64 linux/arm64", bases=bases)
    _, descriptor = image_index.write(bases, Layout(run.folder / "bases"), run.folder / "expected")
    run.digest = descriptor.digest
    return run


def platforms_of(address: str, tag: str) -> list[str]:
    """Return the platforms that skopeo finds under a tag, each of which it can read."""
    words = ["skopeo", "inspect", "--tls-verify=false"]
    whole = f"docker://{address}/{NAME}:{tag}"
    raw = subprocess.run([*words, "--raw", whole], check=True, capture_output=True).stdout
    found = [entry["platform"]["architecture"] for entry in json.loads(raw)["manifests"]]
    for architecture in found:
        config = [*words, "--config", "--raw", f"--override-arch={architecture}", whole]
        assert (
            json.loads(subprocess.run(config, check=True, capture_output=True).stdout)["architecture"] == architecture
        )
    return found


def test_the_tags_of_the_ref_name_the_index(tmp_path: Path, remote: Repository) -> None:
    """A second run changes nothing, and a real registry and skopeo find every platform."""
    with registry(tmp_path) as address:
        run = index_run(release(tmp_path / "run", remote, "1.0.0"), address)
        first = run.push(address)
        assert (first.digest, first.tags) == (run.digest, (f"git-{run.commit}", "1.0.0", "latest"))
        assert first.size == sum(len(f"{a} {n}") for a in ARCHITECTURES for n in (0, 1))
        assert run.push(address) == first
        assert all_tags(address) == {*first.tags, *map(key_tag, KEYS.values())}
        assert platforms_of(address, "1.0.0") == ["amd64", "arm64"]


def test_one_platform_s_part_has_no_tag_of_the_ref(tmp_path: Path, remote: Repository, liar: LyingRegistry) -> None:
    """It is found by its key until all are there."""
    run = Run(tmp_path / "run", remote)
    published = run.push(liar.address, name="web linux/amd64", key="a" * 64)
    assert (published.name, published.tags) == ("web linux/amd64", (key_tag("a" * 64),))
    assert {tag.partition("-")[0] for tag in all_tags(liar.address)} == {"key", "built"}


def test_without_every_platform_there_is_no_index(tmp_path: Path, liar: LyingRegistry) -> None:
    """Nothing is tagged, and the message names what is not there."""
    publish_parts(liar.address, tmp_path / "parts", "amd64")
    with pytest.raises(ShipwayError, match="web linux/arm64 is not published"):
        fetched(liar.address, tmp_path / "bases")


def test_an_image_that_is_gone_by_now(tmp_path: Path, remote: Repository) -> None:
    """Somebody deleted a platform's image after it was looked at: the registry refuses the index, and no tag moves."""
    with registry(tmp_path / "one") as address:
        run = index_run(Run(tmp_path / "run", remote), address)
    with registry(tmp_path / "two") as address:
        with pytest.raises(Transient, match=r"cannot push .*web@sha256"):
            run.push(address)
        assert all_tags(address) == set()


@pytest.mark.parametrize("effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("path", ["manifests/sha256:", "manifests/git-", "manifests/1.0.0$", "manifests/latest$"])
def test_a_killed_push_is_finished_by_a_rerun(
    tmp_path: Path, remote: Repository, liar: LyingRegistry, path: str, effect: bool
) -> None:
    """Whichever request it died before or after, each tag of the ref names the whole index or nothing."""
    run = index_run(release(tmp_path / "run", remote, "1.0.0"), liar.address)
    keys = {*map(key_tag, KEYS.values())}

    def hang(asked: Asked) -> Reply:
        if effect:
            liar.truth(asked)
        return SILENCE

    liar.lie("PUT", path, hang, times=1)
    child = run.start(liar.address)
    assert liar.silent.wait(timeout=120)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert {named(liar.address, tag) for tag in all_tags(liar.address) - keys} <= {run.digest}
    for tag in all_tags(liar.address) - keys:
        for architecture in ARCHITECTURES:
            layout = Layout.create(tmp_path / f"{tag}-{architecture}")
            whole = Reference(registry=liar.address, repository=NAME, tag=tag)
            client_of(liar.address).pull(whole, layout, platform=f"linux/{architecture}")
    assert run.start(liar.address).wait(timeout=120) == 0
    assert results.load(Published, run.folder / "out" / "main").digest == run.digest
    assert all_tags(liar.address) - keys == {f"git-{run.commit}", "1.0.0", "latest"}
