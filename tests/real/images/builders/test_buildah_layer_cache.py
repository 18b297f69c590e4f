"""No layer cache of buildah reaches a digest: what it holds decides how long a build takes, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.build_workspace import Workspace
from tests.image_files import files, text
from tests.real.images.builders.cases import CASES, DOCKERFILES, Case, prepared


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that every case of the module leaves its layers in."""
    return tmp_path_factory.mktemp("foreign")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_digest(case: Case, foreign: Path, tmp_path: Path) -> None:
    """An empty cache, a warm one and one with the layers of others give the same image.

    The others built the same lines on other bases, and with the files of an earlier commit.
    """
    digests = []
    made = Workspace(tmp_path / "none")
    for number, (cache, marker, earlier) in enumerate(
        [
            (foreign, "foreign", {}),
            (foreign, "tools", case.earlier),
            (foreign, "tools", {}),
            (tmp_path / "cold", "tools", {}),
        ]
    ):
        made = prepared(tmp_path / str(number), marker=marker).copy(DOCKERFILES / case.name).write(earlier)
        checkout = made.checkout(build_args=case.build_args, target=case.target)
        digests.append(made.build("buildah", cache, checkout=checkout, secret_ids=("token",)).digest)
    built = files(made.image)
    assert digests[2] == digests[3]
    assert {path: built[path].content for path in case.files} == {path: case.files[path][3] for path in case.files}
    if not case.earlier:
        assert digests[1] == digests[2], "the cache of others, and then a warm one"


def test_a_stage_that_only_a_mount_reads(tmp_path: Path, cache: Path) -> None:
    """A mount reads all of a stage that came from the cache, and the stage itself is not built again."""
    made = prepared(tmp_path / "workspace").copy(DOCKERFILES / "cached-stage")
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
