"""No layer cache reaches a digest: what it holds decides how long a build takes, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.build_workspace import without_runtime
from tests.image_files import files, text
from tests.real.images.builders.cases import CASES, DOCKERFILES, Case, build, of, prepared


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that every case of the module leaves its layers in."""
    return tmp_path_factory.mktemp("foreign")


def test_the_table_has_every_dockerfile() -> None:
    """Each folder is a case, so that what holds for the table holds for each."""
    assert sorted(case.name for case in CASES) == sorted(path.name for path in DOCKERFILES.iterdir())


def _one_digest(case: Case, builder: str, foreign: Path, folder: Path) -> None:
    """Build with a cache of others, then with that warm cache, and with an empty one.

    The others built the same lines on other bases, and the files and arguments of an earlier commit. With buildah, the
    last is built in a chroot and the rest in a container of a runtime: nothing of what either sets up is in a layer.
    """
    build(prepared(folder / "others", case, foreign=True), case, builder, foreign)
    if case.earlier or case.earlier_args is not None:
        build(prepared(folder / "earlier", case, earlier=True), case, builder, foreign, earlier=True)
    made = prepared(folder / "workspace", case)
    digests = {name: build(made, case, builder, foreign).digest for name in ("foreign", "warm")}
    with pytest.MonkeyPatch.context() as patch:
        if builder == "buildah":
            without_runtime(folder / "bin", patch)
        options = {"isolation": "chroot"} if builder == "buildah" else {}
        digests["cold"] = build(made, case, builder, folder / "cold", options=options).digest
    assert len(set(digests.values())) == 1, digests
    built = files(made.image)
    assert {path: built[path].content for path in case.files} == {path: case.files[path][3] for path in case.files}


@pytest.mark.parametrize("case", of("buildah"), ids=lambda case: case.name)
def test_one_digest_with_buildah(case: Case, foreign: Path, tmp_path: Path) -> None:
    """A foreign, a warm and an empty storage give the same image, with either isolation."""
    _one_digest(case, "buildah", foreign, tmp_path)


@pytest.mark.buildkit
@pytest.mark.parametrize("case", of("buildkit"), ids=lambda case: case.name)
def test_one_digest_with_buildkit(case: Case, foreign: Path, tmp_path: Path) -> None:
    """A foreign, a warm and an empty state folder give the same image."""
    _one_digest(case, "buildkit", foreign, tmp_path)


def test_a_stage_that_only_a_mount_reads(tmp_path: Path, cache: Path) -> None:
    """A mount reads all of a stage that came from the cache, and the stage itself is not built again."""
    case = next(case for case in CASES if case.name == "cached-stage")
    made = prepared(tmp_path / "workspace", case)
    made.write(
        {
            "Dockerfile": (made.source / "Dockerfile")
            .read_text()
            .replace("echo foo", "echo foo $(head -c 9 /dev/urandom | base64)")
        }
    )
    made.write({"other": "old\n"}).build("buildah", cache)
    first = files(made.image)["/dst/foo"].content
    made.write({"other": "new\n"}).build("buildah", cache)
    found = files(made.image)
    assert found["/other"].content == text("new\n")
    assert found["/dst/foo"].content == first
