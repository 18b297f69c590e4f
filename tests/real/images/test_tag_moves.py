"""Tags after runs that come again, side by side, late, or for refs with odd names: real Git, a real registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import ShipwayError
from pipelines.images import tag_names
from tests import oci_images
from tests.git_history import History
from tests.registry_process import registry
from tests.release_runs import Releases

MAIN = "refs/heads/main"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry for all tests, each of which has a project of its own."""
    with registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture
def history(tmp_path: Path) -> History:
    """An empty repository."""
    return History(tmp_path / "shop")


@pytest.fixture
def releases(tmp_path: Path, address: str, history: History) -> Releases:
    """Its releases."""
    project = tmp_path.name.replace("_", "-").lower().strip("-")
    return Releases(repo=history.path, address=address, project=project, folder=tmp_path / "runs")


def tree(page: int, base: str = "scratch") -> dict[str, str]:
    """Return a commit's files: one image."""
    return {"web/Dockerfile": f"FROM {base}\nCOPY page /\n", "web/page": f"{page}\n"}


def pushed(history: History, page: int, *parents: str, ref: str = MAIN) -> str:
    """Push a commit with another page."""
    commit = history.commit(tree(page), *parents)
    history.push(ref, commit)
    return commit


def key_of(releases: Releases, tag: str) -> set[str]:
    """Return the keys whose image a tag names."""
    there = releases.images.tags("web")
    return {name for name, digest in there.items() if name.startswith("key-") and digest == there[tag]}


def planned_key(releases: Releases, commit: str) -> set[str]:
    """Return the tag of the key that a commit declares."""
    return {f"key-{json.loads(releases.plan(commit).plan)['images'][0]['key']}"}


def test_a_nightly_run_at_an_unchanged_head(releases: Releases, history: History, tmp_path: Path) -> None:
    """It does nothing while nothing moved; when a base moved, the
    image is built again and takes the branch's and the commit's tag.
    """
    images = releases.images

    def move_base(content: str) -> None:
        layout, base = oci_images.image(tmp_path / content, content)
        images.client.push(layout, base, images.reference("debian", digest=str(base.digest)))
        images.client.tag(images.reference("debian", digest=str(base.digest)), "12")

    move_base("first")
    commit = history.commit(tree(1, f"{releases.address}/{releases.project}/debian:12"))
    history.push(MAIN, commit)
    releases.finish(commit, MAIN)
    before = images.tags("web")
    releases.finish(commit, MAIN)
    assert images.tags("web") == before
    move_base("second")
    releases.finish(commit, MAIN)
    after = images.tags("web")
    assert after["main"] == after[f"git-{commit}"] != before["main"]
    assert before["main"] in after.values(), "the old image keeps its key"
    assert releases.plan(commit, MAIN).to_do == 0


def test_what_was_built_again_on_purpose_stays(releases: Releases, history: History) -> None:
    """The next run, which asks for nothing, finds nothing to do; a
    push of something else keeps the newer image, as a new branch does.
    """
    first = pushed(history, 1)
    releases.finish(first, MAIN)
    old = releases.images.tags("web")["main"]
    releases.finish(first, MAIN, rebuild=("web",))
    new = releases.images.tags("web")["main"]
    assert releases.plan(first, MAIN).to_do == 0
    second = history.commit({**tree(1), "README.md": "other"}, first)
    for ref in (MAIN, "refs/heads/next"):
        history.push(ref, second)
        releases.finish(second, ref)
        assert releases.plan(second, ref).to_do == 0
    found = releases.images.tags("web")
    assert found["main"] == found["next"] == new != old


def test_a_run_of_a_branch_and_one_of_a_tag_at_once(releases: Releases, history: History) -> None:
    """Whichever builds first, all tags name one image."""
    commit = pushed(history, 1)
    history.push("refs/tags/v1.2.3", commit)
    runs = [releases.run(commit, MAIN), releases.run(commit, "refs/tags/v1.2.3")]
    while runs:
        for run in list(runs):
            if next(run, None) is None:
                runs.remove(run)
    found = releases.images.tags("web")
    assert found.keys() >= {"main", "1.2.3", "latest", f"git-{commit}"}
    assert len(set(found.values())) == 1


def test_latest_follows_the_highest_version(releases: Releases, history: History) -> None:
    """Also where the image that it names was built by a branch's run, and the tags come in another order."""
    first = pushed(history, 1)
    releases.finish(first, MAIN)
    second = pushed(history, 2, first)
    releases.finish(second, MAIN)
    third = pushed(history, 3, second)
    for version, commit in {"1.0.0": first, "2.0.0": third, "1.1.0": second, "3.0.0-rc.1": third}.items():
        history.push(f"refs/tags/v{version}", commit)
        releases.finish(commit, f"refs/tags/v{version}")
    found = releases.images.tags("web")
    assert found["latest"] == found["2.0.0"] == found["3.0.0-rc.1"] != found["1.1.0"]
    assert all(releases.plan(commit, ref).to_do == 0 for ref, commit in history.refs().items() if ref != MAIN)


def test_a_force_push(releases: Releases, history: History) -> None:
    """The branch's tag goes back to the older image, which is
    not built again; a run of what was there moves nothing.
    """
    first = pushed(history, 1)
    releases.finish(first, MAIN)
    second = pushed(history, 2, first)
    releases.finish(second, MAIN)
    history.push(MAIN, first)
    releases.finish(first, MAIN)
    assert key_of(releases, "main") == planned_key(releases, first)
    history.push("refs/heads/kept", second)
    releases.finish(second, MAIN)
    assert key_of(releases, "main") == planned_key(releases, first)


def test_two_runs_that_finish_out_of_order(releases: Releases, history: History) -> None:
    """The older one's image ends under its commit, and the branch's tag stays with the newer one."""
    first = pushed(history, 1)
    older = releases.run(first, MAIN)
    assert next(older) == "plan"
    second = pushed(history, 2, first)
    releases.finish(second, MAIN)
    for _ in older:
        pass
    assert key_of(releases, "main") == planned_key(releases, second)
    assert key_of(releases, f"git-{first}") == planned_key(releases, first)


@pytest.mark.parametrize("branch", ["feature/a+b", "v1.2", "ä"])
def test_a_branch_whose_name_is_no_legal_tag(releases: Releases, history: History, branch: str) -> None:
    """It has a tag of its own, which follows it."""
    ref = f"refs/heads/{branch}"
    first = pushed(history, 1, ref=ref)
    releases.finish(first, ref)
    second = pushed(history, 2, first, ref=ref)
    releases.finish(second, ref)
    tag = tag_names.branch_tag(branch)
    assert tag != branch
    assert key_of(releases, tag) == planned_key(releases, second)
    assert releases.plan(second, ref).to_do == 0


def test_a_version_that_was_moved_is_refused(releases: Releases, history: History) -> None:
    """A Git tag pushed anew with another content names what it named."""
    first = pushed(history, 1)
    history.push("refs/tags/v1.0.0", first)
    releases.finish(first, "refs/tags/v1.0.0")
    second = pushed(history, 2, first)
    history.push("refs/tags/v1.0.0", second)
    with pytest.raises(ShipwayError, match="not released as a whole"):
        releases.finish(second, "refs/tags/v1.0.0")
    assert key_of(releases, "1.0.0") == planned_key(releases, first)
